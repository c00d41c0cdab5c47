"""Recipes of detectors: everything a build needs to know, as data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edgesam_engines.recipe import Calibration, Quantization
from edgesam_rt.config import load_toml
from edgesam_rt.detector_manifest import KIND, DetectorFacts
from edgesam_rt.errors import ConfigError, unknown_name
from edgesam_rt.manifest import Precision, Share

RECIPES = Path(__file__).resolve().parent / "recipes"


class Acceptance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a finished engine must reach, or it is not packed.

    Attributes:
        boxes_found: portion of the float model's sure boxes that it finds at IoU 0.8, on photos
            left out of calibration.
    """

    boxes_found: Share


class DetectorRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One detector bundle to build.

    Attributes:
        kind: tells it from other recipes.
        name, version: of the bundle.
        family: of the weights; there is one so far.
        checkpoint: the weights' file in the folder that `--checkpoint` names, if it names one.
        sha256: of that file.
        licence, origin: of the weights, for the manifest.
        precision: of the engine.
        detector: which boxes are taken.
        keep_float: what stays in float, and why.
        calibration, quantization: as in other recipes.
        acceptance: gate before packing.
    """

    kind: Literal["detector"]
    name: str
    version: str
    family: Literal["yolox"]
    checkpoint: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    licence: str
    origin: str
    precision: Precision
    detector: DetectorFacts
    acceptance: Acceptance
    keep_float: dict[str, str] = {}
    calibration: Calibration = Calibration()
    quantization: Quantization = Quantization()

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.precision not in ("int8", "fp32"):
            raise ValueError(f"precision: int8 and fp32 can be built, got {self.precision}")


class _Kind(msgspec.Struct):
    """What tells a recipe's kind; other keys are left alone."""

    kind: str = ""


def names() -> list[str]:
    """Detector recipes that come with the factory."""
    return sorted(p.stem for p in RECIPES.glob("*.toml"))


def is_detector(name_or_path: str) -> bool:
    """Whether this names a detector's recipe: one that comes with the factory, or a file.

    Raises:
        ConfigError: it is a file that cannot be read.
    """
    if Path(name_or_path).suffix != ".toml":
        return name_or_path in names()
    return load_toml(Path(name_or_path), _Kind).kind == KIND


def load(name_or_path: str) -> DetectorRecipe:
    """Read a detector's recipe by name or file.

    Raises:
        ConfigError: no such recipe, or something in it is wrong.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = RECIPES / f"{name_or_path}.toml"
        if not path.is_file():
            raise ConfigError(unknown_name("detector recipe", name_or_path, names()))
    return load_toml(path, DetectorRecipe)
