"""What an object looks like: a token whose product with a cell's features says how much it is it.

The token is the ridge regression of "inside" (+1) against "outside" (-1) over the cells of the
pictures learnt from, both sides of equal weight; a cell that is half inside aims at 0. It needs
only two moments of them: a picture is learnt by adding to these, and forgotten by shrinking them.

Sources: the token of least squares is NanoSAM's (`nanosam/utils/tracker.py`, 256 values, one
picture); that what was prompted is never forgotten is SAM 2's rule.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgesam_rt.tracking.cells import Cells
from edgesam_rt.types import F32

RIDGE = 0.01  # of the mean eigenvalue of the second moment
TEMPLATE_SHARE = 0.5  # of the first picture's moments; the rest is the slowly moving one's
RATE = 0.2  # weight of a learnt picture in the moving moments
_IN_CELL = 0.01  # cells covered by less are outside


class Moments(NamedTuple):
    """What is remembered of one object in one or many pictures.

    Attributes:
        second: (D, D) second moment of the features.
        contrast: (D,) mean inside less mean outside.
        inside: (D,) mean inside.
    """

    second: F32
    contrast: F32
    inside: F32

    def mixed(self, other: Moments, share: float) -> Moments:
        """`share` of the other one, the rest of this one."""
        return Moments(*(a + np.float32(share) * (b - a) for a, b in zip(self, other, strict=True)))


def moments(cells: Cells, inside: F32) -> Moments:
    """Learn a picture.

    Args:
        cells: of the picture.
        inside: (rows, columns) share of every cell that the object covers.
    """
    cover = inside.ravel()
    at = np.flatnonzero(cover > _IN_CELL)
    cover, own = cover[at], cells.features[at]
    within = 0.5 / max(float(cover.sum()), 1.0)
    without = 0.5 / max(len(cells.features) - float(cover.sum()), 1.0)
    # All cells as outside, which objects share, and then a correction where the object is.
    second = np.float32(without) * cells.gram
    second += (own.T * (cover * np.float32(within - without))) @ own
    weight = cover * within + (1 - cover) * without
    contrast = own.T @ (weight * (2 * cover - 1) + without) - without * cells.features.sum(0)
    return Moments(second, contrast.astype(np.float32), pooled(cells, inside))


def pooled(cells: Cells, inside: F32) -> F32:
    """(D,) mean feature of the cells inside a mask (rows, columns); zeros if it is empty."""
    cover = inside.ravel()
    return np.asarray(cover @ cells.features / max(float(cover.sum()), 1e-6), np.float32)


class Looks:
    """An object's looks: as it was prompted, and as of late.

    Attributes:
        token: (D,) its product with a cell's features is about +1 inside the object, -1 outside.

    Args:
        template: of the picture that it was prompted in; kept for ever.
    """

    def __init__(self, template: Moments) -> None:
        self._template = template
        self._recent = template
        self.token = _solved(template)

    def learn(self, seen: Moments) -> None:
        """Take note of how it looks now; only for pictures in which it was surely found."""
        self._recent = self._recent.mixed(seen, RATE)
        self.token = _solved(self._recent.mixed(self._template, TEMPLATE_SHARE))

    def likeness(self, inside: F32) -> float:
        """Cosine of a mean feature (D,) with the object's own, as prompted or as of late."""
        return max(cosine(inside, known.inside) for known in (self._template, self._recent))


def scores(cells: Cells, tokens: list[F32]) -> F32:
    """(K, rows, columns) how much every cell looks like K objects: about +1 inside, -1 outside."""
    products = cells.features @ np.stack(tokens, 1)
    return np.ascontiguousarray(products.T).reshape(len(tokens), *cells.hw)


def _solved(known: Moments) -> F32:
    """(D,) the token."""
    import cv2

    size = len(known.contrast)
    ridge = RIDGE * float(np.trace(known.second)) / size
    second = known.second + ridge * np.eye(size, dtype=np.float32)
    _, token = cv2.solve(second, known.contrast[:, None], flags=cv2.DECOMP_CHOLESKY)
    return np.asarray(token, np.float32).ravel()


def cosine(a: F32, b: F32) -> float:
    """Of two mean features, without their last column, which is one for all; 0 of nothing."""
    a, b = a[:-1], b[:-1]
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0
