"""What half precision would make of an encoder, told without a device that computes in it.

Every value that an operation gives is rounded to half precision; what that cannot hold becomes
infinite, as it would there. What goes on inside one operation (the sums of a convolution, of a
norm) stays float32, for devices differ in that. So a failure here is one everywhere, and a pass
still needs the proof on the board (`edgesam-engines build --board`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from edgesam_engines.errors import VerificationError
from edgesam_engines.families.base import Family
from edgesam_rt import selftest
from edgesam_rt.preprocess import fit_for, normalised, to_square
from edgesam_rt.types import F32, U8

LEAST_COSINE = 0.99
LEAST_DISTANCE_RATIO = 0.9  # two pictures must stay as different as they are in float
_TINY = 1e-12


class _Halves(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch states none
    """Rounds what every operation gives."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        del types
        return tree_map(_rounded, func(*args, **(kwargs or {})))


def _rounded(value: object) -> object:
    if isinstance(value, Tensor) and value.dtype == torch.float32:
        return value.half().float()
    return value


def compare(
    family: Family, model: nn.Module, side: int, images: Sequence[U8] = ()
) -> dict[str, Any]:
    """How near an encoder in half precision comes to itself in float.

    Args:
        family: of the model.
        model: as `family.load` gives it.
        side: of the encoder, px.
        images: (H, W, 3) uint8 RGB; the two built-in pictures come first.

    Returns:
        Plain JSON: the least cosine of every output over all pictures, and the distance of the two
        built-in pictures' embeddings in parts of that in float. 0 where a value is not finite.
    """
    spec = family.encoder_graph(model, side, for_int8=False)
    inputs = [_input(family, side, pixels) for pixels in (*selftest.pictures(), *images)]
    exact = [_run(spec.module, x) for x in inputs]
    rounded_model = copy.deepcopy(spec.module).half().float()
    with _Halves():  # type: ignore[no-untyped-call]
        rounded = [_run(rounded_model, x) for x in inputs]
    cosines = {
        name: min(_cosine(a[i], b[i]) for a, b in zip(exact, rounded, strict=True))
        for i, name in enumerate(spec.outputs)
    }
    ratio = _distance(rounded) / max(_distance(exact), _TINY)
    return {
        "simulated_by": "torch",
        "pictures": len(inputs),
        "cosine": {name: round(value, 7) for name, value in cosines.items()},
        "distance_ratio": round(ratio, 4),
    }


def require(report: Mapping[str, Any]) -> None:
    """Refuse an encoder that half precision breaks.

    Raises:
        VerificationError: with the figures.
    """
    worst = min(report["cosine"].values())
    if worst < LEAST_COSINE or report["distance_ratio"] < LEAST_DISTANCE_RATIO:
        raise VerificationError(
            f"fp16: rounding every value to half precision leaves a cosine of {worst} with the "
            f"float embedding (asked: {LEAST_COSINE}), and two pictures differ "
            f"{report['distance_ratio']} times as much as in float (asked: {LEAST_DISTANCE_RATIO})."
            " Use --precision int8 or fp32."
        )


def _input(family: Family, side: int, pixels: U8) -> Tensor:
    rule = family.preprocess
    fit = fit_for((pixels.shape[0], pixels.shape[1]), side, rule)
    values = normalised(to_square(pixels, fit, rule), fit, rule)
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)[None]))


def _run(module: nn.Module, x: Tensor) -> list[F32]:
    with torch.no_grad():
        made = module(x)
    return [t.numpy() for t in (made if isinstance(made, tuple) else (made,))]


def _cosine(exact: F32, rounded: F32) -> float:
    return selftest.cosine(exact, rounded) if np.isfinite(rounded).all() else 0.0


def _distance(pictures: Sequence[Sequence[F32]]) -> float:
    """Of the first outputs of the first two pictures."""
    first, second = (np.asarray(outputs[0], np.float64) for outputs in pictures[:2])
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return 0.0
    return float(np.linalg.norm(first - second))
