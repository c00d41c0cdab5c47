"""Any number of prompts for files whose shapes are fixed.

A decoder part has a signature for every encoder side and for some numbers of prompts. A call takes
the signatures of its side, is padded to what fits best, or split, and its answers are cut back.
Padding is exact: a point with the filler's label counts for nothing, and prompts do not see each
other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgesam_rt.manifest import TensorSpec
from edgesam_rt.records import PADDING
from edgesam_rt.types import AnyArray

PROMPTS, POINTS, EARLIER = "prompts", "points", "earlier_masks"  # free axes that may be padded
_CALL_COST = 2  # a call costs as much as this many more prompts in it; docs/litert.md

Lengths = Mapping[str, int]


@dataclass(frozen=True)
class Bucket:
    """One signature, and how long the manifest's free axes are in it."""

    signature: str
    lengths: Lengths

    @property
    def prompts(self) -> int:
        """How many it takes at once; 1 where there is no such axis."""
        return self.lengths.get(PROMPTS, 1)


def lengths_in(
    specs: Sequence[TensorSpec], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, int] | None:
    """How long the free axes are in these shapes; None if the fixed ones are others."""
    free: dict[str, int] = {}
    for spec in specs:
        shape = shapes[spec.name]
        if len(shape) != len(spec.shape):
            return None
        for want, got in zip(spec.shape, shape, strict=True):
            if (free.setdefault(want, got) if isinstance(want, str) else want) != got:
                return None
    return free


def choose(buckets: Sequence[Bucket], asked: Lengths) -> Bucket | None:
    """The bucket that takes what is asked in the least time; None if none can."""
    fitting = [bucket for bucket in buckets if _fits(bucket.lengths, asked)]

    def cost(bucket: Bucket) -> tuple[int, int]:
        calls = -(-asked.get(PROMPTS, 1) // bucket.prompts)
        return calls * (bucket.prompts + _CALL_COST), bucket.lengths.get(POINTS, 0)

    return min(fitting, key=cost, default=None)


def _fits(has: Lengths, asked: Lengths) -> bool:
    if asked.get(EARLIER, 1) > 1 and has[EARLIER] != has[PROMPTS]:
        return False  # one row cannot stand for several
    padded = (PROMPTS, POINTS, EARLIER)
    exact = all(has[name] == n for name, n in asked.items() if name not in padded)
    return exact and has.get(POINTS, 0) >= asked.get(POINTS, 0)


def parts(
    specs: Sequence[TensorSpec],
    feeds: Mapping[str, AnyArray],
    bucket: Bucket,
    prompts: int,
    filler_label: int = PADDING,
) -> Iterator[tuple[int, dict[str, AnyArray]]]:
    """The calls to make: how many prompts of each count, and its feeds in the bucket's shapes.

    Args:
        specs: of the inputs.
        feeds: for any number of prompts.
        bucket: to call.
        prompts: how many there are.
        filler_label: of points that are put in; see `DecoderFacts`.
    """
    for start in range(0, prompts, bucket.prompts):
        count = min(bucket.prompts, prompts - start)
        rows = slice(start, start + count)
        yield (
            count,
            {s.name: _part(s, feeds[s.name], rows, bucket.lengths, filler_label) for s in specs},
        )


def _part(
    spec: TensorSpec, values: AnyArray, rows: slice, lengths: Lengths, filler_label: int
) -> AnyArray:
    if spec.shape[1:2] == (POINTS,):
        number = filler_label if spec.name == "point_labels" else 0
        values = _with_points(values, lengths[POINTS], number)
    if spec.shape[:1] == (PROMPTS,) or (spec.shape[:1] == (EARLIER,) and len(values) > 1):
        return _filled(values[rows], lengths[PROMPTS])
    return _filled(values, lengths[EARLIER]) if spec.shape[:1] == (EARLIER,) else values


def _with_points(values: AnyArray, points: int, number: int) -> AnyArray:
    """Axis 1 made as long, with a number."""
    given = values.shape[1]
    if given == points:
        return values
    shape = (len(values), points, *values.shape[2:])
    padded = np.full(shape, number, values.dtype)
    padded[:, :given] = values
    return padded


def _filled(values: AnyArray, rows: int) -> AnyArray:
    """As many rows: the first one stands in for those that are missing."""
    if len(values) == rows:
        return values
    return np.concatenate([values, np.repeat(values[:1], rows - len(values), 0)])
