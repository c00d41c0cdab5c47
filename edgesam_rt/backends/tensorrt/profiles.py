"""Optimisation profiles: how long the free axes of an engine may get, from the bundle's own facts.

TensorRT chooses kernels for one usual shape, and takes any between two ends. Few prompts and many
want other kernels, so numbers of prompts come in buckets, one profile each. What an axis stands for
is said by the tensor's layout in the manifest (see `edgesam_rt/cutting.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from edgesam_rt.bundle import Bundle, DetectorBundle
from edgesam_rt.errors import BundleError
from edgesam_rt.manifest import DecoderFacts, EngineFile, Manifest, Part

Shape = tuple[int, ...]
Profile = Mapping[str, tuple[Shape, Shape, Shape]]  # by input: least, usual, most

PROMPTS = "n"
# Numbers of prompts per call: one person's clicks, then everything mode. A scorer is called with up
# to 256, and a made mask takes 1.5 MB of working set, so its head gets fewer. Buckets above the
# bundle's own `prompts_per_call` are left out: nobody asks so many at once.
BUCKETS: dict[Part, tuple[tuple[int, int, int], ...]] = {
    "scorer": ((1, 1, 16), (17, 256, 256)),
    "decoder": ((1, 1, 4), (5, 16, 16), (17, 64, 64)),
    "mask_head": ((1, 1, 4), (5, 16, 32)),
}
_ONE_BUCKET = ((1, 1, 1),)
_GRID = re.compile(r"(y|x|yx)(\d+)")


class Ends(NamedTuple):
    """How long an axis is at least, usually and at most."""

    least: int
    usual: int
    most: int


def profiles_of(bundle: Bundle | DetectorBundle, entry: EngineFile, backend: str) -> list[Profile]:
    """Profiles of an engine; none where every axis is fixed.

    Raises:
        BundleError: nothing says what a free axis stands for.
    """
    if not any(isinstance(n, str) for spec in entry.inputs for n in spec.shape):
        return []
    assert isinstance(bundle.manifest, Manifest)  # detectors have no free axes
    facts = bundle.manifest.decoder
    axes = _Axes(facts, bundle.sides(backend))
    buckets = (Ends(*bucket) for bucket in BUCKETS.get(entry.part, _ONE_BUCKET))
    asked = (b for b in buckets if b.least <= (facts.prompts_per_call or b.least))
    return [axes.profile(bundle.label, entry, bucket) for bucket in asked]


class _Axes:
    """What the free axes of one bundle's engines stand for."""

    def __init__(self, facts: DecoderFacts, sides: Sequence[int]) -> None:
        self._facts = facts
        self._least_side = facts.cut_multiple or min(sides)
        self._most_side = max(sides)

    def profile(self, label: str, entry: EngineFile, prompts: Ends) -> Profile:
        """One profile, for a bucket of prompts."""
        known: dict[str, Ends] = {}
        for spec in entry.inputs:
            words = spec.layout.split("_") if spec.layout else []
            for axis, word in zip(spec.shape, words, strict=False):
                if isinstance(axis, str) and (ends := self._ends(word, prompts)) is not None:
                    if word == PROMPTS and spec.name == "mask_input":
                        ends = self._mask_rows(prompts)
                    known.setdefault(axis, ends)
        shapes = {}
        for spec in entry.inputs:
            unknown = [n for n in spec.shape if isinstance(n, str) and n not in known]
            if unknown:
                raise BundleError(
                    f"bundle {label}: {entry.file}, input {spec.name!r}: no layout says what axis "
                    f"{unknown[0]!r} stands for, so TensorRT cannot be told how long it may get. "
                    "Build the bundle again."
                )
            least, usual, most = (
                tuple(n if isinstance(n, int) else known[n][end] for n in spec.shape)
                for end in range(3)
            )
            shapes[spec.name] = (least, usual, most)
        return shapes

    def _ends(self, word: str, prompts: Ends) -> Ends | None:
        """Of an axis by its word in the layout; None for words that say no length."""
        if word == PROMPTS:
            return prompts
        if word == "p":
            most = self._facts.points_per_prompt + int(self._facts.padding_point)
            return Ends(1, min(2, most), most)
        if word in ("h", "w"):
            return self._grid(self._facts.mask_stride, 1)
        if match := _GRID.fullmatch(word):
            return self._grid(int(match[2]), len(match[1]))
        return None

    def _grid(self, stride: int, power: int) -> Ends:
        """Rows or columns (power 1) or cells (power 2); a whole square is usual."""
        least, most = (side // stride for side in (self._least_side, self._most_side))
        return Ends(least**power, most**power, most**power)

    def _mask_rows(self, prompts: Ends) -> Ends:
        """Earlier masks: one per prompt, or one row for all where the decoder takes that."""
        return Ends(1, 1, prompts.most) if self._facts.mask_input_broadcasts else prompts
