"""YOLOX-nano to a detector bundle: graphs, recipes, box recall, a small build, and what ships."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import cv2
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from edgesam_engines import cli
from edgesam_engines.detectors import build, recall, recipe, yolox
from edgesam_engines.errors import CalibrationError, CheckpointError
from edgesam_engines.ptq.graphs import session
from edgesam_rt.bundle import find_detector, load_detector
from edgesam_rt.detector import Detector
from edgesam_rt.errors import ConfigError
from edgesam_rt.imaging.files import read_image
from edgesam_rt.imaging.geometry import Fit, to_encoder_input
from edgesam_rt.segmenter import EngineOptions
from edgesam_rt.types import F32, U8

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "demo" / "photos"
WEIGHTS = ROOT.parent / "shared" / "data" / "weights" / "yolox_nano.onnx"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"{WEIGHTS.name} is not here")
SHIPPED = "yolox-nano-int8"


@pytest.fixture(scope="module")
def published() -> onnx.ModelProto:
    return yolox.read(WEIGHTS)


@pytest.fixture(scope="module")
def float_engine(published: onnx.ModelProto) -> ort.InferenceSession:
    body = yolox.body(published)
    return session(build.finished(body.graph, body))


@pytest.fixture(scope="module")
def square() -> U8:
    pixels = read_image(PHOTOS / "woman-in-room.jpg")
    return to_encoder_input(pixels, Fit.longest_side(pixels.shape[:2], 416), 114)


def convolved(weight: F32, x: F32, strides: list[int], pads: list[int]) -> F32:
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], strides=strides, pads=pads, kernel_shape=weight.shape[2:]
    )
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made: F32 = session(model).run(None, {"x": x})[0]
    return made


def test_a_stem_over_pairs_of_rgb_pixels_makes_the_same_sums_as_focus_over_bgr() -> None:
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(4, 12, 3, 3)).astype(np.float32)
    bgr = rng.normal(size=(1, 3, 16, 16)).astype(np.float32)
    quarters = [bgr[..., r::2, c::2] for r, c in ((0, 0), (1, 0), (0, 1), (1, 1))]
    wanted = convolved(weight, np.concatenate(quarters, 1), [1, 1], [1, 1, 1, 1])
    rgb = bgr[0, ::-1].transpose(1, 2, 0)
    pairs = np.ascontiguousarray(rgb).reshape(1, 16, 8, 6).transpose(0, 3, 1, 2)
    made = convolved(
        yolox.focus_to_pairs(weight), np.ascontiguousarray(pairs), [2, 1], [2, 1, 2, 1]
    )
    assert np.allclose(made, wanted, atol=1e-4)


@needs_weights
def test_the_float_engine_gives_the_published_graphs_boxes(
    published: onnx.ModelProto, float_engine: ort.InferenceSession, square: U8
) -> None:
    bgr = np.ascontiguousarray(square[..., ::-1].transpose(2, 0, 1)[None], np.float32)
    raw = session(published).run(None, {"images": bgr})[0][0]
    boxes, scores = float_engine.run(["boxes_xyxy", "scores"], {"pixels_u8": square[None]})
    at = 0
    for stride, n in ((8, 52), (16, 26), (32, 13)):
        of_stride = slice(at, at + n * n)
        y, x = np.divmod(np.arange(n * n), n)
        centre = (raw[of_stride, :2] + np.stack([x, y], 1)) * stride
        half = np.exp(raw[of_stride, 2:4]) * stride / 2
        wanted = np.concatenate([centre - half, centre + half], 1)
        assert np.allclose(boxes[0, of_stride], wanted, atol=0.05)
        at += n * n
    assert np.allclose(scores[0], raw[:, 4], atol=1e-4)


@needs_weights
def test_what_ships_finds_the_float_engines_sure_boxes(float_engine: ort.InferenceSession) -> None:
    detector = Detector(find_detector(SHIPPED), EngineOptions("onnxruntime"))
    ious = []
    for path in sorted(PHOTOS.glob("*.jpg")):
        pixels = read_image(path)
        fit = Fit.longest_side(pixels.shape[:2], 416)
        feed = to_encoder_input(pixels, fit, 114)[None]
        boxes, scores = float_engine.run(["boxes_xyxy", "scores"], {"pixels_u8": feed})
        best = boxes[0, scores[0].argmax()].reshape(2, 2) / np.float32(416)
        h, w = pixels.shape[:2]
        wanted = fit.from_unit(best).reshape(1, 4).clip(0, [w, h, w, h])
        ious.append(recall.best_ious(wanted, detector.detect(pixels).xyxy)[0])
    detector.close()
    assert np.mean(ious) > 0.85
    assert min(ious) > 0.6


def test_its_recipe_is_a_detectors_and_others_are_not() -> None:
    assert SHIPPED in recipe.names()
    assert recipe.is_detector(SHIPPED)
    assert not recipe.is_detector("pocketsam-int8")
    assert recipe.load(SHIPPED).name == SHIPPED


def test_what_ships_was_made_by_its_recipe() -> None:
    made, wanted = find_detector(SHIPPED).manifest, recipe.load(SHIPPED)
    assert (made.version, made.origin, made.detector) == (
        wanted.version,
        wanted.origin,
        wanted.detector,
    )
    assert made.verification["boxes"]["found_at_0.8"] >= wanted.acceptance.boxes_found


def test_an_unknown_detector_recipe_is_named() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'yolox-nano-int8'"):
        recipe.load("yolox-nano-int4")


def test_another_file_than_the_recipes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "yolox_nano.onnx").write_bytes(b"something else")
    job = build.Job(recipe.load(SHIPPED), tmp_path, PHOTOS, tmp_path / "out")
    with pytest.raises(CheckpointError, match="expected sha256 695e750a5d57"):
        build.run(job, lambda step: None)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_the_weights_says_what_to_name(tmp_path: Path) -> None:
    job = build.Job(recipe.load(SHIPPED), tmp_path, PHOTOS, tmp_path / "out")
    with pytest.raises(CheckpointError, match="no such file.*--checkpoint"):
        build.run(job, lambda step: None)


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x07"])
def test_what_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.onnx"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"not (YOLOX|a complete ONNX file)"):
        yolox.read(path)


def test_another_graph_is_refused() -> None:
    scorer = ROOT / "engines" / "prebuilt" / "pocketsam-int8" / "scorer.onnx"
    with pytest.raises(CheckpointError, match="not YOLOX: expected one picture"):
        yolox.read(scorer)


@pytest.mark.parametrize("missing", ["checkpoint", "calibration"])
def test_a_build_without_weights_or_photos_names_the_flag(
    missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"checkpoint": str(WEIGHTS), "calibration": str(PHOTOS)}
    del given[missing]
    code = cli.main(["build", SHIPPED, *(t for k, v in given.items() for t in (f"--{k}", v))])
    assert code == 2
    assert f"--{missing}" in capsys.readouterr().err


@needs_weights
def test_a_small_build_gives_a_bundle_that_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (recipe.RECIPES / f"{SHIPPED}.toml").read_text(encoding="utf-8")
    text = text.replace("photos = 64", "photos = 3").replace('"percentile"', '"minmax"')
    quick = tmp_path / "quick.toml"
    quick.write_text(text.replace("boxes_found = 0.85", "boxes_found = 0.3"), encoding="utf-8")
    truth = tmp_path / "truth"
    truth.mkdir()
    cv2.imwrite(str(truth / "0.webp"), np.full((60, 80, 3), 90, np.uint8))
    ids = np.zeros((60, 80), np.uint8)
    ids[10:30, 20:50] = 7
    cv2.imwrite(str(truth / "0.png"), ids)
    out = tmp_path / "made"
    arguments = {"checkpoint": WEIGHTS.parent, "calibration": PHOTOS, "truth": truth, "out": out}
    flags = [text for k, v in arguments.items() for text in (f"--{k}", str(v))]
    assert cli.main(["build", str(quick), *flags]) == 0
    assert "yolox" in capsys.readouterr().out
    found = load_detector(out)
    assert found.manifest.verification["recall_truth"]["boxes"] == 1
    assert cli.main(["inspect", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "detector"


def test_boxes_of_ids_are_tight_and_exclusive() -> None:
    ids = np.zeros((6, 9), np.uint16)
    ids[1:3, 2:5] = 300
    ids[5, 8] = 1
    assert recall.boxes_of_ids(ids).tolist() == [[8, 5, 9, 6], [2, 1, 5, 3]]
    assert recall.boxes_of_ids(np.zeros((4, 4), np.uint8)).shape == (0, 4)


def test_a_found_box_serves_one_true_box_only() -> None:
    box = np.array([[0, 0, 10, 10]], np.float32)
    both = np.concatenate([box, box])
    assert sorted(recall.best_ious(both, box)) == [0, 1]
    assert recall.best_ious(box, np.zeros((0, 4), np.float32)).tolist() == [0]
    assert recall.average_recall(np.array([1.0, 0.0])) == 0.5
    assert recall.average_recall(np.array([0.5])) == pytest.approx(0.1)


def test_a_truth_folder_without_id_maps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"no photos NAME.webp with an id map"):
        recall.photos([tmp_path])
