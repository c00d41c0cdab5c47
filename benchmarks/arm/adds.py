"""Which scales make ONNX Runtime's integer addition give the same bytes on Arm and on x86-64.

It rounds a·A + b·B + z, computed in float, with A and B the inputs' scales over the output's. The
machines differ where that lies on a half, or as near to one as float can tell. With A = i/D and
B = k/D for an odd D no sum comes nearer to a half than 1/(2·D).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
CASES = 20
SHAPE = (1, 64, 40, 40)


class Rule(TypedDict):
    """What became of the additions whose scales follow one rule."""

    rule: str
    count: int
    differing: int
    worst_share: float


def _fractions(denominator: int) -> Callable[[float], float]:
    return lambda ratio: round(ratio * denominator) / denominator


RULES: Mapping[str, Callable[[float], float]] = {
    "any": lambda ratio: ratio,
    "256ths": _fractions(256),
    "1023rds": _fractions(1023),
    "4095ths": _fractions(4095),
}


def write(graph: Path, inputs: Path, seed: int = 0) -> None:
    """Write a graph of additions alone, CASES by each rule, and random bytes for it."""
    import onnx

    rng = np.random.default_rng(seed)
    nodes, constants, feeds, outputs = [], [], {}, []
    for rule, snap in RULES.items():
        for i in range(CASES):
            name, out_scale = f"{rule}-{i}", float(np.float32(rng.uniform(0.01, 0.1)))
            scales = [snap(rng.uniform(0.3, 1.2)) * out_scale for _ in "ab"] + [out_scale]
            ends = [f"{end}-{name}" for end in "abc"]
            for end, scale in zip(ends, scales, strict=True):
                constants.append(onnx.numpy_helper.from_array(np.float32(scale), f"{end}-s"))
                zero = np.uint8(rng.integers(0, 256))
                constants.append(onnx.numpy_helper.from_array(zero, f"{end}-z"))
            for end in ends[:2]:
                feeds[end] = rng.integers(0, 256, SHAPE, dtype=np.uint8)
            nodes += _one(onnx.helper.make_node, *ends)
            outputs.append(ends[2])
    value, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.UINT8
    taken, given = ([value(n, kind, SHAPE) for n in names] for names in (feeds, outputs))
    body = onnx.helper.make_graph(nodes, "adds", taken, given, constants)
    model = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, str(graph))
    np.savez(inputs, **feeds)  # type: ignore[arg-type]  # its stub takes names for options


def _one(node: Callable[..., Any], a: str, b: str, c: str) -> list[Any]:
    """DequantizeLinear twice, Add, QuantizeLinear: what ONNX Runtime makes one QLinearAdd of."""
    return [
        node("DequantizeLinear", [a, f"{a}-s", f"{a}-z"], [f"{a}-f"]),
        node("DequantizeLinear", [b, f"{b}-s", f"{b}-z"], [f"{b}-f"]),
        node("Add", [f"{a}-f", f"{b}-f"], [f"{c}-f"]),
        node("QuantizeLinear", [f"{c}-f", f"{c}-s", f"{c}-z"], [c]),
    ]


def compare(here: Mapping[str, Array], there: Mapping[str, Array]) -> list[Rule]:
    """Equality by rule; keys as `write` made the outputs."""
    rows: list[Rule] = []
    for rule in RULES:
        names = [name for name in here if name.startswith(f"c-{rule}-")]
        shares = [float((here[name] != there[name]).mean()) for name in names]
        differing = sum(share > 0 for share in shares)
        worst = max(shares)
        rows.append(Rule(rule=rule, count=len(names), differing=differing, worst_share=worst))
    return rows
