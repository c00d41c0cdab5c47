"""The recipe of a discovery head: every number of its training, from one TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edgesam_engines.train.config import Recipe as PhotosRecipe
from edgesam_engines.train.config import load_recipe as load_photos_recipe
from edgesam_rt.config import load_toml
from edgesam_rt.manifest import BoxFacts, Positive, Share

RECIPES = Path(__file__).resolve().parent / "recipes"
DEFAULT = RECIPES / "pocketsam-discovery.toml"
Weight = Annotated[float, Meta(ge=0)]
Rate = Annotated[float, Meta(gt=0)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: immutable, and an unknown key is an error."""


class FeatureRules(_Strict, frozen=True):
    """Which photos are encoded, and how.

    Attributes:
        side: of the encoder, px.
        small_side: of the bundle's other encoder, px.
        small_share: of the training photos, those also encoded at that side.
        most_photos: per source, chosen by a hash of the name.
        all_of: sources of which all are taken.
        unlabelled: folders of `photos/`.
        min_area: of a labelled object, px of the photo.
    """

    side: Positive
    small_side: Positive
    small_share: Share
    most_photos: Positive
    all_of: tuple[str, ...]
    unlabelled: tuple[str, ...]
    min_area: Positive


class HeadSizes(_Strict, frozen=True):
    """Channels, and blocks at strides 8, 16 and 32."""

    width: Positive
    blocks: tuple[Positive, Positive, Positive]


class TruthRules(_Strict, frozen=True):
    """What is an object, what is not, and how sure that is; the recipe explains each."""

    same_iou: Share
    sure_score: Share
    perhaps_score: Share
    beside: Share
    beside_full: Share
    full: tuple[str, ...]
    near: Share


class LossRules(_Strict, frozen=True):
    """Weights of the loss, and how many cells answer for an object."""

    box: Weight
    negative: Weight
    assigned: Positive


class TrainingRules(_Strict, frozen=True):
    """AdamW with a warm-up and a cosine decay to the end."""

    steps: Positive
    batch: Positive
    lr: Rate
    weight_decay: Weight
    warmup_steps: Annotated[int, Meta(ge=0)]
    clip: Rate
    ema: Annotated[float, Meta(ge=0, lt=1)]
    validate_every: Positive
    save_every: Positive


class DiscoveryRecipe(_Strict, frozen=True):
    """A whole training.

    Attributes:
        name: of the head.
        seed: of weights and of the order of photos.
        photos: training recipe whose photos and division are used, relative to this file.
        features, head, truth, loss, training: see there.
        weights: share of the photos drawn, by source; 1 where it is not named.
        facts: for the bundle's manifest.
    """

    name: str
    seed: int
    photos: str
    features: FeatureRules
    head: HeadSizes
    truth: TruthRules
    loss: LossRules
    training: TrainingRules
    weights: dict[str, Weight]
    facts: BoxFacts


def load(path: Path) -> tuple[DiscoveryRecipe, PhotosRecipe]:
    """Read a recipe, and the one that divides its photos.

    Raises:
        ConfigError, RecipeError: something in one of them is wrong.
    """
    recipe = load_toml(path, DiscoveryRecipe)
    return recipe, load_photos_recipe((path.parent / recipe.photos).resolve())
