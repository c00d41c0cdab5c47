"""Published families for TensorRT: graphs that its parser takes, and a board's way to plans.

TensorRT itself cannot run here: the parser's rules are checked one by one, the numbers are ONNX
Runtime's, and plans are made and run by the double of `tests/doubles/nvidia`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="builds need torch")

import torch
from torch import nn

import edgesam_rt as es
from edgesam_engines import build, tensorrt_graphs
from edgesam_engines.export import simplify, to_onnx
from edgesam_engines.families.base import Family, GraphSpec
from edgesam_engines.families.edgesam import EdgeSam, EdgeSamEncoder
from edgesam_engines.families.efficient_sam import EfficientSam, EfficientSamModel
from edgesam_engines.families.efficient_sam_vit import PlainVitShape
from edgesam_engines.families.efficientvit_sam import EfficientVitSam
from edgesam_engines.families.nanosam import NanoSam
from edgesam_engines.families.sam_family import PREPROCESS, SamFamily
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.families.sam_vit import ImageEncoderViT, VitShape
from edgesam_engines.ptq.apply import Quantized, Source, maker_of
from edgesam_engines.ptq.graphs import Feed, Feeds, session
from edgesam_engines.recipe import Calibration, Quantization
from edgesam_rt import backends, selftest
from edgesam_rt.backends.tensorrt.profiles import profiles_of
from edgesam_rt.bundle import Bundle
from edgesam_rt.types import F32
from tests.doubles.nvidia.device import DEVICE
from tests.doubles.nvidia.install import installed
from tests.engines.families import toy
from tests.engines.tensorrt_rules import check_decoder, check_operators, check_quantized

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]
SIDE = 128  # of small encoders


def one_convolution() -> SamModel:
    """Decoders of one kind are alike whatever the encoder is."""
    torch.manual_seed(0)
    return SamModel(nn.Conv2d(3, 256, 16, 16), 64, 1024).eval()


def efficient_sam() -> EfficientSamModel:
    torch.manual_seed(0)
    return EfficientSamModel(PlainVitShape(192, 1)).eval()


DECODERS: list[tuple[Family, nn.Module]] = [
    (toy.Toy(), one_convolution()),
    (EdgeSam(), one_convolution()),
    (EfficientSam(), efficient_sam()),
]


def asked(spec: GraphSpec, prompts: int) -> dict[str, F32]:
    """Inputs for so many prompts of two points, and one row of earlier masks for all."""
    rng = np.random.default_rng(prompts)
    feeds = {}
    for name, example in spec.inputs.items():
        shape = list(example.shape)
        if 0 in spec.free_axes.get(name, {}):
            shape[0] = 1 if name == "mask_input" else prompts
        feeds[name] = rng.normal(0, 1, shape).astype(np.float32)
    feeds["point_coords"] = rng.uniform(0, 1024, (prompts, 2, 2)).astype(np.float32)
    feeds["point_labels"] = np.tile(np.float32([2, 3]), (prompts, 1))
    feeds["has_mask_input"] = np.zeros((prompts, 1), np.float32)
    return feeds


@pytest.mark.parametrize(("family", "model"), DECODERS, ids=lambda x: getattr(x, "name", ""))
def test_a_decoder_is_one_that_tensorrt_parses_and_answers_any_number_of_prompts(
    family: Family, model: nn.Module
) -> None:
    (spec,) = family.decoder_graphs(model, 1024).values()
    graph = simplify(to_onnx(spec))
    check_decoder(graph)
    run, taken = session(graph), {i.name for i in graph.graph.input}
    for prompts in (1, 3, 16):
        feeds = asked(spec, prompts)
        made = run.run(None, {n: v for n, v in feeds.items() if n in taken})
        with torch.no_grad():
            wanted = spec.module(*(torch.from_numpy(feeds[n]) for n in spec.inputs))
        for got, want in zip(made, wanted, strict=True):
            assert got.shape[0] == prompts
            np.testing.assert_allclose(got, want.numpy(), rtol=1e-3, atol=1e-3)


def small_vit() -> nn.Module:
    torch.manual_seed(0)
    return ImageEncoderViT(VitShape(dim=48, mlp=96, depth=4, grid=SIDE // 16)).eval()


def small_repvit() -> nn.Module:
    torch.manual_seed(0)
    made = EdgeSamEncoder().eval()
    made.fuse()
    return made


@pytest.fixture(scope="module")
def pictures() -> list[F32]:
    rng = np.random.default_rng(1)
    return [rng.normal(0, 1, (1, 3, SIDE, SIDE)).astype(np.float32) for _ in range(2)]


@pytest.mark.parametrize("network", [small_vit, pytest.param(small_repvit, marks=pytest.mark.slow)])
def test_an_encoder_around_zero_keeps_the_parsers_rules_and_nearly_the_values(
    network: Callable[[], nn.Module], pictures: list[F32]
) -> None:
    spec = GraphSpec(network(), {"x": torch.zeros(1, 3, SIDE, SIDE)}, ("y",))
    exact = simplify(to_onnx(spec))

    def feeds(items: Sequence[F32]) -> Iterator[Feed]:
        yield from ({"x": x} for x in items)

    source = Source(exact, Feeds(pictures, feeds))
    maker = maker_of(source, Calibration(), Quantization(bias_correction=True, gelu="sigmoid"))
    made = Quantized(maker.make(), {"float_layers": []}, maker)
    graph = tensorrt_graphs.symmetric_encoder(made, PREPROCESS)
    check_operators(graph)
    check_quantized(graph)
    assert graph.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    for x in pictures:
        (got,), (want,) = (session(g).run(None, {"x": x}) for g in (graph, exact))
        assert selftest.cosine(got, want) > 0.9


@pytest.mark.slow
def test_a_plans_profiles_go_as_far_as_the_family_asks_at_once(jetson: Bundle) -> None:
    entry = jetson.engine("decoder", "tensorrt", 1024)
    few, many = profiles_of(jetson, entry, "tensorrt")
    assert few["point_coords"] == ((1, 1, 2), (1, 2, 2), (4, 33, 2))
    assert many["point_coords"] == ((5, 1, 2), (16, 2, 2), (16, 33, 2))
    assert many["mask_input"] == ((1, 1, 256, 256), (1, 1, 256, 256), (16, 1, 256, 256))


# From a checkpoint to answers on a board's double


@pytest.fixture(scope="module")
def jetson(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """An INT8 bundle as `--board jetson-…` asks for it."""
    folder = tmp_path_factory.mktemp("jetson")
    (folder / "photos").mkdir()
    with toy.in_the_table():
        wanted = toy.job(
            "int8",
            toy.checkpoint_in(folder),
            toy.photos_in(folder / "photos"),
            folder / "bundle",
            tensorrt=True,
        )
        yield build.run(wanted, lambda step: None)


@pytest.mark.slow
def test_a_bundle_for_a_jetson_has_a_second_encoder_and_the_same_decoder(jetson: Bundle) -> None:
    rows = {(e.part, e.backend): e for e in jetson.manifest.engines}
    assert rows["encoder", "tensorrt"].file == "encoder-1024-s8.onnx"
    assert rows["decoder", "tensorrt"].sha256 == rows["decoder", "onnxruntime"].sha256
    check_quantized(onnx.load(jetson.path(rows["encoder", "tensorrt"])))
    check_decoder(onnx.load(jetson.path(rows["decoder", "tensorrt"])))
    figures = jetson.manifest.verification["tensorrt"]["side_1024"]
    assert figures["cosine"]["image_embeddings"] > 0.98


@pytest.mark.slow
@pytest.mark.parametrize("version", ["8.6.1", "11.4.0"])
def test_its_plans_answer_as_onnx_runtime_does(
    jetson: Bundle, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGESAM_CACHE", str(tmp_path))
    pixels, most = selftest.pictures()[0], jetson.manifest.decoder.prompts_per_call
    prompts = [es.Prompt.point(40 + 10 * i, 60) for i in range(most + 4)]
    with installed(version):
        backends.prepare(jetson, "tensorrt", None, rebuild=False)
        backends.judge(jetson, "tensorrt", [])
        with es.open(jetson.folder, backend="tensorrt") as seg:
            made = seg.predict(seg.encode(pixels), prompts)
            assert seg.backend == "tensorrt"
        assert DEVICE.left_over() == []
    with es.open(jetson.folder, backend="onnxruntime") as seg:
        wanted = seg.predict(seg.encode(pixels), prompts)
    assert len(made) == len(wanted) == most + 4
    for got, want in zip(made, wanted, strict=True):
        assert selftest.cosine(got.low_res_logits, want.low_res_logits) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("family", [NanoSam(), EfficientVitSam()], ids=lambda f: f.name)
def test_a_whole_encoder_has_no_operator_that_tensorrt_lacks(family: SamFamily) -> None:
    torch.manual_seed(0)
    model = SamModel(family.image_encoder({}), 64, 1024).eval()
    spec = family.encoder_graph(family.folded(model), family.side, for_int8=True)
    check_operators(simplify(to_onnx(spec)))
