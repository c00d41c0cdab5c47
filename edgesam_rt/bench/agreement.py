"""How much two backends agree: the masks that they give to the same prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgesam_rt.bench.protocols import iou
from edgesam_rt.bundle import Bundle
from edgesam_rt.decoders import AnyDecoder, open_decoder
from edgesam_rt.records import MaskSet, Prompt
from edgesam_rt.segmenter import Encoder, EngineOptions
from edgesam_rt.selftest import cosine
from edgesam_rt.types import U8

Case = tuple[U8, Sequence[Prompt]]


@dataclass
class Agreement:
    """What was found: one IoU per prompt, one cosine per picture and tensor of the embedding."""

    ious: list[float] = field(default_factory=list)
    cosines: dict[str, list[float]] = field(default_factory=dict)
    pictures: int = 0

    def figures(self) -> dict[str, Any]:
        """For a report, rounded."""
        return {
            "photos": self.pictures,
            "prompts": len(self.ious),
            "mean_iou": round(float(np.mean(self.ious)), 4),
            "p10_iou": round(float(np.percentile(self.ious, 10)), 4),
            "worst_iou": round(float(min(self.ious)), 4),
            "cosine": {n: round(float(np.mean(v)), 5) for n, v in self.cosines.items()},
        }


def agreement(
    bundle: Bundle, backends: tuple[str, str], side: int, cases: Iterable[Case]
) -> Agreement:
    """Answer prompts by two backends of a bundle.

    Args:
        bundle: that has engines for both.
        backends: their names.
        side: of the encoder, px.
        cases: pictures, (H, W, 3) uint8 RGB, each with prompts about it.
    """
    found = Agreement()
    with ExitStack() as stack:
        opened = [
            stack.enter_context(engines_of(bundle, EngineOptions(name), side)) for name in backends
        ]
        for pixels, prompts in cases:
            _compare(found, opened, pixels, prompts)
    return found


@contextmanager
def engines_of(
    bundle: Bundle, options: EngineOptions, side: int
) -> Iterator[tuple[Encoder, AnyDecoder]]:
    """Open the engines of one side, and close both at the end."""
    with (
        closing(Encoder(bundle, options, side)) as encoder,
        closing(open_decoder(bundle, options, side)) as decoder,
    ):
        yield encoder, decoder


def _compare(
    found: Agreement,
    opened: Sequence[tuple[Encoder, AnyDecoder]],
    pixels: U8,
    prompts: Sequence[Prompt],
) -> None:
    """Add one picture."""
    made = [encoder.encode(pixels) for encoder, _ in opened]
    left, right = (
        encoder.without_padding(e).tensors for (encoder, _), e in zip(opened, made, strict=True)
    )
    for name, values in left.items():
        found.cosines.setdefault(name, []).append(cosine(values, right[name]))
    masks = [d.predict(e, prompts) for (_, d), e in zip(opened, made, strict=True)]
    found.ious += mask_ious(*masks)
    found.pictures += 1


def mask_ious(left: MaskSet, right: MaskSet) -> list[float]:
    """IoU of each pair of masks of two sets as long; two empty ones agree: 1."""
    pairs = zip(left.each_mask(), right.each_mask(), strict=True)
    return [iou(a, b) if (a | b).any() else 1.0 for a, b in pairs]
