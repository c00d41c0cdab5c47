from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the factory's graphs need onnx")

from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, helper

from edgesam_engines import calibrate
from edgesam_engines.errors import CalibrationError
from edgesam_engines.ptq import bias, equalise
from edgesam_engines.ptq.apply import Maker, Source, maker_of, quantize
from edgesam_engines.ptq.blocks import Unit, by_operation
from edgesam_engines.ptq.fidelity import Reference, fidelity, reference
from edgesam_engines.ptq.graphs import constants, layers
from edgesam_engines.ptq.local import LocalError, local_errors
from edgesam_engines.ptq.rounding import partly_rounded, rounding_of
from edgesam_engines.ptq.sensitivity import (
    Bench,
    Effect,
    Sensitivity,
    choose_float,
    sensitivities,
)
from edgesam_engines.quantize import to_qdq
from edgesam_engines.recipe import Calibration, Estimator, Quantization
from edgesam_rt.types import F32
from tests.engines.graph_doubles import count, make_graph, noise, optimised, run
from tests.engines.ptq_doubles import SHAPE, bottleneck, pictures, source

PLAIN = Calibration()


def made(quantization: Quantization, model: ModelProto | None = None) -> ModelProto:
    return quantize(source(model), PLAIN, quantization).graph


def outputs(model: ModelProto) -> list[F32]:
    return [run(model, **feed)[0] for feed in pictures(4, first=100)]


def against(model: ModelProto) -> Reference:
    return reference(model, pictures(4, first=100))


# As before


def test_the_default_is_what_minmax_and_the_quantizer_alone_give() -> None:
    ranges = calibrate.activation_ranges(bottleneck(), pictures(), "minmax")
    before = to_qdq(bottleneck(), ranges)
    assert made(Quantization()).SerializeToString(deterministic=True) == before.SerializeToString(
        deterministic=True
    )


@pytest.mark.parametrize("estimator", ["minmax", "mse", "error_guided"])
def test_the_same_inputs_give_the_same_bytes(estimator: Estimator) -> None:
    chosen = Quantization(bias_correction=True, equalise="calibrated", float_layers=("project",))
    one, two = (quantize(source(), Calibration(estimator=estimator), chosen) for _ in range(2))
    assert one.graph.SerializeToString(deterministic=True) == two.graph.SerializeToString(
        deterministic=True
    )
    assert one.facts == two.facts


def test_the_float_graph_is_left_as_it_is() -> None:
    model = bottleneck()
    before = model.SerializeToString()
    quantize(Source(model, pictures()), PLAIN, Quantization(bias_correction=True, equalise="exact"))
    assert model.SerializeToString() == before


def test_facts_say_what_was_done_and_how_exact_each_layer_is() -> None:
    facts = quantize(source(), PLAIN, Quantization(bias_correction=True, equalise="exact")).facts
    assert facts["estimator"] == "minmax"
    assert facts["bias_correction"] is True
    assert facts["equalised"]["mode"] == "exact"
    assert facts["layer_sqnr_db"].keys() == {x.name for x in layers(bottleneck())}
    assert min(facts["layer_sqnr_db"].values()) > 20


# Bias correction


def shifted() -> ModelProto:
    """Weights that 8 bits round up on average, read by inputs that are positive: a large bias."""
    weight = noise((8, 3, 1, 1), 1)
    weight[:, 0] = 1
    weight[:, 1:] = 0.9961 * np.sign(weight[:, 1:]) / 127 * 1.45
    return make_graph(
        [
            helper.make_node("Abs", ["x"], ["a"], "abs"),
            helper.make_node("Conv", ["a", "w", "b"], ["y"], "conv"),
        ],
        inputs={"x": SHAPE},
        outputs={"y": (1, 8, 12, 12)},
        values={"w": weight, "b": noise((8,), 2)},
    )


def mean_errors(model: ModelProto, quantized: ModelProto) -> F32:
    pairs = zip(outputs(quantized), outputs(model), strict=True)
    differences = [(a - b).reshape(a.shape[0], a.shape[1], -1).mean((0, 2)) for a, b in pairs]
    return np.asarray(np.mean(differences, 0), np.float32)


def test_bias_correction_reduces_the_mean_error_of_unseen_pictures() -> None:
    plain = made(Quantization(), shifted())
    better = made(Quantization(bias_correction=True), shifted())
    before, after = (np.abs(mean_errors(shifted(), q)).mean() for q in (plain, better))
    assert after < 0.7 * before


def test_bias_correction_takes_the_mean_error_out_of_every_layer() -> None:
    model = bias.with_biases(bottleneck())
    graphs = [made(Quantization(bias_correction=how), model) for how in (False, True)]
    before, after = (local_errors(model, rounding_of(q), pictures()) for q in graphs)
    for name, error in after.items():
        assert np.abs(error.mean).max() < 0.25 * np.abs(before[name].mean).max(), name
        assert error.noise <= before[name].noise


def test_bias_correction_changes_biases_alone() -> None:
    plain, better = constants(made(Quantization())), made(Quantization(bias_correction=True))
    changed = {n for n, v in constants(better).items() if not np.array_equal(v, plain.get(n))}
    assert changed
    assert all(n.startswith("b") or n.startswith("out/bias") for n in changed), changed


def test_a_layer_without_a_bias_gets_one_to_correct() -> None:
    with_one = bias.with_biases(bottleneck())
    assert constants(with_one)["out/bias"].tolist() == [0] * 4
    for a, b in zip(outputs(bottleneck()), outputs(with_one), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("kind", "shape", "attributes", "channels"),
    [
        ("Gemm", (5, 7), {"transB": 1}, 5),
        ("Gemm", (7, 5), {}, 5),
        ("ConvTranspose", (7, 5, 2, 2), {}, 5),
    ],
)
def test_biases_have_the_length_of_the_output(
    kind: str, shape: tuple[int, ...], attributes: dict[str, int], channels: int
) -> None:
    given_shape = (1, 7) if kind == "Gemm" else (1, 7, 3, 3)
    made_shape = (1, 5) if kind == "Gemm" else (1, 5, 4, 4)
    model = make_graph(
        [helper.make_node(kind, ["x", "w"], ["y"], "layer", **attributes)],
        inputs={"x": given_shape},
        outputs={"y": made_shape},
        values={"w": noise(shape)},
    )
    assert constants(bias.with_biases(model))["layer/bias"].shape == (channels,)


def test_a_correction_is_taken_out_to_the_integer_steps_of_the_bias() -> None:
    plain = made(Quantization())
    error = {"start": LocalError(np.full(6, 0.25), 1.0, 1.0)}
    before, after = ([run(q, **feed)[0].mean() for feed in pictures(2)] for q in (plain, plain))
    assert before == after
    moved = bias.corrected(plain, error)
    old, new = rounding_of(plain).weights["start"][2], rounding_of(moved).weights["start"][2]
    np.testing.assert_allclose(old - new, 0.25, atol=1e-3)


# Equalisation


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.floats(1, 300))
def test_exact_equalisation_leaves_every_bit_of_the_float_output(seed: int, uneven: float) -> None:
    model = bottleneck(seed, uneven=uneven)
    equal, _ = equalise.equalised(model, pictures(2), "exact")
    for a, b in zip(outputs(model), outputs(equal), strict=True):
        np.testing.assert_array_equal(a, b)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_calibrated_equalisation_is_exact_for_its_own_pictures(seed: int) -> None:
    model = bottleneck(seed)
    equal, _ = equalise.equalised(model, pictures(3), "calibrated")
    for feed in pictures(3):
        np.testing.assert_array_equal(run(model, **feed)[0], run(equal, **feed)[0])


def test_a_linear_stream_is_found_with_all_that_a_sum_ties_to_it() -> None:
    (stream,) = [s for s in equalise.streams(bottleneck()) if np.isinf(s.cut)]
    assert set(stream.tensors) == {"s", "p", "sum"}
    assert [n.name for n in stream.producers] == ["start", "project"]
    assert [n.name for n in stream.consumers] == ["expand", "out"]


def test_streams_behind_a_relu6_are_found_with_where_it_cuts() -> None:
    cuts = {s.producers[0].name: s.cut for s in equalise.streams(bottleneck())}
    assert cuts == {"start": np.inf, "expand": 6, "depthwise": 6}


def test_equalisation_helps_where_channels_differ_much() -> None:
    model = bottleneck(uneven=100)
    plain, equal = (made(Quantization(equalise=how), model) for how in ("off", "exact"))
    exact = against(model)
    assert fidelity(equal, exact).sqnr_db > fidelity(plain, exact).sqnr_db + 3


def gated(uneven: float = 100) -> ModelProto:
    """A stream that squeeze-excite weights: a pool, two convolutions, a product of its channels."""
    sizes = np.geomspace(1, uneven, 6).astype(np.float32)
    values = {
        "ws": noise((6, 3, 1, 1), 1) * sizes[:, None, None, None],
        "wg": noise((6, 6, 1, 1), 2) / sizes[:, None, None],
        "wo": noise((4, 6, 1, 1), 3) / sizes[:, None, None],
    }
    nodes = [
        helper.make_node("Conv", ["x", "ws"], ["s"], "start"),
        helper.make_node("GlobalAveragePool", ["s"], ["m"], "pool"),
        helper.make_node("Conv", ["m", "wg"], ["f"], "excite"),
        helper.make_node("Sigmoid", ["f"], ["g"], "gate"),
        helper.make_node("Mul", ["s", "g"], ["e"], "weigh"),
        helper.make_node("Conv", ["e", "wo"], ["y"], "out"),
    ]
    return make_graph(nodes, inputs={"x": SHAPE}, outputs={"y": (1, 4, 12, 12)}, values=values)


def test_a_stream_goes_on_through_squeeze_excite_and_its_gate_does_not() -> None:
    (stream,) = equalise.streams(gated())
    assert set(stream.tensors) == {"s", "m", "e"}
    assert [n.name for n in stream.consumers] == ["excite", "out"]
    equal, _ = equalise.equalised(gated(), pictures(2), "exact")
    for a, b in zip(outputs(gated()), outputs(equal), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_balance_says_how_much_of_the_unevenness_goes_to_the_weights() -> None:
    (stream,) = equalise.streams(gated())
    peaks = equalise.channel_peaks(gated(), stream.tensors, pictures(2))
    spreads = []
    for balance in (0.0, 0.5, 1.0):
        factors = equalise.stream_factors(stream, peaks, constants(gated()), balance)
        rest = np.max([peaks[n] for n in stream.tensors], 0) / factors
        spreads.append(rest.max() / rest.min())
    assert spreads[2] < 2.1  # all alike, but for powers of two
    assert spreads == sorted(spreads, reverse=True)


def test_factors_are_powers_of_two_and_leave_dead_channels_alone() -> None:
    (stream,) = [s for s in equalise.streams(bottleneck()) if np.isinf(s.cut)]
    peak = np.array([8, 4, 1, 0.1, 0, 3.0])
    factors = equalise.stream_factors(
        stream, dict.fromkeys(stream.tensors, peak), constants(bottleneck())
    )
    assert factors[4] == 1
    assert (np.log2(factors) % 1 == 0).all()
    assert factors.max() == 1


def test_a_graph_without_streams_comes_back_as_it_was() -> None:
    model = shifted()
    equal, counts = equalise.equalised(model, pictures(1), "calibrated")
    assert equal.SerializeToString() == model.SerializeToString()
    assert counts == {"streams": 0, "channels": 0}


# Layers by themselves


def test_a_layer_alone_rounds_as_the_quantized_graph_does() -> None:
    rounding = rounding_of(made(Quantization()))
    every = {n.name for n in bottleneck().graph.node if n.op_type in ("Conv", "Add")}
    simulated = partly_rounded(bottleneck(), rounding, every)
    exact = against(bottleneck())
    real = fidelity(made(Quantization()), exact)
    assert fidelity(simulated, exact, integers=False).sqnr_db == pytest.approx(real.sqnr_db, abs=1)


def test_local_errors_are_measured_for_every_quantized_layer() -> None:
    rounding = rounding_of(made(Quantization(float_layers=("project",))))
    errors = local_errors(bottleneck(), rounding, pictures(2))
    assert errors.keys() == {"start", "expand", "depthwise", "out"}
    assert all(e.sqnr_db > 20 for e in errors.values())
    assert errors["start"].mean.shape == (6,)


# What stays float


def test_a_layer_that_stays_float_is_not_quantized_behind_our_back(tmp_path: Path) -> None:
    """ONNX Runtime 1.21 and later quantizes float weights between integer tensors by itself."""
    graph = made(Quantization(float_layers=("depthwise",)))
    as_run = optimised(graph, tmp_path)
    assert count(as_run, "QLinearConv") == 4
    assert count(as_run, "Conv") + count(as_run, "FusedConv") == 1
    exact = against(bottleneck())
    assert fidelity(graph, exact).sqnr_db == pytest.approx(
        fidelity(graph, exact, integers=False).sqnr_db, abs=0.5
    )


def test_sensitivities_rank_the_layer_that_was_made_worse_first() -> None:
    model = bottleneck()
    rounding = rounding_of(made(Quantization()))
    rough = np.round(rounding.weights["project"][1] * 4) / 4
    rounding.weights["project"][1] = rough.astype(np.float32)
    found = sensitivities(Bench(model, rounding, against(model)), by_operation(model, rounding))
    assert found[0].unit.name == "project"
    assert {s.unit.name for s in found} == {"start", "expand", "depthwise", "project", "sum", "out"}


def test_as_few_layers_stay_float_as_reach_the_target() -> None:
    plain = maker_of(source(), PLAIN, Quantization())
    floor = fidelity(plain.make(), plain.reference()).mean_cosine
    target = 1 - (1 - floor) / 2
    facts = quantize(source(), PLAIN, Quantization(float_target=target, most_float=6)).facts
    assert 1 <= len(facts["float_layers"]) < 6
    steps = facts["float_steps"]
    assert steps[len(facts["float_layers"])] >= target
    assert all(cosine < target for n, cosine in steps.items() if n < len(facts["float_layers"]))


def test_a_target_that_is_reached_anyway_asks_for_no_ranking() -> None:
    facts = quantize(source(), PLAIN, Quantization(float_target=0.5)).facts
    assert facts["float_layers"] == []


def test_a_target_out_of_reach_says_what_was_reached_and_what_to_try() -> None:
    wanted = Quantization(float_target=0.9999999999, most_float=1)
    with pytest.raises(CalibrationError, match=r"float_target.*most_float.*bias_correction"):
        quantize(source(), PLAIN, wanted)


def test_an_unknown_layer_names_the_command_that_lists_them() -> None:
    with pytest.raises(CalibrationError, match=r"'stem'.*edgesam-engines sensitivity"):
        made(Quantization(float_layers=("stem",)))


def test_layers_named_in_the_recipe_stay_float_beside_those_chosen() -> None:
    wanted = Quantization(float_target=0.9, float_layers=("out",))
    assert quantize(source(), PLAIN, wanted).facts["float_layers"] == ["out"]


def test_a_pattern_names_several_layers() -> None:
    one, all_of_them = (
        made(Quantization(float_layers=names)) for names in (("*project",), ("project", "expand"))
    )
    assert rounding_of(one).weights.keys() == {"start", "expand", "depthwise", "out"}
    assert rounding_of(all_of_them).weights.keys() == {"start", "depthwise", "out"}


def test_a_pattern_that_names_nothing_is_refused() -> None:
    with pytest.raises(CalibrationError, match=r"'stem/\*'"):
        made(Quantization(float_layers=("stem/*",)))


def test_only_candidates_are_left_float_block_by_block() -> None:
    model = bottleneck()
    for node in model.graph.node:
        node.name = f"/{'head' if node.name in ('out', 'move') else 'body'}/{node.name}"
    plain = maker_of(source(model), PLAIN, Quantization())
    floor = fidelity(plain.make(), plain.reference()).mean_cosine
    wanted = Quantization(float_target=1 - (1 - floor) / 1.2, float_candidates=("/body/*",))
    facts = quantize(source(model), PLAIN, wanted).facts
    names = {"start", "expand", "depthwise", "project", "sum"}
    assert set(facts["float_layers"]) == {f"/body/{name}" for name in names}
    assert list(facts["float_steps"]) == [0, 1]  # one block of all of them


def test_between_float_operations_nothing_is_rounded() -> None:
    """Quantizers round a tensor for all its readers as soon as one of them is quantized."""
    graph = made(Quantization(float_layers=("project", "sum")))
    read = {node.name: node.input[:] for node in graph.graph.node}
    assert "p" in read["sum"]  # what `project` makes, as it is
    assert not {"p_QuantizeLinear"} & read.keys()
    assert any(n.startswith("s_") for n in read["sum"])  # an integer layer's output is bytes anyway
    exact = against(bottleneck())
    assert fidelity(graph, exact).sqnr_db > fidelity(made(Quantization()), exact).sqnr_db


def test_a_sum_that_stays_float_needs_no_shield() -> None:
    graph = made(Quantization(float_layers=("sum", "project")))
    shields = [n.name for n in graph.graph.node if n.name.endswith("/shield")]
    assert shields == ["project/shield"]


def test_no_constant_is_left_that_nothing_reads() -> None:
    graph = made(Quantization(float_layers=("sum", "project")))
    read = {name for node in graph.graph.node for name in node.input}
    assert {i.name for i in graph.graph.initializer} <= read


def test_choosing_tries_few_graphs() -> None:
    tried: list[int] = []

    def graph(names: Collection[str]) -> ModelProto:
        tried.append(len(names))
        return bottleneck() if len(names) >= 5 else made(Quantization())

    units = [Unit(str(i), "Conv", (str(i),)) for i in range(64)]
    ranked = [Sensitivity(unit, Effect(1.0, 0.9)) for unit in units]
    choice = choose_float(lambda: ranked, graph, against(bottleneck()), 0.99999, 64)
    assert choice.names == ["0", "1", "2", "3", "4"]
    assert len(tried) <= 9


def test_a_corrected_layer_that_stays_float_keeps_its_own_bias() -> None:
    errors = {"project": LocalError(np.full(6, 9.0), 1.0, 1.0)}
    ranges = calibrate.activation_ranges(bottleneck(), pictures(), "minmax")
    graph = Maker(source(), ranges, errors, correct=True).make(["project"])
    np.testing.assert_array_equal(constants(graph)["bp"], constants(bottleneck())["bp"])
