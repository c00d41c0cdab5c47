"""Ranges of tensors: what is rounded, and for which tensors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from edgesam_engines.ptq.graphs import moved_together, readers

Range = tuple[float, float]
Ranges = dict[str, Range]


def for_every_tensor(model: onnx.ModelProto, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Ranges of all float tensors from those of `graphs.ranged_tensors`, rounded by `tidy`.

    A tensor that an activation alone reads gets the range behind it; it is never used, but the
    quantizer wants one.
    """
    known = {n: (tidy(low), tidy(high)) for n, (low, high) in ranges.items()}
    first, read = moved_together(model), readers(model)
    found = {}
    for name, root in first.items():
        while root not in known:
            root = first[read[root][0].output[0]]
        found[name] = known[root]
    return found


def with_known(
    model: onnx.ModelProto, ranges: Mapping[str, Range], known: Mapping[str, Range]
) -> dict[str, Range]:
    """Ranges of all tensors, those of known ones and of what is only moved from them replaced."""
    first = moved_together(model)
    return {n: known.get(first.get(n, n), old) for n, old in ranges.items()}


def tidy(value: float) -> float:
    """Round to 8 significant bits, so that the last bits of a float run change no engine's hash."""
    if value == 0:
        return 0.0
    step = 2.0 ** (np.floor(np.log2(abs(value))) - 8)
    return float(np.round(value / step) * step)
