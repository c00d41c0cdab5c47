"""Which object is on top, where objects lie on each other."""

from __future__ import annotations

import numpy as np

from edgesam_rt.drawing.shapes import Place, Shape

_CELLS = 160  # kept on a grid of about this many cells a side


class Owners:
    """The object on top, on a coarse grid."""

    def __init__(self, image_hw: tuple[int, int]) -> None:
        """No object anywhere."""
        self._step = max(1, max(image_hw) // _CELLS)
        self._top = np.full([-(-side // self._step) for side in image_hw], -1, np.int32)

    def put(self, shape: Shape) -> None:
        """Lay an object on top of those before."""
        step, (left, top, _, _) = self._step, shape.place.box
        cells = shape.mask[-top % step :: step, -left % step :: step]
        row, column = -(-top // step), -(-left // step)
        part = self._top[row : row + cells.shape[0], column : column + cells.shape[1]]
        part[cells > 0] = shape.place.index

    def heart(self, place: Place) -> tuple[tuple[int, int], int]:
        """Where an object is seen.

        Returns:
            x, y of a pixel about as deep as can be in the part that is seen, the middle of the box
            if none is; and about how many pixels are seen.
        """
        import cv2

        left, top, right, bottom = place.box
        column, row = left // self._step, top // self._step
        part = self._top[row : bottom // self._step + 1, column : right // self._step + 1]
        seen = (part == place.index).view(np.uint8)
        if not seen.any():
            return ((left + right) // 2, (top + bottom) // 2), 0
        framed = cv2.copyMakeBorder(seen, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        depth = cv2.distanceTransform(framed, cv2.DIST_L2, 3)
        y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
        at = (column + int(x) - 1) * self._step, (row + int(y) - 1) * self._step
        return at, int(np.count_nonzero(seen)) * self._step**2
