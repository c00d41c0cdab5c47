"""What rounding one operation alone does to a graph's outputs, and which ones stay float.

One at a time: the operation's weights, what it reads and what it makes are rounded, everything else
is float. Small errors add up almost independently, so the sum over all is close to the whole
graph's, and the largest summands are what is worth leaving float.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import onnx

from edgesam_engines.errors import CalibrationError
from edgesam_engines.ptq.fidelity import Fidelity, Reference, fidelity
from edgesam_engines.ptq.graphs import ACTIVATIONS, Progress, operations, readers
from edgesam_engines.ptq.rounding import Rounding, partly_rounded

PICTURES = 4  # whose outputs stay in memory


@dataclass(frozen=True)
class Sensitivity:
    """Of one operation.

    Attributes:
        name, kind: of its node.
        noise: mean over the outputs of their squared error, in parts of their squares.
        cosine: mean cosine of the outputs with the float graph's.
    """

    name: str
    kind: str
    noise: float
    cosine: float


@dataclass(frozen=True)
class Choice:
    """What was left float, and what that reached.

    Attributes:
        names: nodes that stay float, the most sensitive first.
        steps: mean cosine of the outputs with none of them float, with the first, and so on, for
            those numbers that were tried.
    """

    names: list[str]
    steps: dict[int, float]


def sensitivities(
    model: onnx.ModelProto,
    rounding: Rounding,
    against: Reference,
    progress: Progress | None = None,
) -> list[Sensitivity]:
    """Every quantized operation's own effect on the outputs, the largest first.

    Args:
        model: the float graph.
        rounding: of the graph quantized from it.
        against: the float graph's outputs on a few pictures.
        progress: told of every tenth operation.
    """
    nodes = [n for n in operations(model) if _is_rounded(n, rounding)]
    found = []
    for number, node in enumerate(nodes):
        if progress is not None and number % 10 == 0:
            progress(f"sensitivity: operation {number + 1} of {len(nodes)}")
        made = fidelity(partly_rounded(model, rounding, {node.name}), against, integers=False)
        found.append(Sensitivity(node.name, node.op_type, made.mean_noise, made.mean_cosine))
    return sorted(found, key=lambda s: (-s.noise, s.name))


def choose_float(
    rank: Callable[[], Sequence[Sensitivity]],
    quantize: Callable[[Collection[str]], onnx.ModelProto],
    against: Reference,
    target: float,
    most: int,
) -> Choice:
    """Leave as few operations float as reach a target, the most sensitive first.

    Halves the number each time: some six graphs are tried, not one per operation.

    Args:
        rank: finds what may stay float, the most sensitive first; asked only if it matters.
        quantize: makes the graph in which some operations stay float.
        against: the float graph's outputs on a few pictures.
        target: mean cosine of the outputs to be reached.
        most: operations that may stay float.

    Raises:
        CalibrationError: even with `most` of them in float the target is not reached.
    """
    names: list[str] = []
    steps: dict[int, float] = {}

    def reached(count: int) -> float:
        if count not in steps:
            made: Fidelity = fidelity(quantize(names[:count]), against)
            steps[count] = round(made.mean_cosine, 6)
        return steps[count]

    if reached(0) >= target:
        return Choice([], steps)
    names += [s.name for s in rank()[:most]]
    if reached(len(names)) < target:
        raise CalibrationError(
            f"quantization: float_target = {target} is not reached: mean cosine of the outputs is "
            f"{steps[0]} with all operations in integers and {steps[len(names)]} with the "
            f"{len(names)} most sensitive ones in float. Lower float_target, raise most_float, or "
            "try bias_correction = true or another estimator first."
        )
    low, high = 0, len(names)
    while high - low > 1:
        middle = (low + high) // 2
        if reached(middle) >= target:
            high = middle
        else:
            low = middle
    return Choice(names[:high], dict(sorted(steps.items())))


def with_activations(model: onnx.ModelProto, names: Collection[str]) -> list[str]:
    """Those nodes and the activations that belong to them, as the quantizer is told of them.

    Raises:
        CalibrationError: there is no such node.
    """
    known = {n.name: n for n in operations(model)}
    missing = [n for n in names if n not in known]
    if missing:
        raise CalibrationError(
            f"quantization: float_layers names {missing[0]!r}, which the encoder's graph does not "
            f"have. `edgesam-engines sensitivity` lists all {len(known)} names."
        )
    read = readers(model)
    behind = [n for name in names for out in known[name].output for n in read.get(out, [])]
    return [*names, *(n.name for n in behind if n.op_type in ACTIVATIONS)]


def _is_rounded(node: onnx.NodeProto, rounding: Rounding) -> bool:
    return node.name in rounding.weights or any(n in rounding.grids for n in node.input)
