from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from benchmarks import report, tables
from benchmarks.limit import __main__ as limit
from benchmarks.limit import nodes, peaks, roofline
from benchmarks.limit.nodes import Node
from benchmarks.limit.roofline import Machine
from benchmarks.limit.work import Layer, layers
from edgesam_rt.bundle import Bundle

MACHINE = Machine({"int8": 200e6, "fp32": 50e6}, [(2**17, 50.0), (2**20, 25.0)])


def small_model(path: Path) -> Path:
    """A stem of 3x3, a depthwise one, an expanding 1x1 in integers."""
    weights = {"stem.w": (8, 3, 3, 3), "dw.w": (8, 1, 5, 5), "up.w": (16, 8, 1, 1)}
    made = [
        helper.make_tensor(
            name,
            TensorProto.INT8 if name == "up.w" else TensorProto.FLOAT,
            shape,
            b"\0" * (1 if name == "up.w" else 4) * len(range(_size(shape))),
            raw=True,
        )
        for name, shape in weights.items()
    ]
    made.append(helper.make_tensor("s", TensorProto.FLOAT, [], [0.1]))
    made.append(helper.make_tensor("z", TensorProto.INT8, [], [0]))
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "stem.w"], ["a"], "stem", pads=[1] * 4, strides=[2, 2]),
            helper.make_node("Relu", ["a"], ["b"], "act"),
            helper.make_node("Conv", ["b", "dw.w"], ["c"], "dw", pads=[2] * 4, group=8),
            helper.make_node("DequantizeLinear", ["up.w", "s", "z"], ["up"], "dq"),
            helper.make_node("Conv", ["c", "up"], ["y"], "blocks.0/expand"),
        ],
        "g",
        [helper.make_tensor_value_info("x", 1, (1, 3, 32, 32))],
        [helper.make_tensor_value_info("y", 1, None)],
        made,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(path))
    return path


def _size(shape: tuple[int, ...]) -> int:
    n = 1
    for d in shape:
        n *= d
    return n


def test_multiply_adds_are_those_of_the_shapes(tmp_path: Path) -> None:
    found = layers(small_model(tmp_path / "m.onnx"))
    places = 16 * 16
    assert found["stem"].macs == places * 8 * 27
    assert found["dw"].macs == places * 8 * 25
    assert found["blocks.0/expand"].macs == places * 16 * 8


def test_weights_count_as_they_are_stored(tmp_path: Path) -> None:
    found = layers(small_model(tmp_path / "m.onnx"))
    assert found["dw"].weight_bytes == 8 * 25 * 4
    assert found["blocks.0/expand"].weight_bytes == 16 * 8


def test_a_layer_is_found_by_its_output_and_by_its_activations_too(tmp_path: Path) -> None:
    found = layers(small_model(tmp_path / "m.onnx"))
    assert found["a"] == found["b"] == found["stem"]


def node(op: str = "Conv", name: str = "n", **more: Any) -> Node:
    fields: dict[str, Any] = {"ms": 1.0, "moved": 2**20, "is_integer": False}
    return Node(name=name, origin=name, op=op, **{**fields, **more})


def layer(name: str = "n", **more: Any) -> Layer:
    fields: dict[str, Any] = {
        "macs": 10**7,
        "weight_bytes": 0,
        "weight_shape": (16, 8, 1, 1),
        "group": 1,
        "first": False,
    }
    return Layer(name=name, **{**fields, **more})


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (layer(first=True), "stem"),
        (layer(weight_shape=(8, 1, 3, 3), group=8), "depthwise"),
        (layer("blocks.1/expand/conv"), "expand"),
        (layer("blocks.1/project/conv"), "project"),
        (layer("lateral"), "other 1x1"),
        (layer(weight_shape=(8, 8, 3, 3)), "other convolution"),
    ],
)
def test_layers_have_kinds(found: Layer, kind: str) -> None:
    assert roofline.kind_of(node(), found) == kind


@pytest.mark.parametrize(
    ("op", "kind"),
    [
        ("QLinearAdd", "add"),
        ("QLinearConcat", "layout"),
        ("DequantizeLinear", "quantize"),
        ("Softmax", "other"),
    ],
)
def test_other_nodes_have_the_kind_of_their_operator(op: str, kind: str) -> None:
    assert roofline.kind_of(node(op), None) == kind


def test_possible_is_the_longer_of_computing_and_moving() -> None:
    computing = roofline.measure(node(), {"n": layer(macs=50 * 10**6)}, MACHINE)
    assert computing.compute_ms == computing.possible_ms == 1.0
    moving = roofline.measure(node("Add"), {}, MACHINE)
    assert moving.macs == 0
    assert moving.possible_ms == pytest.approx(2**20 / 25e6)


def test_integers_are_held_against_the_peak_of_integers() -> None:
    found = roofline.measure(node(is_integer=True), {"n": layer(macs=200 * 10**6)}, MACHINE)
    assert found.compute_ms == 1.0


def test_bandwidth_is_read_at_the_size_that_is_moved() -> None:
    assert peaks.rate_at(MACHINE.curve, 1) == 50
    assert 25 < peaks.rate_at(MACHINE.curve, 2**18) < 50
    assert peaks.rate_at(MACHINE.curve, 2**30) == 25


def test_kinds_are_summed_and_what_loses_most_comes_first() -> None:
    measured = [roofline.measure(node("Add", ms=ms), {}, MACHINE) for ms in (1.0, 2.0)] + [
        roofline.measure(node(ms=9.0), {"n": layer()}, MACHINE)
    ]
    rows = roofline.by_kind(measured)
    assert [row["kind"] for row in rows] == ["other 1x1", "add"]
    assert (rows[1]["nodes"], rows[1]["ms"]) == (2, 3.0)


def test_events_become_nodes_and_the_first_runs_are_left_out() -> None:
    told = {
        "op_name": "QLinearConv",
        "input_type_shape": [{"uint8": [1, 4]}, {"float": []}],
        "activation_size": "100",
        "output_size": "20",
    }
    events = [
        {"cat": "Node", "name": "/conv_token_7_kernel_time", "dur": dur, "args": told}
        for dur in (900, 300, 200)
    ]
    events += [{"cat": "Session", "name": "model_run", "dur": 5}]
    (found,) = nodes.nodes_of(events, skipped=1)
    assert found == Node("/conv_token_7", "/conv", "QLinearConv", 0.2, 120, True)


@pytest.mark.parametrize("probe", peaks.PROBES, ids=lambda p: p.name)
def test_every_probe_runs(probe: peaks.Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "REPEATS", 1)
    assert peaks._rate(probe, (64, 32, 32), 1) > 0


def test_all_threads_copy_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "COPY_S", 0.001)
    monkeypatch.setattr(peaks, "COPIED", (2**17,))
    ((size, rate),) = peaks.bandwidth(2)
    assert size == 2**17
    assert rate > 0


def test_every_layer_of_the_encoder_that_ships_is_found_among_what_is_executed(
    default_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "WARM_UP", 1)
    side = default_bundle.sides("onnxruntime")[-1]
    found: Any = limit.encoder(default_bundle, side, 1, 2, MACHINE)
    assert found["all"]["mmacs"] == pytest.approx(found["model_mmacs"], rel=1e-3)
    assert found["all"]["mmacs"] > 1000
    kinds = {row["kind"]: row for row in found["kinds"]}
    assert {"stem", "depthwise", "expand", "project", "add", "layout", "quantize"} <= set(kinds)
    assert sum(row["ms"] for row in kinds.values()) == pytest.approx(found["all"]["ms"], rel=0.01)
    assert len(found["worst"]) == roofline.WORST


def test_the_command_writes_a_result_and_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peaks, "SHAPES", ((64, 32, 32),))
    monkeypatch.setattr(peaks, "COPIED", (2**17, 2**18))
    monkeypatch.setattr(peaks, "COPY_S", 0.001)
    out = tmp_path / "limit.json"
    words = ["--side", "384", "--threads", "1", "--repeats", "1", "--json", str(out)]
    assert limit.main(words) == 0
    assert "| int8, side 384, 1 thread |" in capsys.readouterr().out
    made = tables.make([report.read(out)])
    assert set(made) == {"limit-machine", "limit-engines", "limit-kinds-1", "limit-worst"}
