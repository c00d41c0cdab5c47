"""NanoSAM's encoder from the ONNX file that upstream's script makes; what else ends in .onnx.

`golden/families/nanosam-graph.onnx` is what upstream's own `export_image_encoder_onnx.py` wrote,
its weights taken out; the tests put seeded ones in.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

pytest.importorskip("torch", reason="families need torch")

import onnxruntime as ort
import torch

from edgesam_engines.errors import CheckpointError
from edgesam_engines.families import nanosam_onnx
from edgesam_engines.families.nanosam import NanoSam
from edgesam_engines.families.sam_graphs import SamModel
from tests.engines.families.family_doubles import GOLDEN, saved, weights

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]
NAME = "resnet18_image_encoder.onnx"
VARIANCE = "variance"


def filled(
    change: Callable[[onnx.GraphProto], None] = lambda graph: None, *, zeros: bool = False
) -> bytes:
    """Upstream's graph with weights, seeded ones or zeros, after a change."""
    model = onnx.load(GOLDEN / "nanosam-graph.onnx")
    change(model.graph)
    for i, tensor in enumerate(model.graph.initializer):
        shape = tuple(tensor.dims)
        values = np.zeros(shape, helper.tensor_dtype_to_np_dtype(tensor.data_type))
        if not zeros:
            random = np.random.default_rng(i)
            spread = 1.4 / math.sqrt(math.prod(shape[1:])) if len(shape) == 4 else 0.1
            values = random.standard_normal(shape, np.float32) * np.float32(spread)
        if tensor.name.endswith(VARIANCE):
            values = np.abs(values) + 0.5
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As NVIDIA's and MobileSAM's files lie in one: the decoder's graph is not read."""
    made = tmp_path_factory.mktemp("nanosam")
    (made / NAME).write_bytes(filled())
    (made / "mobile_sam_mask_decoder.onnx").write_bytes(b"")
    saved(weights("mobilesam"), made / "mobile_sam.pt")
    return made


def refusal(content: bytes, folder: Path) -> str:
    (folder / NAME).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        nanosam_onnx.read(folder / NAME)
    return str(caught.value)


def test_upstreams_graph_becomes_the_network_and_says_the_same(folder: Path) -> None:
    model = NanoSam().load(folder)
    assert isinstance(model, SamModel)
    picture = np.random.default_rng(1).standard_normal((1, 3, 1024, 1024), np.float32)
    session = ort.InferenceSession(str(folder / NAME), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"image": picture})
    made = model.image_encoder(torch.from_numpy(picture)).numpy()
    assert np.abs(made - wanted).max() < 1e-5 * np.ptp(wanted)


def unfolded(graph: onnx.GraphProto) -> None:
    """With a BatchNorm behind each convolution of the trunk; its shift is the former bias."""
    trunk = [n for n in graph.node if n.op_type == "Conv" and n.input[1].startswith("onnx::")]
    for i, conv in enumerate(trunk):
        shift, after = conv.input.pop(), conv.output[0]
        conv.output[0] = f"{after}_raw"
        names = [f"norm{i}.{kind}" for kind in ("gain", "mean", VARIANCE)]
        channels = next(t.dims[0] for t in graph.initializer if t.name == shift)
        for name in names:
            made = onnx.TensorProto(name=name, dims=[channels], data_type=onnx.TensorProto.FLOAT)
            graph.initializer.append(made)
        inputs = [conv.output[0], names[0], shift, *names[1:]]
        norm = helper.make_node("BatchNormalization", inputs, [after])
        graph.node.insert(list(graph.node).index(conv) + 1, norm)


def test_norms_that_an_exporter_left_alone_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "kept.onnx"
    path.write_bytes(filled(unfolded))
    nanosam_onnx.read(path)  # which tries that it says the same


def wider_kernel(graph: onnx.GraphProto) -> None:
    last = next(n for n in graph.node if n.op_type == "Conv" and n.input[1] == "proj.2.weight")
    for attribute in last.attribute:
        lengths = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}.get(attribute.name)
        attribute.ints[:] = lengths or attribute.ints
    next(t for t in graph.initializer if t.name == "proj.2.weight").dims[2:] = [3, 3]


def torn(graph: onnx.GraphProto) -> None:
    next(t for t in graph.initializer if len(t.dims) == 4 and t.dims[1] == 3).dims[0] = 32


def one_more(graph: onnx.GraphProto) -> None:
    last = next(n for n in graph.node if n.op_type == "Conv")
    graph.node.append(helper.make_node("Conv", last.input, ["unused"]))


def computed(graph: onnx.GraphProto) -> None:
    conv = next(n for n in graph.node if n.op_type == "Conv")
    for name, dims, kind in (("q", (64, 3, 7, 7), "INT8"), ("scale", (), "FLOAT")):
        number = onnx.TensorProto.DataType.Value(kind)
        graph.initializer.append(onnx.TensorProto(name=name, dims=dims, data_type=number))
    graph.node.insert(0, helper.make_node("DequantizeLinear", ["q", "scale"], ["dequantized"]))
    conv.input[1] = "dequantized"


def smaller(graph: onnx.GraphProto) -> None:
    for value, length in ((graph.input[0], 512), (graph.output[0], 32)):
        for axis in (2, 3):
            value.type.tensor_type.shape.dim[axis].dim_value = length
    next(t for t in graph.initializer if t.name == "pos_embedding").dims[2:] = [32, 32]


def other_function(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        node.op_type = "Sigmoid" if node.op_type == "Relu" else node.op_type


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (wider_kernel, "no Conv of shape (256, 256, 1, 1) for proj.2. Other trunks are not built"),
        (torn, "not a complete ONNX file: [ShapeInferenceError]"),
        (one_more, "27 convolutions, 1 too many"),
        (computed, "are computed, as in a quantized file. Give the float one."),
        (smaller, "got image (1, 3, 512, 512), image_embeddings (1, 256, 32, 32)"),
    ],
)
def test_another_network_is_refused_and_it_is_said_why(
    change: Callable[[onnx.GraphProto], None], said: str, tmp_path: Path
) -> None:
    assert said in refusal(filled(change, zeros=True), tmp_path)


def test_a_graph_that_computes_something_else_from_such_weights_is_refused(tmp_path: Path) -> None:
    assert "with these weights ours is off by" in refusal(filled(other_function), tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a graph at all\n"])
def test_what_is_no_onnx_file_is_refused(content: bytes, tmp_path: Path) -> None:
    assert "ONNX file" in refusal(content, tmp_path)


def test_what_onnx_runtime_cannot_open_is_refused(tmp_path: Path) -> None:
    model = onnx.load_from_string(filled(zeros=True))
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    said = refusal(model.SerializeToString(), tmp_path)
    assert "ONNX Runtime cannot open it" in said
    assert "\n" not in said


def test_half_a_file_is_refused(folder: Path, tmp_path: Path) -> None:
    assert "not a complete ONNX file" in refusal((folder / NAME).read_bytes()[:5_000_000], tmp_path)


def test_a_folder_with_the_decoders_graph_alone_lacks_the_encoder(
    folder: Path, tmp_path: Path
) -> None:
    for name in ("mobile_sam.pt", "mobile_sam_mask_decoder.onnx"):
        shutil.copy(folder / name, tmp_path)
    with pytest.raises(CheckpointError, match=r"got mobile_sam\.pt \(mobilesam or tinysam\)\."):
        NanoSam().load(tmp_path)


def test_two_encoders_in_one_folder_are_not_chosen_between(folder: Path, tmp_path: Path) -> None:
    for name in (NAME, "mobile_sam.pt"):
        shutil.copy(folder / name, tmp_path)
    (tmp_path / "resnet18.pth").write_bytes(b"never read")
    with pytest.raises(CheckpointError, match=r"got mobile_sam\.pt, resnet18\.pth, resnet18_image"):
        NanoSam().load(tmp_path)
