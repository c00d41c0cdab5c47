"""A float encoder graph to a quantized one, as a recipe asks, with what is known about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import onnx

from edgesam_engines import calibrate
from edgesam_engines.ptq import bias, equalise, gelu, sensitivity
from edgesam_engines.ptq.blocks import by_block
from edgesam_engines.ptq.estimators import ESTIMATORS
from edgesam_engines.ptq.fidelity import Reference, reference
from edgesam_engines.ptq.graphs import Feeds, Progress
from edgesam_engines.ptq.local import LocalError, local_errors
from edgesam_engines.ptq.ranges import Range, Ranges, for_every_tensor, with_known
from edgesam_engines.ptq.rounding import Rounding, rounding_of
from edgesam_engines.ptq.search import error_guided
from edgesam_engines.ptq.shelf import Shelf
from edgesam_engines.ptq.statistics import Statistics, collect
from edgesam_engines.quantize import to_qdq
from edgesam_engines.recipe import Calibration, Quantization

PICTURES = 8  # of those that ranges are found on, for the means of the layers' errors


@dataclass(frozen=True)
class Source:
    """What is quantized.

    Attributes:
        graph: float, simplified, shapes inferred.
        feeds: the calibration pictures.
        keep_float: tensors whose last operation stays in float.
        known: ranges that need no looking: those of an input that will be bytes.
        shelf: where what was found is kept, and taken from.
    """

    graph: onnx.ModelProto
    feeds: Feeds
    keep_float: Collection[str] = ()
    known: Mapping[str, Range] = field(default_factory=dict)
    shelf: Shelf = field(default_factory=Shelf)


@dataclass(frozen=True)
class Quantized:
    """A quantized graph, and how it came about.

    Attributes:
        graph: Q/DQ.
        facts: for the manifest's `verification`; plain JSON.
        maker: what made it, for others with the same ranges; None for a graph that stayed float.
    """

    graph: onnx.ModelProto
    facts: dict[str, Any]
    maker: Maker | None = None


def quantize(
    source: Source,
    calibration: Calibration,
    quantization: Quantization,
    progress: Progress | None = None,
) -> Quantized:
    """Equalise, find ranges, choose what stays float, correct biases, round.

    Args:
        source: the graph and its pictures.
        calibration: how ranges are found.
        quantization: what is done beside that.
        progress: told of every step that takes a while.

    Raises:
        CalibrationError: no picture, values that are not finite, an unknown layer, or a
            `float_target` that is out of reach.
    """
    maker = maker_of(source, calibration, quantization, progress)
    names = list(quantization.float_layers)
    facts: dict[str, Any] = {
        "estimator": calibration.estimator,
        "equalised": maker.equalised,
        "gelu_slopes": dict(maker.slopes),
        "bias_correction": quantization.bias_correction,
        "layer_sqnr_db": {n: round(e.sqnr_db, 1) for n, e in maker.errors.items()},
    }
    if quantization.float_target is not None:
        choice = chosen_float(maker, names, quantization, progress)
        names = choice.names
        facts["float_steps"] = choice.steps
    return Quantized(maker.make(names), {**facts, "float_layers": names}, maker)


def maker_of(
    source: Source,
    calibration: Calibration,
    quantization: Quantization,
    progress: Progress | None = None,
) -> Maker:
    """Equalise, find ranges and measure layers: all that goes before rounding.

    Args:
        source: the graph and its pictures.
        calibration: how ranges are found.
        quantization: what is done beside that.
        progress: told of every step that takes a while.
    """
    say = progress or (lambda _: None)
    slopes: dict[str, float] = {}
    if quantization.gelu == "sigmoid":
        say("gelu: fit slopes")
        named = sensitivity.with_activations(source.graph, quantization.float_layers)
        graph, slopes = gelu.as_sigmoids(source.graph, source.feeds, named)
        source = replace(source, graph=graph)
    equalised: dict[str, Any] = {"mode": quantization.equalise, "balance": quantization.balance}
    if quantization.equalise != "off":
        say("equalise: channels' peaks")
        mode, balance = quantization.equalise, quantization.balance
        graph, counts = equalise.equalised(source.graph, source.feeds, mode, balance, source.shelf)
        source = replace(source, graph=graph)
        equalised |= counts
    if quantization.bias_correction:
        source = replace(source, graph=bias.with_biases(source.graph))
    ranges = ranges_of(source, calibration, progress)
    errors = _errors(source, ranges, progress, symmetric=False)
    return Maker(source, ranges, errors, quantization.bias_correction, equalised, slopes)


def _errors(
    source: Source, ranges: Ranges, progress: Progress | None, *, symmetric: bool
) -> dict[str, LocalError]:
    first = to_qdq(source.graph, ranges, source.keep_float, symmetric=symmetric)
    few = source.feeds.few(PICTURES)
    return local_errors(source.graph, rounding_of(first), few, progress, source.shelf)


@dataclass(frozen=True)
class Maker:
    """Makes quantized graphs that differ in what stays float.

    Attributes:
        source: the graph and its pictures.
        ranges: of its tensors.
        errors: of its layers.
        correct: whether to take them out of the biases.
        equalised: how the graph was equalised, for the manifest.
        slopes: of its GELUs, by node, if they are integers.
        symmetric: see `quantize.to_qdq`.
    """

    source: Source
    ranges: Ranges
    errors: Mapping[str, LocalError]
    correct: bool
    equalised: Mapping[str, Any] = field(default_factory=dict)
    slopes: Mapping[str, float] = field(default_factory=dict)
    symmetric: bool = False

    def as_symmetric(self, progress: Progress | None = None) -> Maker:
        """The same ranges made even around zero; what that does to each layer is measured anew."""
        errors = _errors(self.source, self.ranges, progress, symmetric=True)
        return replace(self, errors=errors, symmetric=True)

    def make(self, float_layers: Collection[str] = ()) -> onnx.ModelProto:
        """Quantize all but some layers; a layer that stays float keeps its bias."""
        nodes = sensitivity.with_activations(self.source.graph, float_layers)
        made = to_qdq(
            self.source.graph, self.ranges, self.source.keep_float, nodes, symmetric=self.symmetric
        )
        return bias.corrected(made, self.errors) if self.correct else made

    def bench(
        self, named: Collection[str], against: Reference, judge: sensitivity.Judge | None = None
    ) -> sensitivity.Bench:
        """Where parts of the graph are rounded one by one; the named layers are float for good."""
        rounding = rounding_of(self.make(named))
        source = self.source
        box = source.shelf.box(
            source.graph,
            source.feeds,
            *("sensitivity", rounding.digest, against.digest, judge is None),
        )
        left = sensitivity.with_activations(source.graph, named)
        return sensitivity.Bench(source.graph, rounding, against, left, box, judge)

    def reference(self) -> Reference:
        """The float graph's outputs on a few of the pictures."""
        return reference(self.source.graph, self.source.feeds.few(sensitivity.PICTURES))


def chosen_float(
    maker: Maker, named: list[str], quantization: Quantization, progress: Progress | None
) -> sensitivity.Choice:
    """What stays float so that the recipe's target is reached: the named ones first."""
    assert quantization.float_target is not None
    against = maker.reference()

    def rank() -> list[sensitivity.Sensitivity]:
        bench = maker.bench(named, against)
        if not quantization.float_candidates:
            return sensitivity.most_sensitive(bench, progress)
        may = sensitivity.with_activations(maker.source.graph, quantization.float_candidates)
        units = by_block([u for u in bench.operations if u.name in may])
        return sensitivity.sensitivities(bench, units, progress)

    choice = sensitivity.choose_float(
        rank,
        lambda names: maker.make([*named, *names]),
        against,
        quantization.float_target,
        quantization.most_float,
    )
    return sensitivity.Choice([*named, *choice.names], choice.steps)


def ranges_of(source: Source, calibration: Calibration, progress: Progress | None = None) -> Ranges:
    """Ranges of every float tensor by the recipe's estimator."""
    name = calibration.estimator
    if name in calibrate.EXTREMES:
        found = calibrate.activation_ranges(
            source.graph, source.feeds, name, progress=progress, shelf=source.shelf
        )
    else:
        statistics = collect(source.graph, source.feeds, progress=progress, shelf=source.shelf)
        found = estimated(source, statistics, calibration, progress=progress)
    return with_known(source.graph, found, source.known)


def estimated(
    source: Source,
    statistics: Mapping[str, Statistics],
    calibration: Calibration,
    weights: Rounding | None = None,
    progress: Progress | None = None,
) -> Ranges:
    """Ranges of every float tensor from statistics.

    Args:
        source: the graph and its pictures.
        statistics: of its tensors.
        calibration: of the recipe.
        weights: rounding of some quantized form of the graph, if there is one already; it saves
            "error_guided" from making one.
        progress: told of every step that takes a while.
    """
    found: Mapping[str, Range]
    if calibration.estimator == "error_guided":
        if weights is None:
            plain = {n: s.extremes for n, s in statistics.items()}
            ranges = for_every_tensor(source.graph, plain)
            weights = rounding_of(to_qdq(source.graph, ranges, source.keep_float))
        found = error_guided(
            source.graph, statistics, weights, source.feeds, progress, source.shelf
        )
    else:
        row = ESTIMATORS[calibration.estimator]
        found = {n: row(s, calibration) for n, s in statistics.items()}
    return for_every_tensor(source.graph, found)
