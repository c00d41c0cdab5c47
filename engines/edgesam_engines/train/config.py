"""The recipe: every number of a training, decoded strictly from one TOML file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from edgesam_rt.errors import ConfigError

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Weight = Annotated[float, Meta(ge=0.0)]
Positive = Annotated[float, Meta(gt=0.0)]
Count = Annotated[int, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]
Range = tuple[float, float]
Section = TypeVar("Section", bound=msgspec.Struct)


class RecipeError(ConfigError):
    """The recipe file is wrong; the message says where."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all sections: immutable, and an unknown key is an error."""


class Hardware(_Strict, frozen=True):
    """What to run on."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: AtLeastOne = 2  # of torch, on CPU; the loop also tries one and keeps the faster
    workers: Count = 1  # processes that make samples; 0 makes them in the loop
    prefetch: AtLeastOne = 4  # batches ahead per worker
    bf16_on_cpu: bool = True  # the scorer only; the encoder and the mask head stay in fp32


class Batch(_Strict, frozen=True):
    """Sizes of one step."""

    photos_cpu: AtLeastOne
    photos_cuda: AtLeastOne
    prompts: AtLeastOne  # per photo
    sides: dict[str, Weight]  # crop side in pixels (a multiple of 32) to its share of the steps
    late_sides: dict[str, Weight] = {}  # the same in the decay at the end; empty: as before it


class Source(_Strict, frozen=True):
    """How often one folder of `masks/` is used."""

    weight: Weight  # share of the photos drawn, relative to the other sources
    cutout: Weight = 0.0  # share of the pasted cut-outs, likewise
    holdout: Share | None = None  # part kept for validation, where it is not the common one


class Data(_Strict, frozen=True):
    """Which photos, and which of them are only for validation."""

    sources: dict[str, Source]
    backdrops: dict[str, Weight]  # folders of `photos/` without labels, with their shares
    holdout: Share  # part of each source kept for validation, chosen by a hash of the name
    split_seed: int = 0
    allow_doubtful_terms: bool = False  # take sources whose meta.json forbids commercial use
    cache_mib: Count = 3000  # decoded photos kept in memory, per worker
    extra_roots: tuple[str, ...] = ()  # folders of labels by `train.pseudo`, the last one wins


class Canvas(_Strict, frozen=True):
    """How samples are laid out: relative shares of each kind."""

    single: Weight
    mosaic2: Weight  # a cross at a random place
    mosaic3: Weight  # three by three with moved lines
    irregular: Weight  # random cuts into `pieces` tiles
    backdrop: Weight  # an unlabelled photo that only cut-outs are pasted on
    pieces: tuple[AtLeastOne, AtLeastOne] = (3, 8)
    min_object: AtLeastOne = 40  # pixels of the crop; fewer are not asked for
    max_object: Share = 0.95  # part of the crop; more is not asked for


class Photo(_Strict, frozen=True):
    """Augmentation of one photo; zoom 1.0 fits its longer side to the tile's longer side."""

    zoom_in: Range = (1.0, 1.8)
    zoom_out: Range = (0.4, 1.0)
    plain: Share = 0.25  # part with zoom 1.0
    out: Share = 0.3  # part of the rest that is zoomed out
    tile_zoom: Range = (0.9, 1.7)  # inside mosaics
    cover: Share = 0.5  # part of the tiles where 1.0 fills the tile instead of fitting into it
    flip: Share = 0.5
    colour: Share = 0.7
    contrast: Range = (0.7, 1.3)
    brightness: Range = (-25.0, 25.0)  # in 8-bit steps
    saturation: Range = (0.5, 1.4)
    tint: Range = (0.9, 1.1)  # per channel
    grey: Share = 0.08
    blur: Share = 0.08


class Paste(_Strict, frozen=True):
    """Copy-paste of cut-outs."""

    share: Share  # part of the labelled canvases that get any
    count: tuple[AtLeastOne, AtLeastOne]
    backdrop_count: tuple[AtLeastOne, AtLeastOne]
    side: Range  # longer side of the pasted thing, in canvas sides, drawn log-uniformly
    enlarge: Positive = 1.5  # never scaled up more than this
    rotate: float = 20.0  # degrees, either way
    repeat: Share = 0.3  # part of the cut-outs that is pasted as a small group of copies
    copies: tuple[AtLeastOne, AtLeastOne] = (2, 4)
    min_source: AtLeastOne = 600  # pixels a cut-out has at least
    visible: Share = 0.35  # an object with less than this left is no longer asked for


class PromptRules(_Strict, frozen=True):
    """What the model is asked."""

    rounds: Annotated[int, Meta(ge=1, le=4)]
    box: Share  # part of the first prompts that are boxes; the rest are points
    box_jitter: Share  # largest standard deviation of a box edge, in box sides
    tight: Share  # part of the boxes without jitter
    centre: Share  # part of the first points at the deepest pixel; the rest are anywhere inside
    deepest: Share  # part of the corrections at the deepest error pixel, as the protocol does
    mask: Share  # part of the corrections that also give the earlier mask
    mask_alone: Share = 0.0  # of fair earlier masks: part given without box and foreground points


class Loss(_Strict, frozen=True):
    """Weights of the parts of the loss."""

    rounds: tuple[Weight, Weight, Weight, Weight]
    dice: Weight
    bce_area: Weight  # cross entropy per pixel of the union: counts small objects like large ones
    bce_mean: Weight  # cross entropy per pixel of the crop
    boundary: Weight  # extra weight of pixels near the outline
    single_on_points: Weight  # token 0 at a first point, where tokens 1 to 3 answer
    others: Weight  # mean loss of the answers that are not the best
    iou: Weight  # predicted against achieved IoU, cross entropy
    frame: Weight  # expected frame of an answer against the object's box
    rank: Weight  # pairwise order of the three answers, weighted by the gap
    boundary_radius: Annotated[int, Meta(ge=1, le=8)] = 1  # low-resolution pixels
    hard: Weight = 0.0  # objects that the answer misses weigh up to this much more


class Optim(_Strict, frozen=True):
    """AdamW."""

    lr: Positive
    trunk_lr: Weight  # of the trunk, relative to `lr`
    frozen_blocks: Annotated[int, Meta(ge=0, le=3)]  # of the trunk, with the stem; 0: all learn
    weight_decay: Weight
    betas: tuple[float, float]
    clip: Positive  # largest norm of the gradient
    ema: Annotated[float, Meta(ge=0.0, lt=1.0)]
    hold_norms: bool = False  # BatchNorms keep their statistics from the first step on, not only
    # in the decay: for data too few to estimate them on


class Schedule(_Strict, frozen=True):
    """Warm-up, a constant stretch, then a cosine decay that ends at `total_steps`.

    To go on longer, raise `total_steps` and resume from a checkpoint made before the decay; to
    finish earlier, lower it.
    """

    total_steps: AtLeastOne
    warmup_steps: Count
    decay_steps: Count
    floor: Share  # last learning rate, relative to `lr`
    integer_steps: Count = 0  # last steps with the encoder rounded as in its INT8 engine


class Validation(_Strict, frozen=True):
    """The three protocols on the photos kept apart."""

    every_steps: AtLeastOne
    side: AtLeastOne
    max_photos: AtLeastOne  # per source
    max_objects: AtLeastOne  # per photo
    min_object: AtLeastOne = 30  # pixels of the photo
    first: bool = False  # also before the first step


class Saving(_Strict, frozen=True):
    """When to write what."""

    every_minutes: Positive
    log_every_steps: AtLeastOne
    keep_before_decay: bool = True  # a copy of the checkpoint from which the run can be extended


class Distil(_Strict, frozen=True):
    """What is learnt from a teacher, and what it is asked; see `distil/`."""

    share: Share = 1.0  # part of the steps on its answers, where there are labels to learn from too
    encoder_steps: Count = 0  # first steps, on embeddings alone
    embedding: Weight = 1.0
    tokens: Weight = 0.5
    points_per_side: AtLeastOne = 8  # of the grid it is asked on
    objects: AtLeastOne = 16  # kept per photo
    min_predicted_iou: Share = 0.7
    min_stability: Share = 0.85  # IoU of the mask cut at logits 1 and -1
    nms: Share = 0.7  # of two answers whose boxes overlap more, the better one is kept
    cache_mib: AtLeastOne = 8000  # of its answers on disk; photos beyond are not used


class Blend(_Strict, frozen=True):
    """Which weights between those begun with and those learnt are taken; see `blend.py`."""

    shares: Annotated[tuple[Share, ...], Meta(min_length=1)]  # of the change, that are tried
    keep_gain: Share = 0.65  # of what is gained on held-out photos, that must stay


class Recipe(_Strict, frozen=True):
    """A whole training."""

    name: str
    seed: int
    hardware: Hardware
    batch: Batch
    data: Data
    canvas: Canvas
    photo: Photo
    paste: Paste
    prompts: PromptRules
    loss: Loss
    optim: Optim
    schedule: Schedule
    validation: Validation
    saving: Saving
    distil: Distil | None = None  # needs a teacher
    blend: Blend | None = None  # None: what was learnt is taken as it is


def read_strictly(path: Path, kind: type[Section]) -> Section:
    """Decode a TOML file of this package.

    Raises:
        RecipeError: naming the file and the key that is unknown, missing or out of range.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except (msgspec.MsgspecError, OSError) as error:
        raise RecipeError(f"{path}: {error}") from error


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        RecipeError: naming the file and the key that is unknown, missing or out of range.
    """
    recipe = read_strictly(path, Recipe)
    problem = _contradiction(recipe)
    if problem:
        raise RecipeError(f"{path}: {problem}")
    return recipe


def _contradiction(recipe: Recipe) -> str | None:
    for name, sides in (("sides", recipe.batch.sides), ("late_sides", recipe.batch.late_sides)):
        if (name == "sides" and not sides) or any(
            not s.isdigit() or int(s) < 64 or int(s) % 32 for s in sides
        ):
            return f"batch.{name}: {sorted(sides)} must be multiples of 32, 64 or more"
    if recipe.validation.side % 32:
        return f"validation.side: {recipe.validation.side} is not a multiple of 32"
    if not any(s.weight for s in recipe.data.sources.values()):
        return "data.sources: no source has a weight"
    s = recipe.schedule
    if s.warmup_steps + s.decay_steps > s.total_steps:
        return "schedule: warm-up and decay are longer than the training"
    if s.integer_steps > s.decay_steps:
        return "schedule: integer_steps begin before the decay, where BatchNorms still move"
    if recipe.distil is not None and recipe.distil.encoder_steps > s.total_steps:
        return "distil.encoder_steps: more than the whole training has"
    return None


def recipe_hash(recipe: Recipe) -> str:
    """Twelve hex digits that change with any number of the recipe."""
    return hashlib.sha256(msgspec.json.encode(recipe, order="sorted")).hexdigest()[:12]
