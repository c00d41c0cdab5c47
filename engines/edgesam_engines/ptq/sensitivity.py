"""What rounding a part of a graph does to its outputs, and which parts stay float.

Each unit twice, if asked: it alone rounded (its weights, what it reads and what it makes), and all
but it. Small errors add up almost independently, so the sum over all units is close to the whole
graph's, and the largest summands are what is worth leaving float.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx

from edgesam_engines.errors import CalibrationError
from edgesam_engines.ptq.blocks import Unit, by_block, by_operation
from edgesam_engines.ptq.fidelity import Fidelity, Reference, compared, fidelity, outputs_of
from edgesam_engines.ptq.graphs import ACTIVATIONS, Progress, operations, readers
from edgesam_engines.ptq.rounding import Rounding, partly_rounded
from edgesam_engines.ptq.shelf import Box
from edgesam_rt.types import F32, AnyArray

PICTURES = 2  # whose outputs stay in memory
MOST_TRIED = 64  # operations that are tried one by one before a choice
Judge = Callable[[Sequence[Mapping[str, F32]]], float]


@dataclass(frozen=True)
class Effect:
    """Of some rounding on the outputs.

    Attributes:
        noise: mean over the outputs of their squared error, in parts of their squares.
        cosine: mean cosine of the outputs with the float graph's.
        agreement: what a judge of the outputs says, in [0, 1]; not a number without one.
    """

    noise: float
    cosine: float
    agreement: float = math.nan


@dataclass(frozen=True)
class Sensitivity:
    """Of one unit.

    Attributes:
        unit: what it is.
        rounded: it alone is rounded.
        spared: all the others are, it is float; None if nobody asked.
    """

    unit: Unit
    rounded: Effect
    spared: Effect | None = None


@dataclass(frozen=True)
class Choice:
    """What was left float, and what that reached.

    Attributes:
        names: nodes that stay float, the most sensitive first.
        steps: mean cosine of the outputs with no unit float, with the first, and so on, for those
            numbers that were tried.
    """

    names: list[str]
    steps: dict[int, float]


@dataclass(frozen=True)
class Bench:
    """Measures effects of rounding parts of one graph.

    Attributes:
        model: the float graph.
        rounding: of the graph quantized from it.
        against: the float graph's outputs on a few pictures.
        float_nodes: names of nodes that stay float in the quantized graph.
        box: where effects are kept, and taken from.
        judge: of the outputs, beside their noise and cosine.
    """

    model: onnx.ModelProto
    rounding: Rounding
    against: Reference
    float_nodes: Collection[str] = ()
    box: Box = field(default_factory=Box)
    judge: Judge | None = None

    @property
    def operations(self) -> list[Unit]:
        """All that is rounded, one by one."""
        return by_operation(self.model, self.rounding, self.float_nodes)

    def effect(self, nodes: Collection[str], name: str) -> Effect:
        """Of rounding some nodes; kept under the name."""
        kept = self.box.take(name)
        if kept is None:
            kept = self._measured(nodes)
            self.box.put(name, kept)
        return Effect(*(float(v) for v in kept["effect"]))

    def _measured(self, nodes: Collection[str]) -> dict[str, AnyArray]:
        graph = partly_rounded(self.model, self.rounding, nodes)
        outputs = outputs_of(graph, self.against, integers=False)
        found = compared(outputs, self.against)
        agreement = math.nan if self.judge is None else self.judge(outputs)
        return {"effect": np.array([found.mean_noise, found.mean_cosine, agreement])}


def sensitivities(
    bench: Bench,
    units: Sequence[Unit],
    progress: Progress | None = None,
    *,
    spare: bool = False,
) -> list[Sensitivity]:
    """Every unit's own effect on the outputs, the largest first.

    Args:
        bench: what to measure on.
        units: of its graph.
        progress: told of every unit.
        spare: also measure all the others without it.
    """
    found = []
    every = {n for unit in units for n in unit.nodes}
    for number, unit in enumerate(units, 1):
        if progress is not None:
            progress(f"sensitivity: {number} of {len(units)}: {unit.name} ({unit.kind})")
        name = f"{number}-of-{len(units)}"
        rounded = bench.effect(unit.nodes, name)
        spared = bench.effect(every - {*unit.nodes}, f"{name}-spared") if spare else None
        found.append(Sensitivity(unit, rounded, spared))
    return sorted(found, key=lambda s: (-s.rounded.noise, s.unit.name))


def most_sensitive(
    bench: Bench, progress: Progress | None = None, most_tried: int = MOST_TRIED
) -> list[Sensitivity]:
    """Operations, the most sensitive first; of a large graph only those of its worst blocks.

    So the time is bounded: at most `blocks.BLOCKS` blocks and about `most_tried` operations are
    measured, however many there are.
    """
    units = bench.operations
    if len(units) > most_tried:
        worst = sensitivities(bench, by_block(units), progress)
        places = {n: i for i, s in enumerate(worst) for n in s.unit.nodes}
        units = sorted(units, key=lambda u: places[u.name])[:most_tried]
    return sensitivities(bench, units, progress)


def choose_float(
    rank: Callable[[], Sequence[Sensitivity]],
    quantize: Callable[[Collection[str]], onnx.ModelProto],
    against: Reference,
    target: float,
    most: int,
) -> Choice:
    """Leave as few units float as reach a target, the most sensitive first.

    Halves the number each time: some six graphs are tried, not one per unit.

    Args:
        rank: finds what may stay float, the most sensitive first; asked only if it matters.
        quantize: makes the graph in which some nodes stay float.
        against: the float graph's outputs on a few pictures.
        target: mean cosine of the outputs to be reached.
        most: units that may stay float.

    Raises:
        CalibrationError: even with `most` of them in float the target is not reached.
    """
    units: list[Unit] = []
    steps: dict[int, float] = {}

    def names(count: int) -> list[str]:
        return [n for unit in units[:count] for n in unit.nodes]

    def reached(count: int) -> float:
        if count not in steps:
            made: Fidelity = fidelity(quantize(names(count)), against)
            steps[count] = round(made.mean_cosine, 6)
        return steps[count]

    if reached(0) >= target:
        return Choice([], steps)
    units += [s.unit for s in rank()[:most]]
    if reached(len(units)) < target:
        raise CalibrationError(
            f"quantization: float_target = {target} is not reached: mean cosine of the outputs is "
            f"{steps[0]} with all operations in integers and {steps[len(units)]} with the "
            f"{len(units)} most sensitive ones in float. Lower float_target, raise most_float, or "
            "try bias_correction = true or another estimator first."
        )
    low, high = 0, len(units)
    while high - low > 1:
        middle = (low + high) // 2
        if reached(middle) >= target:
            high = middle
        else:
            low = middle
    return Choice(names(high), dict(sorted(steps.items())))


def with_activations(model: onnx.ModelProto, names: Collection[str]) -> list[str]:
    """Those nodes and the activations that belong to them, as the quantizer is told of them.

    Args:
        model: the float graph.
        names: of nodes; a `*` stands for anything.

    Raises:
        CalibrationError: there is no such node.
    """
    known = {n.name: n for n in operations(model)}
    found = {hit: None for name in names for hit in _meant(name, known)}
    read = readers(model)
    behind = [n for name in found for out in known[name].output for n in read.get(out, [])]
    return [*found, *(n.name for n in behind if n.op_type in ACTIVATIONS)]


def _meant(name: str, known: Collection[str]) -> list[str]:
    """The nodes that a name, or a pattern, stands for."""
    found = fnmatch.filter(known, name) if "*" in name else [n for n in [name] if n in known]
    if not found:
        raise CalibrationError(
            f"quantization: float_layers names {name!r}, which the encoder's graph does not have. "
            f"`edgesam-engines sensitivity --by operation` lists all {len(known)} names."
        )
    return found
