"""GELU in integers: found in graphs, fitted to what it meets, and integers all through."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from edgesam_engines.ptq.apply import Source, quantize
from edgesam_engines.ptq.gelu import SLOPES, as_sigmoids, gelus
from edgesam_engines.ptq.graphs import Feed, Feeds, session
from edgesam_engines.quantize import float_operations
from edgesam_engines.recipe import Calibration, Quantization
from edgesam_rt.types import F32
from tests.engines.graph_doubles import make_graph, noise

SHAPE = (1, 4, 16, 16)
FORMS = {  # of h, as exporters spell it: operation, inputs, output
    "erf": "Div h root2 a; Erf a b; Add b one c; Mul h c d; Mul d half g",
    "erf, half first": "Div h root2 a; Erf a b; Add b one c; Mul half c d; Mul h d g",
    "tanh": "Mul h h s; Mul h s q; Mul cubic q k; Add h k l; Mul rate l a; Tanh a b; "
    "Add one b c; Mul h c d; Mul half d g",
}


def spelled(form: str) -> list[onnx.NodeProto]:
    """The nodes of a GELU from h to g."""
    steps = [step.split() for step in FORMS[form].split("; ")]
    return [
        helper.make_node(kind, inputs, [out], f"gelu/{i}")
        for i, (kind, *inputs, out) in enumerate(steps)
    ]


def network(form: str = "erf") -> onnx.ModelProto:
    values = {
        "w1": noise((8, 4, 1, 1), 1),
        "b1": noise((8,), 2),
        "w2": noise((4, 8, 1, 1), 3) / 2,
        "b2": noise((4,), 4),
        "root2": np.array(math.sqrt(2), np.float32),
        "rate": np.array(math.sqrt(2 / math.pi), np.float32),
        "cubic": np.array(0.044715, np.float32),
        "one": np.array(1, np.float32),
        "half": np.array(0.5, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["h"], "first"),
        *spelled(form),
        helper.make_node("Conv", ["g", "w2", "b2"], ["y"], "second"),
    ]
    used = {name for node in nodes for name in node.input}
    kept = {name: value for name, value in values.items() if name in used}
    return make_graph(nodes, inputs={"x": SHAPE}, outputs={"y": SHAPE}, values=kept)


def pictures() -> Feeds:
    def make(seeds: Sequence[int]) -> Iterator[Feed]:
        for seed in seeds:
            yield {"x": noise(SHAPE, seed)}

    return Feeds(range(4), make)


def run(model: onnx.ModelProto, seed: int = 9) -> F32:
    made: F32 = session(model).run(None, {"x": noise(SHAPE, seed)})[0]
    return made


@pytest.mark.parametrize("form", FORMS)
def test_a_gelu_is_found_however_it_is_spelled(form: str) -> None:
    (found,) = gelus(network(form))
    assert (found.source, found.output) == ("h", "g")
    assert {*found.nodes} == {n.name for n in spelled(form)}


def test_a_gelu_of_one_node_is_found() -> None:
    model = network()
    nodes = [n for n in model.graph.node if not n.name.startswith("gelu/")]
    del model.graph.node[:]
    model.graph.node.extend([nodes[0], helper.make_node("Gelu", ["h"], ["g"], "whole"), nodes[1]])
    (found,) = gelus(model)
    assert (found.source, found.output, found.nodes) == ("h", "g", ("whole",))


def test_a_product_with_something_else_is_no_gelu() -> None:
    model = network("erf")
    (last,) = (n for n in model.graph.node if n.name == "gelu/3")
    last.input[0] = "x"
    assert gelus(model) == []


@pytest.mark.parametrize("form", ["erf", "tanh"])
def test_the_fitted_form_is_near_and_no_other_slope_is_nearer(form: str) -> None:
    model = network(form)
    made, slopes = as_sigmoids(model, pictures())
    (slope,) = slopes.values()
    assert SLOPES[0] < slope < SLOPES[-1]
    wanted = run(model)
    error = float(np.abs(run(made) - wanted).max())
    assert error < 0.1 * float(wanted.std())
    assert {"Erf", "Tanh"}.isdisjoint(n.op_type for n in made.graph.node)
    (constant,) = (i for i in made.graph.initializer if i.name.endswith("/slope"))
    nearest = float(np.square(run(made) - wanted).mean())
    for other in (slope - 0.1, slope + 0.1):
        constant.CopyFrom(numpy_helper.from_array(np.float32(other), constant.name))
        assert float(np.square(run(made) - wanted).mean()) > nearest


def computed(model: onnx.ModelProto, folder: str) -> onnx.ModelProto:
    """The graph as ONNX Runtime computes it."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = f"{folder}/optimised.onnx"
    options.log_severity_level = 3
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath)


def test_quantized_it_is_a_table_and_a_product_of_bytes(tmp_path: object) -> None:
    source = Source(network(), pictures())
    made = quantize(source, Calibration(), Quantization(gelu="sigmoid", bias_correction=True))
    kinds = [n.op_type for n in computed(made.graph, str(tmp_path)).graph.node]
    assert kinds.count("QLinearSigmoid") == 1
    assert kinds.count("QLinearMul") == 1
    assert float_operations(computed(made.graph, str(tmp_path))) == {}
    assert list(made.facts["gelu_slopes"]) == ["gelu/4"]
    wanted = run(network())
    assert float(np.abs(run(made.graph) - wanted).max()) < 0.15 * float(wanted.std())


def test_left_alone_it_stays_float_and_whole() -> None:
    made = quantize(Source(network(), pictures()), Calibration(), Quantization())
    nodes = made.graph.graph.node
    names = {n.name for n in nodes if n.name.startswith("gelu/")}
    assert names == {f"gelu/{i}" for i in range(5)}
    assert {n.input[0] for n in nodes if n.op_type == "QuantizeLinear"}.isdisjoint("abcd")
    assert made.facts["gelu_slopes"] == {}


def test_one_among_float_layers_stays_exact_and_float() -> None:
    wanted = Quantization(gelu="sigmoid", float_layers=("first", "gelu/*"))
    made = quantize(Source(network(), pictures()), Calibration(), wanted)
    assert made.facts["gelu_slopes"] == {}
    (behind,) = [n for n in made.graph.graph.node if n.op_type == "Erf"]
    rounded = {n.output[0] for n in made.graph.graph.node if n.op_type == "DequantizeLinear"}
    own = [n for n in made.graph.graph.node if n.name.startswith("gelu/")]
    assert behind in own
    assert rounded.isdisjoint(name for n in own for name in n.input)  # nothing between is rounded
