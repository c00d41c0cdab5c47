"""Write the known masks of this folder; see how_made.md. Run: python tests/golden/make_masks.py"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgesam_rt.imaging import rle

HERE = Path(__file__).resolve().parent
PHOTOS = HERE.parents[1] / "demo" / "photos"
ROUNDS = 8


@dataclass(frozen=True)
class Known:
    """An object a person named on a photo: a box around it, and a point on it, px."""

    photo: str
    box_xyxy: tuple[int, int, int, int]
    point_xy: tuple[float, float]


KNOWN = (
    Known("white-car.jpg", (272, 0, 420, 222), (345.0, 60.0)),
    Known("woman-in-room.jpg", (386, 12, 516, 396), (450.0, 200.0)),
)


def main() -> None:
    """Cut every object out by its colours (GrabCut) and write its largest part, holes filled."""
    for known in KNOWN:
        image = cv2.imread(str(PHOTOS / known.photo))
        assert image is not None
        x0, y0, x1, y1 = known.box_xyxy
        cut = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        box = (x0, y0, x1 - x0, y1 - y0)
        cv2.grabCut(image, cut, box, *models, ROUNDS, cv2.GC_INIT_WITH_RECT)
        inside = np.isin(cut, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
        outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        mask = np.zeros_like(inside)
        cv2.drawContours(mask, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
        data = {
            "photo": known.photo,
            "box_xyxy": known.box_xyxy,
            "point_xy": known.point_xy,
            "size": mask.shape,
            "counts": rle.compress(rle.run_lengths(mask.astype(np.bool_))),
        }
        path = HERE / f"{Path(known.photo).stem}.json"
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
