"""The detector that ships: what it finds, what it refuses, and bundles of the wrong kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import edgesam_rt as es
from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import Bundle, DetectorBundle
from edgesam_rt.detector import Detector, open_detector, trust
from edgesam_rt.errors import BackendError, BundleError, ConfigError, SelfTestError, ShapeError
from edgesam_rt.imaging.masks import box_iou
from edgesam_rt.segmenter import EngineOptions
from edgesam_rt.selftest import DISC_CENTRE_XY, DISC_RADIUS, pictures
from edgesam_rt.types import U8
from tests.bundle_doubles import Plain, edit_manifest, linked_copy, put_engine

OPTIONS = EngineOptions("onnxruntime")
PHOTOS = sorted((Path(__file__).resolve().parents[2] / "demo" / "photos").glob("*.jpg"))


@pytest.fixture(scope="module")
def shipped() -> DetectorBundle:
    return bundles.find_detector(None)


@pytest.fixture(scope="module")
def detector() -> Iterator[Detector]:
    opened = open_detector(None, OPTIONS)
    yield opened
    opened.close()


@pytest.fixture
def copy(shipped: DetectorBundle, tmp_path: Path) -> Path:
    return linked_copy(shipped, tmp_path / "copy")


def test_a_person_is_found_where_it_is(detector: Detector, astronaut: U8) -> None:
    boxes = detector.detect(astronaut)
    assert boxes.score[0] > 0.8
    person = np.array([[5.0, 10.0, 375.0, 512.0]])
    assert box_iou(person, boxes.xyxy[:1])[0, 0] > 0.8


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.stem)
def test_boxes_lie_in_the_photo_and_come_best_first(detector: Detector, photo: Path) -> None:
    pixels = es.read_image(photo)
    h, w = pixels.shape[:2]
    xyxy, score = detector.detect(pixels)
    assert 1 <= len(xyxy) == len(score) <= detector.facts.max_boxes
    assert (xyxy.dtype, score.dtype) == (np.float32, np.float32)
    assert (xyxy >= 0).all()
    assert (xyxy <= [w, h, w, h]).all()
    assert (xyxy[:, 2:] > xyxy[:, :2]).all()
    assert (np.diff(score) <= 0).all()
    assert detector.facts.score_thresh <= score.min() <= score.max() <= 1


def test_no_two_boxes_overlap_more_than_the_manifest_allows(
    detector: Detector, astronaut: U8
) -> None:
    xyxy = detector.detect(astronaut).xyxy
    overlap = box_iou(xyxy, xyxy) - np.eye(len(xyxy))
    assert overlap.max() <= detector.facts.nms_thresh


def test_the_built_in_disc_is_found_tightly(detector: Detector) -> None:
    x, y = DISC_CENTRE_XY
    disc = np.array([[x - DISC_RADIUS, y - DISC_RADIUS, x + DISC_RADIUS, y + DISC_RADIUS]])
    assert box_iou(disc, detector.detect(pictures()[0]).xyxy[:1])[0, 0] > 0.9


def test_a_larger_picture_has_the_same_boxes_larger(detector: Detector, astronaut: U8) -> None:
    small = detector.detect(astronaut).xyxy[:1]
    large = detector.detect(np.ascontiguousarray(astronaut.repeat(2, 0).repeat(2, 1))).xyxy[:1]
    assert box_iou(small * 2, large)[0, 0] > 0.9


def test_on_plain_grey_nothing_is_sure(detector: Detector) -> None:
    xyxy, score = detector.detect(np.full((300, 400, 3), 114, np.uint8))
    assert xyxy.shape == (len(score), 4)
    assert (score < 0.1).all()


def test_no_box_is_an_empty_result(copy: Path, astronaut: U8) -> None:
    def only_certain(manifest: Plain) -> None:
        manifest["detector"]["score_thresh"] = 1.0

    edit_manifest(copy, only_certain)
    opened = open_detector(copy, OPTIONS, self_test=False)
    xyxy, score = opened.detect(astronaut)
    opened.close()
    assert (xyxy.shape, score.shape) == ((0, 4), (0,))
    assert (xyxy.dtype, score.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("hw", [(1, 1), (1, 400), (400, 1), (3, 2000)])
def test_thin_pictures_are_looked_at_too(detector: Detector, hw: tuple[int, int]) -> None:
    xyxy, score = detector.detect(np.zeros((*hw, 3), np.uint8))
    assert (xyxy <= [hw[1], hw[0]] * 2).all()
    assert len(xyxy) == len(score)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((0, 10, 3), np.uint8),
        np.zeros((10, 10, 3), np.float32),
    ],
    ids=["grey", "four channels", "empty", "float"],
)
def test_what_is_no_picture_is_refused(detector: Detector, pixels: U8) -> None:
    with pytest.raises(ShapeError, match=r"expected \(H, W, 3\) uint8 RGB"):
        detector.detect(pixels)


def test_a_closed_detector_says_so(astronaut: U8) -> None:
    opened = open_detector(None, OPTIONS, self_test=False)
    opened.close()
    opened.close()
    with pytest.raises(BackendError, match="closed"):
        opened.detect(astronaut)


def test_a_backend_it_has_no_engine_for_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no detector for tensorrt. It has .*onnxruntime"):
        open_detector(None, EngineOptions("tensorrt"))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'yolox-nano-int8'"):
        open_detector("yolox-nano-int4", OPTIONS)


def test_a_detector_is_no_segmenter(shipped: DetectorBundle) -> None:
    with pytest.raises(BundleError, match=r"is a detector, not a segmenter. Name a bundle with"):
        bundles.find(shipped.folder)
    with pytest.raises(BundleError, match="is a detector, not a segmenter"):
        es.open(bundles.DEFAULT_DETECTOR, board="cpu")


def test_a_segmenter_is_no_detector(default_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"is a segmenter, not a detector. Name a bundle that"):
        open_detector(default_bundle.folder, OPTIONS)


def test_either_kind_can_be_looked_at(shipped: DetectorBundle, default_bundle: Bundle) -> None:
    labels = {bundles.find_any(b.folder).label for b in (shipped, default_bundle)}
    assert labels == {shipped.label, default_bundle.label}


def test_the_manifest_says_whose_weights_these_are(shipped: DetectorBundle) -> None:
    manifest = shipped.manifest
    assert "Apache-2.0" in manifest.licence
    assert "YOLOX" in manifest.origin
    assert "coco-val" not in manifest.detector.chosen_on


def set_key(section: str, key: str, value: object) -> Callable[[Plain], None]:
    def edit(manifest: Plain) -> None:
        manifest[section][key] = value

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        set_key("detector", "nms_thresh", 1.5),
        set_key("detector", "max_boxes", 0),
        set_key("detector", "score_kind", "luck"),
        set_key("preprocess", "colour", "bgr"),
        set_key("preprocess", "input_dtype", "float32"),
        lambda m: m["engines"][0].update(part="encoder"),
        lambda m: m["engines"][0].update(side=None),
        lambda m: m.pop("self_test"),
        lambda m: m.update(surprise=1),
    ],
)
def test_a_damaged_manifest_is_refused(copy: Path, edit: Callable[[Plain], object]) -> None:
    edit_manifest(copy, edit)
    with pytest.raises(BundleError, match="is damaged: .*Install the bundle again"):
        bundles.load_detector(copy)


def test_an_altered_engine_is_refused(copy: Path, shipped: DetectorBundle) -> None:
    path = copy / shipped.manifest.engines[0].file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(BundleError, match="was altered"):
        open_detector(copy, OPTIONS)


def test_half_an_engine_is_refused(copy: Path, shipped: DetectorBundle) -> None:
    path = copy / shipped.manifest.engines[0].file
    content = path.read_bytes()[:1000]
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(BundleError, match="incomplete"):
        open_detector(copy, OPTIONS)


def test_an_engine_with_other_outputs_is_refused(copy: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx makes the engine for this test")
    model = onnx.load(copy / "detector-416.onnx")
    for node in model.graph.node:
        node.output[:] = ["confidence" if name == "scores" else name for name in node.output]
    model.graph.output[1].name = "confidence"
    put_engine(copy, 0, model.SerializeToString())

    def rename(manifest: Plain) -> None:
        manifest["engines"][0]["outputs"][1]["name"] = "confidence"

    edit_manifest(copy, rename)
    with pytest.raises(BundleError, match="outputs 'boxes_xyxy' and 'scores'"):
        open_detector(copy, OPTIONS)


@pytest.mark.parametrize("layer", ["in the middle", "the last"])
def test_an_engine_that_gives_other_boxes_is_refused(copy: Path, layer: str) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx breaks the engine for this test")
    model = onnx.load(copy / "detector-416.onnx")
    weights = [i for i in model.graph.initializer if len(i.dims) == 4]
    last = [i for i in weights if i.name.endswith("_and_objectness/weight")]
    found = last if layer == "the last" else weights
    broken = found[len(found) // 2]
    values = onnx.numpy_helper.to_array(broken)
    broken.CopyFrom(onnx.numpy_helper.from_array(np.zeros_like(values), broken.name))
    put_engine(copy, 0, model.SerializeToString())
    with pytest.raises(SelfTestError, match=r"self-test failed: .*Try another backend"):
        open_detector(copy, OPTIONS)
    open_detector(copy, OPTIONS, self_test=False).close()


def test_the_bundle_that_ships_passes_its_own_test(
    shipped: DetectorBundle, detector: Detector
) -> None:
    assert len(shipped.manifest.self_test.boxes) >= 1
    trust(shipped, detector)
