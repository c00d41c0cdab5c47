"""Recipes: everything a build needs to know, as data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edgesam_rt.config import load_toml
from edgesam_rt.errors import ConfigError, unknown_name
from edgesam_rt.manifest import EverythingFacts, Positive, Precision

BUILT = ("int8", "fp32")
RECIPES = Path(__file__).resolve().parent / "recipes"


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How activation ranges are found.

    Attributes:
        photos: how many, spread evenly over the sorted list of all found.
        estimator: "minmax" takes the extremes over all photos, "mean_minmax" their mean per photo.
    """

    photos: Positive = 64
    estimator: Literal["minmax", "mean_minmax"] = "minmax"


class Acceptance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a finished engine must reach against the float model, or it is not packed.

    Attributes:
        mean_iou: mean IoU of the engine's masks with the float model's, over the calibration
            photos that were left out of calibration.
    """

    mean_iou: Annotated[float, msgspec.Meta(ge=0, le=1)]


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One bundle to build.

    Attributes:
        name, version: of the bundle.
        family: a row of `families/table.py`.
        checkpoint: the weights' file, relative to the recipe; `--checkpoint` overrides it.
        licence, origin: of the weights, for the manifest.
        precision: of the encoder.
        sides: of the encoder's input, px.
        keep_float: parts that stay in float, and why.
        calibration: None for a float bundle.
        everything: thresholds of everything mode.
        acceptance: gate before packing.
    """

    name: str
    version: str
    family: str
    checkpoint: str
    licence: str
    origin: str
    precision: Precision
    sides: tuple[Positive, ...]
    acceptance: Acceptance
    everything: EverythingFacts = EverythingFacts()
    keep_float: dict[str, str] = {}
    calibration: Calibration = Calibration()

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if not self.sides or len(set(self.sides)) != len(self.sides):
            raise ValueError(f"sides: expected some, each once, got {list(self.sides)}")
        if self.precision not in BUILT:
            raise ValueError(
                f"precision: {', '.join(BUILT)} can be built for now, got {self.precision}"
            )


def names() -> list[str]:
    """Recipes that come with the factory."""
    return sorted(p.stem for p in RECIPES.glob("*.toml"))


def load(name_or_path: str) -> tuple[Recipe, Path]:
    """Read a recipe by name or file; also returns its folder.

    Raises:
        ConfigError: no such recipe, or something in it is wrong.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = RECIPES / f"{name_or_path}.toml"
        if not path.is_file():
            raise ConfigError(unknown_name("recipe", name_or_path, names()))
    return load_toml(path, Recipe), path.parent
