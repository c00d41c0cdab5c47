"""What a user asked to be trained: kept in the run's folder, so that `--resume` needs no more."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgesam_engines import recipe as bundles
from edgesam_engines.checkpoints import read_weights
from edgesam_engines.errors import CheckpointError
from edgesam_engines.families.fingerprints import looks_like
from edgesam_engines.train.checkpoint import CHECKPOINT
from edgesam_engines.train.config import Blend, Recipe, load_recipe
from edgesam_engines.train.distil.teacher import Named
from edgesam_engines.train.network import model_of
from edgesam_rt.errors import ConfigError, unknown_name
from edgesam_rt.imaging.files import no_such_file
from edgesam_rt.paths import user_path
from edgesam_rt.sinks.files import make_folder, write_whole

RECIPES = Path(__file__).resolve().parent / "recipes"
FINETUNE, DISTIL = "finetune", "distil"
BUNDLE_RECIPE = "pocketsam-int8"  # whose weights a training starts from, and which it is built by
JOB = "job.json"
IMAGENET = "imagenet"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `edgesam-engines train` was told; paths are absolute."""

    data: Path
    images: Path | None = None
    init: str | None = None  # a file, or IMAGENET; None: the weights of the bundle that ships
    teacher: str | None = None  # FAMILY:CHECKPOINT
    recipe: str | None = None  # a name or a TOML file; None: by whether there is a teacher
    steps: int | None = None
    threads: int | None = None
    blend: float | None = None  # share of what was learnt; None: as the recipe says


def checked(job: Job) -> Job:
    """The job with all paths absolute, seen to be there; before a folder is made.

    Raises:
        ConfigError, CheckpointError: something cannot be used.
    """
    recipe_of(job)
    start_of(job)
    if not job.data.exists():
        raise ConfigError(f"train: --data {no_such_file(job.data)}")
    if job.teacher:
        job = msgspec.structs.replace(job, teacher=str(Named.parse(job.teacher)))
    if job.init not in (None, IMAGENET):
        job = msgspec.structs.replace(job, init=str(user_path(job.init).absolute()))
    if job.recipe and job.recipe.endswith(".toml"):
        job = msgspec.structs.replace(job, recipe=str(Path(job.recipe).absolute()))
    return job


def begin(job: Job, out: Path) -> Job:
    """Note a new job in its folder.

    Raises:
        ConfigError: there is a training already, or the folder lies among the data.
    """
    if (out / CHECKPOINT).exists():
        raise ConfigError(
            f"train: {out} holds a training already. Go on with it by `edgesam-engines train "
            f"--resume --out {out}`, or name another folder."
        )
    for given in (job.data, job.images):
        if given is not None and given.resolve() in (out.resolve(), *out.resolve().parents):
            raise ConfigError(
                f"train: {out} lies in {given}: the run's own photos would be taken for yours. "
                "Name a folder beside it."
            )
    make_folder(out, "train")
    write_whole(out / JOB, msgspec.json.format(msgspec.json.encode(job, enc_hook=str), indent=1))
    return job


def resume(out: Path, **changes: float | None) -> Job:
    """The job of a folder; `steps`, `threads` and `blend` may be others.

    Raises:
        ConfigError: there is none.
    """
    try:
        found = msgspec.json.decode((out / JOB).read_bytes(), type=Job, dec_hook=_path)
    except FileNotFoundError as error:
        raise ConfigError(
            f"train: {out}: no training to resume here. Begin one with --data."
        ) from error
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"train: {out / JOB}: cannot be read: {error}.") from error
    return msgspec.structs.replace(found, **{k: v for k, v in changes.items() if v is not None})


def _path(kind: type, value: object) -> object:
    return kind(value)


def recipe_of(job: Job) -> Recipe:
    """The recipe, with the job's steps and threads.

    Raises:
        ConfigError: there is none of that name, or something in it is wrong.
    """
    name = job.recipe or (DISTIL if job.teacher else FINETUNE)
    path = Path(name)
    if path.suffix != ".toml":
        path = RECIPES / f"{name}.toml"
        if name not in (FINETUNE, DISTIL):
            raise ConfigError(unknown_name("recipe", name, (FINETUNE, DISTIL)))
    recipe = load_recipe(path)
    if job.teacher and recipe.distil is None:
        raise ConfigError(f"{path}: has no [distil] section, which a --teacher needs.")
    if not job.teacher:
        recipe = msgspec.structs.replace(recipe, distil=None)
    if job.blend is not None:
        recipe = msgspec.structs.replace(recipe, blend=_fixed(job.blend))
    if job.threads is not None:
        hardware = msgspec.structs.replace(recipe.hardware, threads=job.threads)
        recipe = msgspec.structs.replace(recipe, hardware=hardware)
    return recipe if job.steps is None else with_steps(recipe, job.steps)


def _fixed(share: float) -> Blend | None:
    """A blend that is not chosen; none where all that was learnt is taken."""
    return Blend((share,), keep_gain=0.0) if share < 1 else None


def with_steps(recipe: Recipe, steps: int) -> Recipe:
    """The recipe drawn out or together to a number of steps."""
    old = recipe.schedule
    part = steps / old.total_steps
    phases = {
        k: int(getattr(old, k) * part) for k in ("warmup_steps", "decay_steps", "integer_steps")
    }
    schedule = msgspec.structs.replace(old, total_steps=steps, **phases)
    recipe = msgspec.structs.replace(recipe, schedule=schedule)
    if recipe.distil is None:
        return recipe
    alone = int(recipe.distil.encoder_steps * part)
    distil = msgspec.structs.replace(recipe.distil, encoder_steps=alone)
    return msgspec.structs.replace(recipe, distil=distil)


def start_of(job: Job) -> Path | None:
    """The weights to begin with, seen to be PocketSAM's; None for a trunk from ImageNet.

    Raises:
        CheckpointError: they are not, or there are none.
    """
    if job.init == IMAGENET:
        return None
    path = user_path(job.init) if job.init else _shipped()
    weights = read_weights(path)
    try:
        model_of(weights)
    except (KeyError, IndexError, RuntimeError) as error:
        kind = looks_like(weights)
        hint = f" It looks like {kind}; only PocketSAM is trained, {kind} can be its --teacher."
        raise CheckpointError(
            f"--init {path}: not PocketSAM's weights.{hint if kind else ''}"
        ) from error
    return path


def _shipped() -> Path:
    recipe, folder = bundles.load(BUNDLE_RECIPE)
    path = bundles.checkpoint_of(recipe, folder, None)
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file. The weights that ship lie in the project's repository "
            "(engines/checkpoints); name a copy with --init."
        )
    return path
