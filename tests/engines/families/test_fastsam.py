"""FastSAM: a user's ONNX export to a bundle, in float and in integers, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

pytest.importorskip("torch", reason="builds need torch")

import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper

import edgesam_rt as es
from edgesam_engines import board_targets, build, cli, recipe
from edgesam_engines.errors import CheckpointError
from edgesam_engines.families import fastsam_export
from edgesam_engines.families.fastsam import FastSam
from edgesam_engines.families.fastsam_graph import kept_float
from edgesam_engines.onnx_network import OnnxNetwork
from edgesam_rt.bundle import Bundle
from edgesam_rt.instances.tensors import TENSORS
from edgesam_rt.manifest import Precision
from edgesam_rt.types import F32, AnyArray
from tests.engines.families.seeded_net import exported, seeded
from tests.instances import workplace
from tests.instances.colour_net import NAMES, export, shape_mask, shapes_picture

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]
SIDE = 256
PHOTOS = Path(__file__).resolve().parents[3] / "demo" / "photos"
Change = Callable[[onnx.ModelProto], object]


def saved(model: onnx.ModelProto, folder: Path, name: str = "FastSAM-s.onnx") -> Path:
    onnx.save(model, folder / name)
    return folder / name


def square(hw: tuple[int, int] = (192, 256)) -> F32:
    """The shapes as the network takes them, (1, 3, S, S) in [0, 1]."""
    pixels = np.full((SIDE, SIDE, 3), 114, np.float32)
    pixels[: hw[0], : hw[1]] = shapes_picture(hw)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None] / np.float32(255))


def published(model: onnx.ModelProto, pixels: F32) -> tuple[AnyArray, AnyArray]:
    run = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers, prototypes = run.run(["output0", "output1"], {"images": pixels})
    return answers, prototypes


def network(path: Path) -> OnnxNetwork:
    loaded = FastSam().load(path)
    assert isinstance(loaded, OnnxNetwork)
    return loaded


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(export(SIDE), tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i, hw in enumerate(((192, 256), (480, 640), (333, 250), (300, 300))):
        cv2.imwrite(str(folder / f"{i}.png"), shapes_picture(hw)[..., ::-1])
    return folder


def built(precision: Precision, checkpoint: Path, out: Path, photos: Path | None = None) -> Bundle:
    wanted, _ = recipe.of_family("fastsam", precision)
    return build.run(build.Job(wanted, checkpoint, photos, out), lambda step: None)


@pytest.fixture(scope="module")
def floats(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return built("fp32", checkpoint, tmp_path_factory.mktemp("out") / "fp32")


@pytest.fixture(scope="module")
def integers(checkpoint: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return built("int8", checkpoint, tmp_path_factory.mktemp("out") / "int8", photos)


# The graph


@pytest.mark.parametrize("opset", [13, 16, 17, 18, 19])
def test_the_arranged_graph_says_what_the_export_says(tmp_path: Path, opset: int) -> None:
    model, pixels = export(SIDE, opset=opset), square()
    answers, prototypes = published(model, pixels)
    made = network(saved(model, tmp_path))(torch.from_numpy(pixels))
    boxes, scores, coefficients, maps = (value.numpy() for value in made)
    cx, cy, wide, high = answers[0, :4]
    corners = np.stack([cx - wide / 2, cy - high / 2, cx + wide / 2, cy + high / 2], -1)
    np.testing.assert_allclose(boxes[0], corners, atol=1e-3)
    np.testing.assert_allclose(scores[0], answers[0, 4], atol=1e-6)
    np.testing.assert_allclose(coefficients[0], answers[0, 5:], atol=1e-5)
    np.testing.assert_allclose(maps, prototypes, atol=1e-4)


def test_of_many_classes_the_likeliest_gives_the_score(tmp_path: Path) -> None:
    model, pixels = export(SIDE, classes=80), square()
    answers, _ = published(model, pixels)
    many = network(saved(model, tmp_path))
    assert ["80 classes" in remark for remark in many.remarks] == [True]
    _, scores, coefficients, _ = many(torch.from_numpy(pixels))
    np.testing.assert_allclose(scores[0], answers[0, 4:84].max(0), atol=1e-6)
    np.testing.assert_allclose(coefficients[0], answers[0, 84:], atol=1e-5)


def free_axes(model: onnx.ModelProto) -> None:
    for axis, name in ((0, "batch"), (2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    for output in model.graph.output:
        for dim in output.type.tensor_type.shape.dim:
            dim.dim_param = "anything"


def test_free_axes_get_the_side_that_fastsam_is_made_for(tmp_path: Path) -> None:
    model = export(1024)
    free_axes(model)
    assert network(saved(model, tmp_path)).side == 1024


@pytest.mark.parametrize("is_free", [False, True])
def test_what_torch_exports_of_such_a_network_says_the_same(tmp_path: Path, is_free: bool) -> None:
    net = seeded()
    made = network(saved(exported(net, SIDE, is_free=is_free), tmp_path))
    assert made.side == (1024 if is_free else SIDE)
    pixels = torch.rand(1, 3, made.side, made.side)
    with torch.no_grad():
        answers, prototypes = net(pixels)
    boxes, scores, coefficients, maps = made(pixels)
    centres = (boxes[0, :, :2] + boxes[0, :, 2:]) / 2
    torch.testing.assert_close(centres.T, answers[0, :2], atol=1e-3, rtol=0)
    torch.testing.assert_close(scores, answers[:, 4], atol=1e-5, rtol=0)
    torch.testing.assert_close(coefficients, answers[:, 5:], atol=1e-5, rtol=0)
    torch.testing.assert_close(maps, prototypes, atol=1e-5, rtol=0)


@pytest.mark.parametrize("names", [("400", "401"), ("scores", "boxes_xyxy")])
def test_outputs_of_other_names_and_another_order_are_told_by_their_shapes(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    model = export(SIDE)
    outputs = [model.graph.output[1], model.graph.output[0]]
    for output, name in zip(outputs, names, strict=True):
        made = next(n for n in model.graph.node if n.output[0] == output.name)
        made.output[0] = output.name = name
    kept = [onnx.ValueInfoProto.FromString(o.SerializeToString()) for o in outputs]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    found = network(saved(model, tmp_path))
    assert [o.name for o in found.graph.graph.output] == list(TENSORS)


def test_from_the_last_convolution_of_every_branch_on_all_stays_float(checkpoint: Path) -> None:
    graph = network(checkpoint).graph
    kept = set(kept_float(graph))
    names = Counter(n.op_type for n in graph.graph.node if n.output[0] in kept)
    assert names["Conv"] == 3 * 3 + 1 + 1  # of three levels, of the prototypes, of the distances
    assert names["Softmax"] == names["Sigmoid"] == 1
    assert names["AveragePool"] == names["Relu"] == 0
    assert set(TENSORS) <= kept


def test_networks_differ_by_what_they_say(checkpoint: Path, tmp_path: Path) -> None:
    model = export(SIDE)
    weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 2, weight.name))
    other = network(saved(model, tmp_path))
    digests = [m.state_dict()["digest"].tolist() for m in (network(checkpoint), other)]
    assert digests[0] != digests[1]


# The bundle


def test_the_bundle_is_what_the_runtimes_tests_take_it_for(floats: Bundle) -> None:
    manifest = floats.manifest
    assert manifest.preprocess == workplace.PREPROCESS
    assert manifest.decoder == workplace.DECODER
    chosen_on = manifest.instances.chosen_on if manifest.instances else ""
    assert manifest.instances == msgspec.structs.replace(workplace.FACTS, chosen_on=chosen_on)
    assert [(e.part, e.side) for e in manifest.engines] == [("encoder", SIDE)]
    assert manifest.licence.startswith("AGPL-3.0")


def test_float_engines_are_the_float_model(floats: Bundle) -> None:
    figures = floats.manifest.verification[f"side_{SIDE}"]
    assert figures["mean_iou"] == 1.0
    assert min(figures["cosine"].values()) > 0.9999


def test_integers_find_the_float_models_instances_again(integers: Bundle) -> None:
    figures = integers.manifest.verification[f"side_{SIDE}"]
    assert figures["by_box"]["prompts"] == figures["prompts"] >= 6 * figures["photos"]
    assert figures["mean_iou"] > 0.97
    assert min(figures["cosine"].values()) > 0.999


@pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"{PHOTOS.name} is not here")
def test_a_network_with_silu_is_in_integers_between_its_ends(tmp_path: Path) -> None:
    checkpoint = saved(exported(seeded(), SIDE), tmp_path)
    made = built("int8", checkpoint, tmp_path / "out", PHOTOS)
    figures = made.manifest.verification[f"side_{SIDE}"]
    assert figures["by_box"]["prompts"] > 100
    assert figures["mean_iou"] > 0.93
    assert min(figures["least_cosine"].values()) > 0.99
    graph = network(checkpoint).graph
    kept = set(kept_float(graph))
    body = Counter(n.op_type for n in graph.graph.node if n.output[0] not in kept)
    assert layers_in_integers(made) == body["Conv"] + body["ConvTranspose"] > 20


def shapes_found(bundle: Bundle) -> list[float]:
    """IoU of every shape with the mask that is most like it."""
    pixels = shapes_picture((240, 320))
    with es.open(bundle.folder, board="cpu", threads=1) as seg:
        masks = seg.everything(pixels).masks
    wanted = [shape_mask(pixels, name) for name in NAMES if name != "disc"]
    return [max(float((m & w).sum() / (m | w).sum()) for m in masks) for w in wanted]


def test_either_bundle_cuts_out_every_shape(floats: Bundle, integers: Bundle) -> None:
    assert min(shapes_found(floats)) > 0.92
    assert min(shapes_found(integers)) > 0.85


def layers_in_integers(bundle: Bundle) -> int:
    """How many convolutions read weights that are rounded."""
    (entry,) = bundle.manifest.engines
    engine = onnx.load(bundle.path(entry))
    made = {name: node.op_type for node in engine.graph.node for name in node.output}
    layers = [n for n in engine.graph.node if n.op_type in ("Conv", "ConvTranspose")]
    return sum(made.get(n.input[1]) == "DequantizeLinear" for n in layers)


def test_the_body_is_in_integers_and_the_end_of_the_head_is_not(
    integers: Bundle, checkpoint: Path
) -> None:
    plain = Counter(n.op_type for n in network(checkpoint).graph.graph.node)
    assert layers_in_integers(integers) == plain["Conv"] - 11 > 0


def test_the_command_prints_the_licence_and_makes_what_it_was_asked_for(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGESAM_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "fastsam"
    given = ("--family", "fastsam", "--checkpoint", str(checkpoint), "--board", "rpi5")
    assert cli.main(["build", *given, "--precision", "fp32", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "weights: AGPL-3.0" in said.err
    assert "AGPL-3.0" in said.out
    assert cli.main(["inspect", str(out)]) == 0
    assert f"encoder-{SIDE}.onnx" in capsys.readouterr().out
    with es.open(out, board="rpi5", backend="onnxruntime") as seg:
        assert seg.encoder_side == SIDE


def test_graphs_for_tensorrt_come_as_near(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    wanted, _ = recipe.of_family("fastsam", "int8")
    wanted = board_targets.target(wanted, "jetson-orin-nano").recipe
    job = build.Job(wanted, checkpoint, photos, tmp_path / "out")
    made = build.run(job, lambda step: None)
    assert made.backends == ("onnxruntime", "tensorrt")
    assert made.manifest.verification["tensorrt"][f"side_{SIDE}"]["mean_iou"] > 0.95


# What is refused


def test_boards_without_onnx_runtime_are_refused(
    checkpoint: Path, floats: Bundle, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--family", "fastsam", "--checkpoint", str(checkpoint), "--precision", "fp32")
    assert cli.main(["build", *given, "--board", "android"]) == 2
    assert "networks that find instances are not translated" in capsys.readouterr().err
    assert cli.main(["add-litert", str(floats.folder), "--photos", str(photos)]) == 1
    assert "are not translated for LiteRT" in capsys.readouterr().err


def half_inputs(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    model.graph.node.insert(0, helper.make_node("Cast", ["images"], ["wide"], "c", to=1))
    for node in list(model.graph.node)[1:]:
        node.input[:] = ["wide" if name == "images" else name for name in node.input]


def of_pictures(*shape: int) -> Change:
    """A network of one layer that takes pictures of another shape."""

    def change(model: onnx.ModelProto) -> None:
        kind = TensorProto.FLOAT
        graph = helper.make_graph(
            [helper.make_node("Relu", ["images"], ["output0"])],
            "other",
            [helper.make_tensor_value_info("images", kind, shape)],
            [helper.make_tensor_value_info("output0", kind, shape)],
        )
        model.graph.CopyFrom(graph)

    return change


def without_masks(model: onnx.ModelProto) -> None:
    del model.graph.output[1]


def suppressed(model: onnx.ModelProto) -> None:
    """As end-to-end exports are: at most 300 rows of box, score, class and 32 coefficients."""
    node = helper.make_node("Gather", ["output0", "first"], ["rows"], axis=2)
    turn = helper.make_node("Transpose", ["rows"], ["turned"], perm=[0, 2, 1])
    more = helper.make_node("Concat", ["turned", "zeros"], ["output"], axis=2)
    model.graph.node.extend([node, turn, more])
    first, zeros = np.arange(300), np.zeros((1, 300, 1), np.float32)
    for name, value in (("first", first), ("zeros", zeros)):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("output", 1, [1, 300, 38]))


def with_suppression_inside(model: onnx.ModelProto) -> None:
    values = {"one": np.zeros((1, 2, 4)), "scores": np.zeros((1, 1, 2))}
    for name, value in values.items():
        model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    model.graph.node.append(helper.make_node("NonMaxSuppression", ["one", "scores"], ["kept"]))


def turned(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Transpose", ["output0"], ["t"], perm=[0, 2, 1]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("t", 1, [1, 1344, 37]))


def no_classes(model: onnx.ModelProto) -> None:
    part = [
        numpy_helper.from_array(np.array(v), n) for n, v in (("s", [0]), ("e", [36]), ("a", [1]))
    ]
    model.graph.initializer.extend(part)
    model.graph.node.append(helper.make_node("Slice", ["output0", "s", "e", "a"], ["cut"]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("cut", 1, [1, 36, 1344]))


def quantized(model: onnx.ModelProto) -> None:
    for name, value in (("scale", np.float32(1)), ("zero", np.uint8(0))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    model.graph.node.append(
        helper.make_node("QuantizeLinear", ["output1", "scale", "zero"], ["rounded"])
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (half_inputs, r"half precision; .* half=False"),
        (
            of_pictures(2, 3, 256, 256),
            r"expected pictures \(1, 3, S, S\).*got \(2, 3, 256, 256\).* batch=1",
        ),
        (of_pictures(1, 3, 256, 320), r"S a multiple of 32, got \(1, 3, 256, 320\)"),
        (
            of_pictures(1, 1, 256, 256),
            r"expected one input, a picture \(1, 3, S, S\), got images \(1, 1, 256, 256\)",
        ),
        (without_masks, r"expected the outputs .* got output0 .* a model without masks"),
        (suppressed, r"own suppression of boxes inside \(outputs output \(1, 300, 38\).*nms=False"),
        (with_suppression_inside, "own suppression of boxes inside"),
        (turned, r"expected the outputs \(1, 4 \+ classes \+ D, 1344\) and \(1, D, 64, 64\)"),
        (no_classes, r"got cut \(1, 36, 1344\), output1 \(1, 32, 64, 64\)"),
        (quantized, "quantized already"),
    ],
)
def test_another_export_is_refused_with_what_was_expected_and_how_to_get_it(
    tmp_path: Path, change: Change, message: str
) -> None:
    model = export(SIDE)
    change(model)
    with pytest.raises(CheckpointError, match=message) as caught:
        fastsam_export.read(saved(model, tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert "Export it again: format=onnx" in str(caught.value)


def test_an_operator_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    model = export(SIDE)
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    with pytest.raises(
        CheckpointError, match=r"cannot be read, .*\(it has .*com.example.*not a registered"
    ):
        fastsam_export.read(saved(model, tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("FastSAM-s.pt", b"PK\x03\x04", "weights of torch; only an ONNX export"),
        ("empty.onnx", b"", "not a complete ONNX file"),
        ("text.onnx", b"no graph at all", "not a complete ONNX file"),
    ],
)
def test_what_is_no_graph_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        FastSam().load(tmp_path / name)


def test_half_a_file_and_none_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.onnx"
    half.write_bytes(checkpoint.read_bytes()[:-4000])
    with pytest.raises(CheckpointError, match="not a complete ONNX file"):
        FastSam().load(half)
    with pytest.raises(CheckpointError, match="no such file"):
        FastSam().load(tmp_path / "nowhere.onnx")


def test_a_refused_checkpoint_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = export(SIDE)
    without_masks(model)
    path = saved(model, tmp_path)
    given = ("--family", "fastsam", "--checkpoint", str(path), "--precision", "fp32")
    assert cli.main(["build", *given, "--out", str(tmp_path / "out")]) == 2
    assert "a model without masks" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
