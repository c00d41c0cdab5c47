"""The packed encoder as an engine: what ONNX Runtime computes in bytes, and what it leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the factory's models need torch")

import torch
from onnx import ModelProto
from torch import nn

from edgesam_engines.byte_moves import join_bytes, move_bytes
from edgesam_engines.encoders import FloatEncoder, float_encoder
from edgesam_engines.families.lite0 import fold_norms
from edgesam_engines.families.pocketsam import PocketSAM
from edgesam_engines.families.pocketsam_family import EMBEDDING, PocketSamFamily
from edgesam_engines.graph_edits import PIXELS
from edgesam_engines.ptq import apply as ptq
from edgesam_engines.ptq.graphs import Feed, Feeds
from edgesam_engines.quantize import float_operations
from edgesam_engines.recipe import Calibration, Quantization
from edgesam_rt.types import AnyArray
from tests.engines.graph_doubles import between, count, optimised, run

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]

SIDE = 64


@pytest.fixture(scope="module")
def encoder() -> FloatEncoder:
    torch.manual_seed(0)
    model = PocketSAM()
    for layer in model.modules():  # biases that are all zero would be one constant of two layers
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.bias, std=0.1)
    fold_norms(model)
    return float_encoder(PocketSamFamily(), model.eval(), SIDE, for_int8=True)


@pytest.fixture(scope="module")
def quantized(encoder: FloatEncoder) -> ModelProto:
    """As the quantizer leaves it."""

    def make(seeds: Sequence[int]) -> Iterator[Feed]:
        for seed in seeds:
            pixels = np.random.default_rng(seed).integers(0, 256, encoder.shape)
            yield {"pixels_in": ((pixels - 127) / 128).astype(np.float32)}

    source = ptq.Source(encoder.graph, Feeds([0, 1], make), encoder.keep_float, encoder.known)
    return ptq.quantize(source, Calibration(photos=2), Quantization(), None).graph


@pytest.fixture(scope="module")
def engine(encoder: FloatEncoder, quantized: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(quantized)
    encoder.finish(copy)
    return copy


@pytest.fixture(scope="module")
def as_run(engine: ModelProto, tmp_path_factory: pytest.TempPathFactory) -> ModelProto:
    """The same as ONNX Runtime runs it."""
    return optimised(engine, tmp_path_factory.mktemp("optimised"))


def test_every_convolution_computes_in_integers(engine: ModelProto, as_run: ModelProto) -> None:
    assert count(as_run, "QLinearConv") == count(engine, "Conv")


def test_nothing_between_convolutions_is_float(as_run: ModelProto) -> None:
    inner = ModelProto()
    inner.graph.node.extend(between(as_run, "QLinearConv"))
    assert float_operations(inner) == {}
    assert count(inner, "DequantizeLinear") == 0
    assert count(as_run, "QuantizeLinear") == 0


def test_nothing_is_copied_to_lose_an_axis_or_to_be_taken_apart(as_run: ModelProto) -> None:
    kinds = {node.op_type for node in as_run.graph.node}
    assert kinds.isdisjoint({"Gather", "Resize", "Slice", "Split", "Squeeze", "Unsqueeze"})


def test_every_output_is_dequantized_last(as_run: ModelProto) -> None:
    made = {name: node.op_type for node in as_run.graph.node for name in node.output}
    assert {made[name] for name in EMBEDDING} == {"DequantizeLinear"}
    assert count(as_run, "DequantizeLinear") == len(EMBEDDING)


def test_moving_and_joining_bytes_changes_no_value(quantized: ModelProto) -> None:
    after = ModelProto()
    after.CopyFrom(quantized)
    move_bytes(after)
    join_bytes(after)
    assert count(after, "QuantizeLinear") < count(quantized, "QuantizeLinear")
    shape = [d.dim_value for d in quantized.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    for name, old, new in zip(
        EMBEDDING, run(quantized, pixels_in=x), run(after, pixels_in=x), strict=True
    ):
        np.testing.assert_allclose(new, old, rtol=1e-6, atol=0, err_msg=name)


def test_the_planes_behind_the_pixels_stay_exact(engine: ModelProto) -> None:
    picture: AnyArray = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    planes = run(engine, **{PIXELS: picture})[-1][-3:]
    centres = (np.arange(SIDE // 4) + 0.5) / (SIDE // 4)
    np.testing.assert_allclose(planes[0], np.broadcast_to(centres, planes[0].shape), rtol=1e-6)
    np.testing.assert_allclose(planes[1], planes[0].T)
    assert (planes[2] == 1).all()


def test_an_engine_is_written_whole(engine: ModelProto, tmp_path: Path) -> None:
    used = {name for node in engine.graph.node for name in node.input}
    assert {i.name for i in engine.graph.initializer} <= used
