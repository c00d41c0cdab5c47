"""From image pixels to the encoder's square frame and back.

Coordinates are continuous: the centre of the top-left pixel is (0.5, 0.5), and the right edge of an
image of width W is x = W.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgesam_rt.imaging.resample import RESAMPLERS
from edgesam_rt.types import F32, U8


@dataclass(frozen=True)
class Fit:
    """An image scaled until its longest side is `side`, at the top left of a square of `side`.

    Attributes:
        image_hw: height and width of the image, px, each at least 1.
        side: side of the encoder's input, px.
        scaled_hw: height and width of the image inside that square, px, each at least 1.
        mask_side: masks are brought to a square of this side first, px; 0 for the image's own size
            at once, which is faster and the same but for a few pixels at outlines.
    """

    image_hw: tuple[int, int]
    side: int
    scaled_hw: tuple[int, int]
    mask_side: int = 0

    @classmethod
    def longest_side(cls, image_hw: tuple[int, int], side: int, *, round_down: bool = False) -> Fit:
        """Fit with the aspect ratio kept (SAM's rule: rounded to whole pixels)."""
        h, w = image_hw
        scale, up = side / max(h, w), 0.0 if round_down else 0.5
        return cls((h, w), side, (max(1, int(h * scale + up)), max(1, int(w * scale + up))))

    @classmethod
    def squash(cls, image_hw: tuple[int, int], side: int) -> Fit:
        """Fit that fills the square, whatever the aspect ratio."""
        return cls(image_hw, side, (side, side))

    def in_frame(self, side: int) -> Fit:
        """The same picture in a square of another side: that of prompts, where it is not ours."""
        if side == self.side:
            return self
        fills = self.scaled_hw == (self.side, self.side)
        make = Fit.squash if fills else Fit.longest_side
        return make(self.image_hw, side)

    def covered(self, multiple: int) -> tuple[int, int]:
        """Height and width of the picture in the square, rounded up to multiples, encoder px."""
        h, w = (-(-n // multiple) * multiple for n in self.scaled_hw)
        return h, w

    def to_unit(self, xy: F32) -> F32:
        """Image pixels (..., 2) to encoder sides: [0, 1] where the image is."""
        (h, w), (sh, sw) = self.image_hw, self.scaled_hw
        return xy * np.array([sw / w / self.side, sh / h / self.side], np.float32)

    def from_unit(self, xy: F32) -> F32:
        """The way back from `to_unit`."""
        (h, w), (sh, sw) = self.image_hw, self.scaled_hw
        return xy * np.array([self.side * w / sw, self.side * h / sh], np.float32)


def to_encoder_input(
    pixels: U8, fit: Fit, pad_value: int, out: U8 | None = None, *, resample: str = "fast"
) -> U8:
    """Resize and pad a picture into the encoder's square.

    Args:
        pixels: (H, W, 3) uint8, of `fit.image_hw`.
        fit: where it goes.
        pad_value: what fills the rest, 0 to 255.
        out: (side, side, 3) uint8 to fill instead of a new array.
        resample: a row of `resample.RESAMPLERS`.

    Returns:
        (side, side, 3) uint8.
    """
    (h, w), (sh, sw) = fit.image_hw, fit.scaled_hw
    if out is None:
        out = np.empty((fit.side, fit.side, 3), np.uint8)
    out[sh:] = pad_value
    out[:sh, sw:] = pad_value
    out[:sh, :sw] = pixels if (sh, sw) == (h, w) else RESAMPLERS[resample](pixels, (sh, sw))
    return out
