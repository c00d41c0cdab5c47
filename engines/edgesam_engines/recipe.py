"""Recipes: everything a build needs to know, as data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import structs

from edgesam_rt.config import load_toml
from edgesam_rt.errors import ConfigError, unknown_name
from edgesam_rt.manifest import BoxFacts, EverythingFacts, Positive, Precision

BUILT = ("int8", "fp32")
DEFAULT_PERCENTILE = 99.99
Estimator = Literal[
    "minmax", "mean_minmax", "moving_average", "percentile", "entropy", "mse", "error_guided"
]
RECIPES = Path(__file__).resolve().parent / "recipes"


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How activation ranges are found; docs/quantization.md tells when to use what.

    Attributes:
        photos: how many, spread evenly over the sorted list of all found.
        estimator: "minmax" takes the extremes over all photos, "mean_minmax" their mean per photo;
            the others are rows of `ptq/estimators.py`, or "error_guided" (`ptq/search.py`).
        momentum: of "moving_average": the part of its state that a photo leaves as it was.
        percentile: of "percentile": the percentage of values that are not cut; default 99.99.
    """

    photos: Positive = 64
    estimator: Estimator = "minmax"
    momentum: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.9
    percentile: Annotated[float, msgspec.Meta(gt=50, le=100)] | None = None

    def __post_init__(self) -> None:
        """Refuse a percentile that nothing would read."""
        if self.percentile is not None and self.estimator != "percentile":
            raise ValueError(
                f'percentile: belongs to estimator = "percentile", this one is '
                f"{self.estimator!r}; leave it out"
            )

    @property
    def percentile_or_default(self) -> float:
        """Percentage of values that are not cut."""
        return DEFAULT_PERCENTILE if self.percentile is None else self.percentile


class Quantization(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is done beside choosing ranges.

    Attributes:
        bias_correction: take each layer's mean error out of its bias.
        equalise: "exact" brings the channels of linear streams to one size, which changes no float
            value; "calibrated" also those before a ReLU6, exact for values like the photos' own.
        gelu: "float" leaves it as it is; "sigmoid" computes it in integers (`ptq/gelu.py`).
        float_layers: nodes of the encoder's graph that stay float.
        float_target: mean cosine of the encoder's outputs with the float model's that is to be
            reached by leaving the most sensitive layers float; None for as many as are named.
        most_float: layers that `float_target` may leave float.
    """

    bias_correction: bool = False
    equalise: Literal["off", "exact", "calibrated"] = "off"
    gelu: Literal["float", "sigmoid"] = "float"
    float_layers: tuple[str, ...] = ()
    float_target: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    most_float: Positive = 8


class Acceptance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a finished engine must reach against the float model, or it is not packed.

    Attributes:
        mean_iou: mean IoU of the engine's masks with the float model's, over the calibration
            photos that were left out of calibration.
    """

    mean_iou: Annotated[float, msgspec.Meta(ge=0, le=1)]


class DiscoveryPart(BoxFacts, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A discovery head that goes into the bundle, and which of its boxes are taken.

    Attributes:
        checkpoint: the head's file, relative to the recipe.
    """

    checkpoint: str

    @property
    def facts(self) -> BoxFacts:
        """What the manifest says."""
        return msgspec.convert(self, BoxFacts, from_attributes=True)


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One bundle to build.

    Attributes:
        name, version: of the bundle.
        family: a row of `families/table.py`.
        checkpoint: the weights' file, relative to the recipe; `--checkpoint` overrides it. None
            where the weights are others', and whoever builds has to name their file.
        licence, origin: of the weights, for the manifest.
        precision: of the encoder.
        sides: of the encoder's input, px.
        keep_float: parts that stay in float, and why.
        calibration: how ranges are found.
        quantization: what is done beside that.
        everything: thresholds of everything mode.
        acceptance: gate before packing.
        discovery: a head that finds boxes; None for none.
        tensorrt: whether the bundle also has graphs for TensorRT (`tensorrt_graphs.py`).
    """

    name: str
    version: str
    family: str
    licence: str
    origin: str
    precision: Precision
    sides: tuple[Positive, ...]
    acceptance: Acceptance
    checkpoint: str | None = None
    everything: EverythingFacts = EverythingFacts()
    keep_float: dict[str, str] = {}
    calibration: Calibration = Calibration()
    quantization: Quantization = Quantization()
    discovery: DiscoveryPart | None = None
    tensorrt: bool = False

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


def of_family(family: str, precision: Precision | None = None) -> tuple[Recipe, Path]:
    """Read a family's recipe, for a precision that may be another than its own.

    Raises:
        ConfigError: no recipe for that family, or its precision cannot be built.
    """
    own = family if family in names() else f"{family}-{precision or BUILT[0]}"
    recipe, folder = load(own)
    wanted = precision or recipe.precision
    if wanted not in BUILT:
        raise ConfigError(
            f"precision {wanted}: {', '.join(BUILT)} can be built for now. Half precision makes "
            "wrong embeddings of several families without any error."
        )
    return structs.replace(recipe, name=f"{family}-{wanted}", precision=wanted), folder


def of_bundle(name: str, family: str, precision: Precision) -> tuple[Recipe, Path]:
    """Read the recipe that a bundle was made by: the one of its name, else its family's.

    Raises:
        ConfigError: there is neither.
    """
    return load(name) if name in names() else of_family(family, precision)


def checkpoint_of(recipe: Recipe, folder: Path, given: Path | None) -> Path:
    """The weights' file: the one given, else the recipe's.

    Raises:
        ConfigError: there is neither.
    """
    if given is not None:
        return given
    if recipe.checkpoint is None:
        raise ConfigError(
            f"{recipe.family}: its weights do not come with this project. Get them from their "
            f"authors and name the file: --checkpoint FILE. {recipe.origin}"
        )
    return (folder / recipe.checkpoint).resolve()
