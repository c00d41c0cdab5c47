"""How far two machines agree: arrays of `probe.py` and mask files of `edgesam-run`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from edgesam_rt.errors import ConfigError

Array = NDArray[np.generic]


class Stage(TypedDict):
    """Arrays of one stage at one side, together.

    `differing_share` is of all elements; `largest` the largest difference, in the arrays' own unit.
    """

    side: str
    stage: str
    arrays: int
    equal: int
    differing_share: float
    largest: float


class Masks(TypedDict):
    """Mask files, together: `iou` is the smallest."""

    files: int
    equal: int
    differing_pixels: int
    pixels: int
    iou: float


def stages(here: Mapping[str, Array], there: Mapping[str, Array]) -> list[Stage]:
    """Compare arrays called "SIDE/STAGE/NAME" (the photo: "photo/NAME"), in their order.

    Raises:
        ConfigError: they are not the same arrays.
    """
    if list(here) != list(there):
        raise ConfigError(f"not the same arrays: {sorted(set(here) ^ set(there))}.")
    found: dict[str, list[str]] = {}
    for name in here:
        found.setdefault(name.rpartition("/")[0], []).append(name)
    return [_stage(key, names, here, there) for key, names in found.items()]


def _stage(
    key: str, names: list[str], here: Mapping[str, Array], there: Mapping[str, Array]
) -> Stage:
    side, _, stage = key.rpartition("/")
    pairs = [(here[name], there[name]) for name in names]
    apart = [np.abs(a.astype(np.float64) - b.astype(np.float64)) for a, b in pairs]
    return {
        "side": side,
        "stage": stage,
        "arrays": len(names),
        "equal": sum(a.tobytes() == b.tobytes() for a, b in pairs),
        "differing_share": float(np.concatenate([(d > 0).ravel() for d in apart]).mean()),
        "largest": max(float(d.max(initial=0.0)) for d in apart),
    }


def masks(here: Path, there: Path) -> Masks:
    """Compare two folders of mask files.

    Raises:
        ConfigError: they do not have the same files, or none.
    """
    names = sorted(path.name for path in here.glob("*.png"))
    others = sorted(path.name for path in there.glob("*.png"))
    if not names or names != others:
        raise ConfigError(f"{here} has masks {names}, {there} has {others}.")
    pairs = [(_mask(here / name), _mask(there / name)) for name in names]
    differing = [int((a != b).sum()) for a, b in pairs]
    return {
        "files": len(names),
        "equal": differing.count(0),
        "differing_pixels": sum(differing),
        "pixels": sum(a.size for a, _ in pairs),
        "iou": min(_iou(a, b) for a, b in pairs),
    }


def _mask(path: Path) -> NDArray[np.bool_]:
    import cv2

    pixels: NDArray[np.uint8] = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)  # type: ignore[assignment]
    return pixels > 0


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0
