"""Recipes: everything a build needs to know, as data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import structs

from edgesam_rt.config import load_toml
from edgesam_rt.errors import ConfigError, unknown_name
from edgesam_rt.manifest import BoxFacts, EverythingFacts, InstanceFacts, Positive, Precision

DEFAULT_PRECISION: Precision = "int8"
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
        balance: of "equalise": how much of a tensor's unevenness goes to the weights that read it.
        gelu: "float" leaves it as it is; "sigmoid" computes it in integers (`ptq/gelu.py`).
        float_layers: nodes of the encoder's graph that stay float; a `*` stands for anything.
        float_candidates: nodes that `float_target` may leave float, block by block; without any, it
            may be every single operation.
        float_target: mean cosine of the encoder's outputs with the float model's that is to be
            reached by leaving the most sensitive layers float; None for as many as are named.
        most_float: operations, or blocks of candidates, that `float_target` may leave float.
    """

    bias_correction: bool = False
    equalise: Literal["off", "exact", "calibrated"] = "off"
    balance: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    gelu: Literal["float", "sigmoid"] = "float"
    float_layers: tuple[str, ...] = ()
    float_candidates: tuple[str, ...] = ()
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
        instances: which are taken of those that the encoder finds; None where it finds none.
        tensorrt: whether the bundle also has graphs for TensorRT (`tensorrt_graphs.py`).
        fp16: whether TensorRT may compute the encoder in half precision, should one ask for it.
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
    instances: InstanceFacts | None = None
    tensorrt: bool = False
    fp16: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if not self.sides or len(set(self.sides)) != len(self.sides):
            raise ValueError(f"sides: expected some, each once, got {list(self.sides)}")
        if self.precision == "fp16" and not self.fp16:
            raise ValueError("precision: fp16 needs fp16 = true, which says that it works")


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
    own = family if family in names() else f"{family}-{precision or DEFAULT_PRECISION}"
    if own not in names():
        raise ConfigError(_no_such(family, precision))
    recipe, folder = load(own)
    wanted = precision or recipe.precision
    if wanted == "fp16" and not recipe.fp16:
        raise ConfigError(_why_no_fp16(recipe))
    kept = dict(recipe.keep_float)
    if wanted == "fp16":
        kept.pop("encoder", None)  # what is named there may not be computed in halves
    name = f"{family}-{wanted}"
    return structs.replace(recipe, name=name, precision=wanted, keep_float=kept), folder


def _no_such(family: str, precision: Precision | None) -> str:
    built = {n: load(n)[0] for n in names()}
    own = [r.precision for r in built.values() if r.family == family]
    if own:
        return f"precision {precision} with --family {family}: it is built as {' or '.join(own)}."
    return unknown_name("family", family, sorted({r.family for r in built.values()}))


def _why_no_fp16(recipe: Recipe) -> str:
    halves = [n for n in names() if load(n)[0].fp16]
    return (
        f"precision fp16 with --family {recipe.family}: half precision makes wrong embeddings of "
        f"it, or nobody has shown that it does not. Use int8 or fp32. Families that take fp16: "
        f"{', '.join(halves)}."
    )


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
