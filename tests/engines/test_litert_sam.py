"""The published families' networks, with seeded weights, by LiteRT and by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

from ai_edge_litert.interpreter import Interpreter

from edgesam_engines.encoders import float_encoder
from edgesam_engines.export import to_onnx
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.families.table import open_family
from edgesam_engines.litert.flatbuffer import File
from edgesam_engines.litert.parts import bound, part_file
from edgesam_engines.litert.translate import add_graph
from edgesam_engines.pack import tensor_specs
from edgesam_rt.backends import BackendOptions
from edgesam_rt.backends.litert import LiteRt
from edgesam_rt.backends.onnxrt import OnnxRuntime
from tests.engines.families.family_doubles import saved, weights

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]
FILLER = -2
NEAR = 1e-4  # of an output's range


@pytest.mark.slow
def test_sams_decoder_gives_the_same_masks_for_any_number_of_prompts(tmp_path: Path) -> None:
    family = open_family("mobilesam")
    model = family.load(saved(weights("mobilesam"), tmp_path / "mobile_sam.pt"))
    assert isinstance(model, SamModel)
    graph = to_onnx(family.decoder_graphs(model, 1024)["decoder"])
    (tmp_path / "decoder.onnx").write_bytes(graph.SerializeToString())
    (tmp_path / "decoder.tflite").write_bytes(part_file("decoder", {1024: bound(graph)}))
    inputs, outputs = (tensor_specs(v, {}) for v in (graph.graph.input, graph.graph.output))
    options = BackendOptions(threads=2)
    litert = LiteRt(tmp_path / "decoder.tflite", inputs, outputs, options, FILLER)
    reference = OnnxRuntime(tmp_path / "decoder.onnx", inputs, outputs, options)
    random = np.random.default_rng(0)
    image = {
        spec.name: random.standard_normal([int(n) for n in spec.shape]).astype(np.float32)
        for spec in inputs
        if isinstance(spec.shape[0], int)
    }
    labels = np.array([[1, -1, FILLER], [2, 3, FILLER], [1, 0, -1]], np.float32)
    for count in (1, 3):
        prompts = {
            "point_coords": random.random((count, 3, 2), np.float32) * 1024,
            "point_labels": labels[:count],
            "mask_input": random.standard_normal((count, 1, 256, 256)).astype(np.float32),
            "has_mask_input": np.ones((count, 1), np.float32),
        }
        want, got = (b.run({**image, **prompts}) for b in (reference, litert))
        for name, values in want.items():
            assert got[name].shape == values.shape
            assert np.abs(got[name] - values).max() < NEAR * np.ptp(values), name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilesam", "edgesam", "efficientvit-sam"])
def test_an_encoder_gives_the_same_embedding_in_one_piece(name: str, tmp_path: Path) -> None:
    family = open_family(name)
    model = family.load(saved(weights(name), tmp_path / "weights.pt"))
    side = family.side  # type: ignore[attr-defined]  # of every SamFamily
    graph = float_encoder(family, model, side, for_int8=False).graph
    file = File(name)
    add_graph(file, graph, "encoder")
    interpreter = Interpreter(model_content=file.content(), num_threads=2)
    interpreter.allocate_tensors()
    taken = [op["op_name"] for op in interpreter._get_ops_details()]
    assert taken.count("DELEGATE") == 1
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).standard_normal((1, 3, side, side)).astype(np.float32)
    source = session.get_inputs()[0].name
    names = [o.name for o in session.get_outputs()]
    want = dict(zip(names, session.run(names, {source: pixels}), strict=True))
    got = interpreter.get_signature_runner("encoder")(**{source: pixels})
    for key, values in want.items():
        assert np.abs(got[key] - values).max() < NEAR * np.ptp(values), key
