"""Ways to resize a picture, as the encoders of the model families were trained with.

What a network sees of a photo depends on how it was made smaller: a filter that looks at four
neighbours only lets fine patterns through as noise. The families of Segment Anything were trained
on pictures resized by Pillow, whose filters grow with the factor. Its results are computed here
without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from edgesam_rt.types import F32, F64, U8

_BLOCK = 32  # output columns or rows computed in one product
Resampler = Callable[[U8, tuple[int, int]], U8]


def fast(pixels: U8, out_hw: tuple[int, int]) -> U8:
    """Average areas where the longer side shrinks to less than half, else bilinear.

    Bilinear then still looks at nearly every pixel, and is five times as fast.
    """
    import cv2

    much = max(pixels.shape[:2]) > 2 * max(out_hw)
    how = cv2.INTER_AREA if much else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, out_hw[::-1], interpolation=how), np.uint8)


def linear(pixels: U8, out_hw: tuple[int, int]) -> U8:
    """Bilinear between the four nearest pixels, whatever the factor."""
    import cv2

    return np.asarray(cv2.resize(pixels, out_hw[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def linear_unrounded(pixels: U8, out_hw: tuple[int, int]) -> F32:
    """As `linear`, and not rounded to bytes: float32, 0 to 255."""
    import cv2

    values = pixels.astype(np.float32)
    return np.asarray(cv2.resize(values, out_hw[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def pil_bilinear(pixels: U8, out_hw: tuple[int, int]) -> U8:
    """Pillow's BILINEAR: a triangle as wide as the factor."""
    return _separable(pixels, out_hw, "triangle")


def pil_bicubic(pixels: U8, out_hw: tuple[int, int]) -> U8:
    """Pillow's BICUBIC: Keys' kernel with a = -0.5, as wide as the factor."""
    return _separable(pixels, out_hw, "keys")


RESAMPLERS: dict[str, Resampler] = {
    "fast": fast,
    "linear": linear,
    "pil_bilinear": pil_bilinear,
    "pil_bicubic": pil_bicubic,
}


def _triangle(x: F64) -> F64:
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(x)))


def _keys(x: F64) -> F64:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


_KERNELS: dict[str, tuple[Callable[[F64], F64], float]] = {  # and how far they reach
    "triangle": (_triangle, 1.0),
    "keys": (_keys, 2.0),
}


def _separable(pixels: U8, out_hw: tuple[int, int], kernel: str) -> U8:
    """First along rows, then along columns, each rounded to bytes, as Pillow does."""
    import cv2

    h, w = out_hw
    if w != pixels.shape[1]:  # OpenCV turns pictures in a tenth of numpy's time
        turned = _along_rows(np.asarray(cv2.transpose(pixels), np.uint8), w, kernel)
        pixels = np.asarray(cv2.transpose(turned), np.uint8)
    return pixels if h == pixels.shape[0] else _along_rows(pixels, h, kernel)


def _along_rows(pixels: U8, length: int, kernel: str) -> U8:
    """(L, W, C) to (length, W, C)."""
    old = pixels.shape[0]
    lines = pixels.reshape(old, -1)
    out = np.empty((length, lines.shape[1]), np.uint8)
    for start in range(0, length, _BLOCK):
        first, weights = _block(old, length, start, kernel)
        part = weights @ lines[first : first + weights.shape[1]].astype(np.float32)
        part += 0.5
        if weights.min() < 0:  # else it is a mean, and cannot leave the range
            np.clip(part, 0, 255, out=part)
        out[start : start + len(weights)] = part
    return out.reshape(length, *pixels.shape[1:])


@lru_cache(maxsize=256)
def _block(old: int, new: int, start: int, kernel: str) -> tuple[int, F32]:
    """Which old line the weights of a block of new lines begin with, and (block, lines) weights."""
    function, reach = _KERNELS[kernel]
    scale = old / new
    wide = max(scale, 1.0)
    centres = (np.arange(start, min(start + _BLOCK, new)) + 0.5) * scale
    first = max(0, math.floor(centres[0] - reach * wide))
    last = min(old, math.ceil(centres[-1] + reach * wide))
    at = np.arange(first, last) + 0.5
    weights = function((at - centres[:, None]) / wide)
    return first, np.asarray(weights / weights.sum(1, keepdims=True), np.float32)
