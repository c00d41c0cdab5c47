"""Run lengths of masks, and COCO's way of writing them as text.

A mask is read column by column (down, then right); its run lengths count zeros first, then ones,
and so on. The text form is byte-identical with pycocotools.

Source of the text form: cocoapi, `common/maskApi.c`, `rleToString` and `rleFrString`.
"""

from __future__ import annotations

import numpy as np

from edgesam_rt.errors import ConfigError, ShapeError
from edgesam_rt.types import I64, U8, Bool

_BITS = 5  # of a value in one character
_GROUP = (1 << _BITS) - 1
_SIGN = 1 << (_BITS - 1)  # of a value, in its last character
_MORE = 1 << _BITS  # the value goes on in the next character
_FIRST_CHARACTER = 48  # "0"
_MAX_CHARACTERS = 12  # of one value: 60 bits, so that it fits int64


def run_lengths(mask: Bool) -> I64:
    """Return the run lengths of a mask, column by column, zeros first.

    Args:
        mask: (H, W) bool.

    Returns:
        (R,) px, sum H * W; the first is 0 if the top-left pixel is set, all others are at least 1.
        An empty mask is [H * W].
    """
    h, w = mask.shape
    # Neighbours are compared in the order of memory, and only the few changes are put in column
    # order: five times faster than transposing the mask first.
    changes = np.empty((h, w), np.bool_)
    np.not_equal(mask[1:], mask[:-1], out=changes[1:])
    np.not_equal(mask[0, 1:], mask[-1, :-1], out=changes[0, 1:])
    changes[0, 0] = mask[0, 0]
    y, x = np.divmod(np.flatnonzero(changes), w)
    edges = np.empty(len(y) + 2, np.int64)
    edges[0], edges[-1] = 0, h * w
    edges[1:-1] = x * h + y
    edges[1:-1].sort()
    return np.diff(edges)


def from_runs(runs: I64, image_hw: tuple[int, int]) -> Bool:
    """Return the mask of `run_lengths`.

    Args:
        runs: (R,) px, zeros first, none negative.
        image_hw: height and width, px.

    Returns:
        (H, W) bool.

    Raises:
        ShapeError: the runs do not add up to the picture.
    """
    h, w = image_hw
    if int(runs.sum()) != h * w or (len(runs) and int(runs.min()) < 0):
        raise ShapeError(
            f"rle: run lengths must be 0 or more and add up to {h} * {w} = {h * w} px, "
            f"got a sum of {int(runs.sum())}. Is the size of another picture given?"
        )
    values = np.zeros(len(runs), np.bool_)
    values[1::2] = True
    return np.ascontiguousarray(np.repeat(values, runs).reshape(w, h).T)


def runs_to_box(runs: I64, image_hw: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of a mask in px; right and bottom are exclusive.

    Args:
        runs: (R,) px, zeros first.
        image_hw: height and width, px.

    Returns:
        Whole numbers as floats; four zeros for an empty mask.
    """
    h = image_hw[0]
    edges = np.cumsum(runs)
    starts, ends = edges[:-1:2], edges[1::2]
    filled = ends > starts
    starts, last = starts[filled], ends[filled] - 1
    if not len(starts):
        return 0.0, 0.0, 0.0, 0.0
    left, right = int(starts[0]) // h, int(last[-1]) // h + 1
    if (starts // h != last // h).any():  # a run that goes on in the next column touches both edges
        return float(left), 0.0, float(right), float(h)
    return float(left), float((starts % h).min()), float(right), float((last % h).max() + 1)


def compress(runs: I64) -> str:
    """Return COCO's text for run lengths: the `counts` of a compressed RLE.

    From the fourth on, each value is the difference to the one before the last; every value is then
    cut in groups of five bits, lowest first, one printable character each.

    Args:
        runs: (R,) px, zeros first.
    """
    values = np.array(runs, np.int64)
    values[3:] -= runs[1:-2]
    columns: list[U8] = []
    used: list[Bool] = []
    open_ = np.ones(len(values), np.bool_)
    while open_.any():
        group = values & _GROUP
        values = values >> _BITS
        more = values != -(group >> (_BITS - 1))  # the rest is more than the sign of this group
        columns.append((group + _FIRST_CHARACTER + more * _MORE).astype(np.uint8))
        used.append(open_)
        open_ = open_ & more
    if not columns:
        return ""
    return np.stack(columns, 1)[np.stack(used, 1)].tobytes().decode("ascii")


def decompress(text: str) -> I64:
    """Return the run lengths of COCO's text.

    Args:
        text: the `counts` of a compressed RLE.

    Returns:
        (R,) px, zeros first.

    Raises:
        ConfigError: the text is not a compressed RLE.
    """
    codes = np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int64) - _FIRST_CHARACTER
    if not len(codes):
        return np.zeros(0, np.int64)
    is_last = (codes & _MORE) == 0
    lasts = np.flatnonzero(is_last)
    if codes.min() < 0 or codes.max() >= 2 * _MORE or not is_last[-1]:
        raise _not_rle(text)
    firsts = np.concatenate([[0], lasts[:-1] + 1])
    sizes = lasts - firsts + 1
    if sizes.max() > _MAX_CHARACTERS:
        raise _not_rle(text)
    place = np.arange(len(codes)) - np.repeat(firsts, sizes)
    values = np.add.reduceat((codes & _GROUP) << (_BITS * place), firsts)
    negative = (codes[lasts] & _SIGN) != 0
    values[negative] -= np.int64(1) << (_BITS * sizes[negative])
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    if values.min() < 0:
        raise _not_rle(text)
    return values.astype(np.int64, copy=False)


def _not_rle(text: str) -> ConfigError:
    shown = text if len(text) <= 40 else text[:40] + "…"
    return ConfigError(
        f"rle: {shown!r} is not a compressed COCO run-length text. "
        'Expected the "counts" string of {"size": [H, W], "counts": "…"}.'
    )
