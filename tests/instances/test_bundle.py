"""Bundles that find instances, damaged or broken: what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import edgesam_rt as es
from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import Bundle
from edgesam_rt.decoders import open_decoder
from edgesam_rt.errors import BundleError, SelfTestError
from edgesam_rt.manifest import EverythingFacts, InstanceFacts, Manifest
from edgesam_rt.selftest import pictures
from tests.bundle_doubles import Plain, edit_manifest, linked_copy, put_engine
from tests.instances import colour_net
from tests.instances.workplace import OPTIONS, SIDE, make_bundle


@pytest.fixture
def copy(colours: Bundle, tmp_path: Path) -> Path:
    return linked_copy(colours, tmp_path / "copy")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m["instances"].update(score_thresh=1.5), "is damaged: .*score_thresh"),
        (lambda m: m["instances"].update(max_boxes=0), "is damaged: .*max_boxes"),
        (lambda m: m["instances"].update(border_px=-1), "is damaged: .*border_px"),
        (lambda m: m["instances"].update(surprise=1), "is damaged: .*surprise"),
        (lambda m: m["instances"].pop("nms_thresh"), "is damaged: .*nms_thresh"),
        (lambda m: m.update(instances=None), "no decoder for onnxruntime"),
    ],
)
def test_a_damaged_manifest_is_refused(
    copy: Path, edit: Callable[[Plain], object], message: str
) -> None:
    edit_manifest(copy, edit)
    with pytest.raises((BundleError, es.BackendError), match=message):
        es.open(copy, board="cpu")


def test_an_encoder_without_the_tensors_of_instances_is_refused(copy: Path) -> None:
    def rename(manifest: Plain) -> None:
        manifest["engines"][0]["outputs"][0]["name"] = "boxes"

    edit_manifest(copy, rename)
    with pytest.raises(BundleError, match="this one gives boxes, coefficients, prototypes, scores"):
        open_decoder(bundles.load(copy), OPTIONS, SIDE)


def scaled(colours: Bundle, part: str, by: float) -> bytes:
    """The engine with the weights that make an output multiplied."""
    model = onnx.load(colours.path(colours.manifest.engines[0]))
    made = {name: node for node in model.graph.node for name in node.output}
    node = made[part]
    while node.op_type != "Conv":
        node = made[node.input[0]]
    for tensor in model.graph.initializer:
        if tensor.name in node.input[1:]:
            values = numpy_helper.to_array(tensor) * np.float32(by)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize(
    ("part", "by", "message"),
    [
        ("prototypes", 0.0, "nearly the same embedding"),
        ("prototypes", -1.0, "output 'prototypes' is another"),
        ("prototypes", np.nan, "nearly the same embedding"),
    ],
)
def test_an_engine_that_computes_nonsense_is_refused(
    colours: Bundle, copy: Path, part: str, by: float, message: str
) -> None:
    put_engine(copy, 0, scaled(colours, part, by))
    with pytest.raises(SelfTestError, match=message):
        es.open(copy, board="cpu")


def test_a_network_that_takes_the_disc_for_nothing_is_tested_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(colour_net.COLOURS, "disc", (1, 2, 3))
    blind = make_bundle(tmp_path / "blind")
    with es.open(blind.folder, board="cpu") as seg:
        point = es.Prompt.point(*blind.manifest.self_test.point)
        assert not seg.predict(seg.encode(pictures()[0]), point).masks.any()
    put_engine(blind.folder, 0, scaled(blind, "prototypes", -1.0))
    with pytest.raises(SelfTestError, match="'prototypes' is another"):
        es.open(blind.folder, board="cpu")


def test_manifests_say_what_everything_mode_goes_by(
    colours: Bundle, default_bundle: Bundle
) -> None:
    assert isinstance(colours.manifest.thresholds, InstanceFacts)
    assert isinstance(default_bundle.manifest.thresholds, EverythingFacts)
    again = msgspec.json.decode(msgspec.json.encode(colours.manifest), type=Manifest)
    assert again == colours.manifest
