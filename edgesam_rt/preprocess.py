"""Pictures as a bundle's encoder takes them, by the rules in its manifest."""

from __future__ import annotations

import numpy as np

from edgesam_rt.imaging.geometry import Fit, to_encoder_input
from edgesam_rt.imaging.resample import linear_unrounded
from edgesam_rt.manifest import Preprocess
from edgesam_rt.types import F32, U8, AnyArray


def fit_for(image_hw: tuple[int, int], side: int, rule: Preprocess) -> Fit:
    """Where a picture goes in the encoder's square."""
    if rule.resize == "squash":
        return Fit.squash(image_hw, side)
    return Fit.longest_side(image_hw, side, round_down=rule.rounding == "down")


def to_square(pixels: U8, fit: Fit, rule: Preprocess) -> AnyArray:
    """A picture (H, W, 3) uint8 RGB in its square, uint8, or float32 if unrounded."""
    if rule.resample == "linear_unrounded":
        return linear_unrounded(pixels, fit.scaled_hw)
    return to_encoder_input(pixels, fit, rule.pad_value, resample=rule.resample)


def normalised(square: AnyArray, fit: Fit, rule: Preprocess) -> F32:
    """What an encoder computes from: (S, S, 3), (value - mean) / std.

    Padding is zero if it belongs behind the normalising, else what its value becomes.
    """
    return np.ascontiguousarray(_planes(square, fit, rule).transpose(1, 2, 0))


def to_tensor(square: AnyArray, fit: Fit, rule: Preprocess) -> AnyArray:
    """A square of `to_square` as the encoder's input tensor, with its batch axis."""
    planes: AnyArray = square.transpose(2, 0, 1)
    if not rule.normalised_in_engine:
        planes = _planes(square, fit, rule)
    if rule.colour == "bgr":
        planes = planes[::-1]
    values = planes if rule.layout == "nchw" else planes.transpose(1, 2, 0)
    return np.ascontiguousarray(values[None], dtype=rule.input_dtype)


def _planes(square: AnyArray, fit: Fit, rule: Preprocess) -> F32:
    """What `normalised` gives, as (3, S, S).

    Bytes are looked up in a table of all 256: the same bits, and much quicker.
    """
    import cv2

    mean, std = np.array(rule.mean, np.float32), np.array(rule.std, np.float32)
    table = (np.arange(256, dtype=np.uint8)[:, None] - mean) / std
    values = np.empty((3, *square.shape[:2]), np.float32)
    h, w = fit.scaled_hw if rule.pad_order == "after_normalising" else square.shape[:2]
    for i, plane in enumerate(values):
        part = square[:h, :w, i]
        if square.dtype == np.uint8:
            plane[:h, :w] = cv2.LUT(part, table[:, i])
        else:
            plane[:h, :w] = (part - mean[i]) / std[i]
    values[:, h:] = 0
    values[:, :h, w:] = 0
    return values
