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
        round_down: sizes are cut to whole pixels, and coordinates scaled as if they were not
            (NanoSAM's rule); else sizes are rounded, and coordinates scaled by what comes out.
    """

    image_hw: tuple[int, int]
    side: int
    scaled_hw: tuple[int, int]
    mask_side: int = 0
    round_down: bool = False

    @classmethod
    def longest_side(cls, image_hw: tuple[int, int], side: int, *, round_down: bool = False) -> Fit:
        """Fit with the aspect ratio kept (SAM's rule: rounded to whole pixels)."""
        h, w = image_hw
        if round_down:
            scaled = h * side // max(h, w), w * side // max(h, w)
        else:
            scale = side / max(h, w)
            scaled = int(h * scale + 0.5), int(w * scale + 0.5)
        fitted = max(1, scaled[0]), max(1, scaled[1])
        return cls((h, w), side, fitted, round_down=round_down)

    @classmethod
    def squash(cls, image_hw: tuple[int, int], side: int) -> Fit:
        """Fit that fills the square, whatever the aspect ratio."""
        return cls(image_hw, side, (side, side))

    def in_frame(self, side: int) -> Fit:
        """The same picture in a square of another side: that of prompts, where it is not ours."""
        if side == self.side:
            return self
        if self.scaled_hw == (self.side, self.side):
            return Fit.squash(self.image_hw, side)
        return Fit.longest_side(self.image_hw, side, round_down=self.round_down)

    def covered(self, multiple: int) -> tuple[int, int]:
        """Height and width of the picture in the square, rounded up to multiples, encoder px."""
        h, w = (-(-n // multiple) * multiple for n in self.scaled_hw)
        return h, w

    def to_unit(self, xy: F32) -> F32:
        """Image pixels (..., 2) to encoder sides: [0, 1] where the image is."""
        return xy * np.array(self._units_per_px, np.float32)

    def from_unit(self, xy: F32) -> F32:
        """The way back from `to_unit`."""
        return xy * np.array([1 / n for n in self._units_per_px], np.float32)

    @property
    def _units_per_px(self) -> tuple[float, float]:
        """Encoder sides per image pixel, along x and along y."""
        (h, w), (sh, sw) = self.image_hw, self.scaled_hw
        if self.round_down:
            return 1 / max(h, w), 1 / max(h, w)
        return sw / w / self.side, sh / h / self.side


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
