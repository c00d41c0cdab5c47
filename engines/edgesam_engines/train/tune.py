"""A training on a user's own photos, from checking them to the command that builds a bundle."""

from __future__ import annotations

import shlex
import signal
from pathlib import Path
from typing import Any

from edgesam_engines.train import job as jobs
from edgesam_engines.train.blend import BLENDED, Point, blend
from edgesam_engines.train.checkpoint import CHECKPOINT, WEIGHTS
from edgesam_engines.train.cli import pick_device, prepare
from edgesam_engines.train.config import Recipe
from edgesam_engines.train.distil.ask import ask_about
from edgesam_engines.train.distil.samples import Distillation
from edgesam_engines.train.distil.teacher import Named
from edgesam_engines.train.journal import read_journal
from edgesam_engines.train.loop import JOURNAL, train
from edgesam_engines.train.memory import keep_memory
from edgesam_engines.train.own.coco import CocoFile
from edgesam_engines.train.own.folder import MaskFolder
from edgesam_engines.train.own.found import Reader
from edgesam_engines.train.own.index import HELD_OUT, SOURCE, TRAIN, Prepared
from edgesam_engines.train.own.prepare import prepare as prepare_photos
from edgesam_engines.train.progress import Say, Ticker
from edgesam_engines.train.rounds import Stats
from edgesam_engines.train.samples import Batches, NoObjectError
from edgesam_engines.train.sources import Split
from edgesam_engines.train.validate import Figures
from edgesam_engines.train.watch import Watch
from edgesam_rt.errors import ConfigError, EdgeSamError
from edgesam_rt.sinks.files import write_failed

DATA = "data"
SHOWN = {"box": "box", "point": "point", "clicks3": "3 clicks"}  # figures, and how to call them
SIGNALLED = 128  # and the signal's number: the exit code of a run that one ended


class Teller(Watch):
    """Tells a person how the run goes."""

    def __init__(self, say: Say, total: int) -> None:
        self._say, self._total = say, total
        self._ticker: Ticker | None = None
        self.signal: int | None = None
        self.done = 0

    def step(self, done: int, figures: Stats) -> None:
        """Loss and time left."""
        if self._ticker is None:
            self._ticker = Ticker(self._say, "step", self._total, done=done - 1)
        self.done = done
        self._ticker.at(done, f"loss {figures['loss']:.3f}")

    def validated(self, done: int, figures: Figures) -> None:
        """Held-out figures."""
        self._say(f"held out, after {done} steps: {in_words(figures)}")

    def stopped(self, done: int, number: int) -> None:
        """Which signal."""
        self.done, self.signal = done, number


def run(job: jobs.Job, out: Path, say: Say) -> int:
    """Check, ask the teacher if there is one, train, compare.

    Args:
        job: what is wanted.
        out: the run's folder, which exists.
        say: takes lines for a person.

    Returns:
        The exit code: 0, or 128 and the number of the signal that stopped it.

    Raises:
        EdgeSamError: something cannot be used or written; what was done stays.
    """
    keep_memory()
    recipe = jobs.recipe_of(job)
    teller = Teller(say, recipe.schedule.total_steps)
    try:
        done = _learn(job, recipe, out, teller, say)
    except OSError as error:
        path = Path(error.filename or out)
        raise write_failed("train", path, error, _intact(out)) from error
    except FloatingPointError as error:
        raise EdgeSamError(
            f"train: {error}: no number any more. {_intact(out)} Lower optim.lr in a copy of the "
            "recipe, and begin anew."
        ) from error
    except KeyboardInterrupt:
        say(f"what is done stays. {_resume(out)}")
        raise
    if done:
        return _tell(closing(out), say)
    _tell(
        [
            f"stopped after step {teller.done}; nothing is lost. {_resume(out)}",
            f"The weights so far: {out / WEIGHTS}",
        ],
        say,
    )
    return SIGNALLED + (teller.signal or signal.SIGTERM)


def _tell(lines: list[str], say: Say) -> int:
    for line in lines:
        say(line)
    return 0


def _learn(job: jobs.Job, recipe: Recipe, out: Path, teller: Teller, say: Say) -> bool:
    """Check, ask, train; whether the last step is done."""
    device = pick_device(recipe.hardware.device)
    prepare(recipe, device)
    start, teacher = jobs.start_of(job), Named.parse(job.teacher) if job.teacher else None
    found = prepare_photos(
        reader_of(job), out / DATA, recipe.data, unlabelled=teacher is not None, say=say
    )
    _tell(found.summary(), say)
    split, distillation = found.split, None
    if teacher is not None:
        split, distillation = _taught(teacher, recipe, found, out, say)
    if any(split.train.values()):
        _try_a_sample(recipe, split)
    done = train(recipe, split, out, device, start, distillation=distillation, watch=teller)
    if done and recipe.blend is not None and start is not None:
        blend(start, out, split, recipe, device, lambda point: say(_of_point(point)))
    return done


def _of_point(point: Point) -> str:
    return f"held out, with {point.share:g} of what was learnt: {in_words(point.figures)}"


def _try_a_sample(recipe: Recipe, split: Split) -> None:
    try:
        Batches(recipe, split, 1)[0]
    except NoObjectError as error:
        raise ConfigError(
            f"train: {error}: the objects are too small, or fill their photos. Crop the photos, or "
            "change canvas.min_object and canvas.max_object in a copy of the recipe."
        ) from error


def reader_of(job: jobs.Job) -> Reader:
    """What reads the job's form of data.

    Raises:
        ConfigError: it is neither a folder nor COCO's JSON.
    """
    if job.data.suffix.lower() == ".json" and job.data.is_file():
        return CocoFile(job.data, job.images)
    if job.data.is_file():
        raise ConfigError(
            f"train: {job.data}: expected a folder of photos and masks, or COCO's instances JSON."
        )
    return MaskFolder(job.data, job.images)


def _taught(
    teacher: Named, recipe: Recipe, found: Prepared, out: Path, say: Say
) -> tuple[Split, Distillation]:
    """The teacher's answers, and the photos to judge on: labelled ones, else the teacher's own."""
    labelled = found.split
    learnt = [*labelled.train[SOURCE], *found.unlabelled[TRAIN]]
    judged = labelled.validation[SOURCE]
    to_paint = [] if judged else found.unlabelled[HELD_OUT]
    asked = ask_about(teacher, recipe, learnt, to_paint, out, say)
    if not asked.learnt or not (judged or asked.judged):
        raise ConfigError(
            f"train: the teacher {teacher.family} found too few objects to learn from. Lower "
            "distil.min_predicted_iou or distil.min_stability in a copy of the recipe."
        )
    if not judged:
        say("no masks held out: figures below compare with the teacher's own masks")
    split = Split(labelled.train, {SOURCE: judged or asked.judged}, {})
    return split, Distillation(recipe, asked.cache, asked.learnt)


def in_words(figures: Figures) -> str:
    """The figures that docs explain, in points of mIoU."""
    shown = {words: figures.get(name) for name, words in SHOWN.items()}
    parts = [f"{words} {100 * v:.1f}" for words, v in shown.items() if isinstance(v, float)]
    return f"mIoU {', '.join(parts)} over {figures.get('objects', 0)} objects"


def closing(out: Path) -> list[str]:
    """Before and after, and what to do next."""
    records = [r for r in read_journal(out / JOURNAL) if r["kind"] == "validation"]
    lines = []
    first = next((r for r in records if r["step"] == 0 and "box" in r), None)
    if first is not None and "box" in records[-1]:
        last = records[-1]
        lines += [f"before: {in_words(first)}", f"after:  {in_words(last)}"]
        if (taken := _blended(out)) is not None:
            lines.append(f"taken:  {in_words(taken)}, with {taken['share']:g} of what was learnt")
            last = taken
        if last["box"] + last["point"] < first["box"] + first["point"]:
            lines.append(
                "The weights became worse on photos they have not seen: keep those you had, or "
                "train with fewer --steps or on more photos."
            )
    lines += ["To make a bundle of these weights:", f"  {build_command(out)}"]
    return lines


def _blended(out: Path) -> dict[str, Any] | None:
    """The record of the blend, if the run's last one made any."""
    records = [r for r in read_journal(out / JOURNAL) if r["kind"] in ("start", "blend")]
    return records[-1] if records and records[-1]["kind"] == "blend" else None


def build_command(out: Path) -> str:
    """The command that builds an INT8 bundle."""
    weights = out / (BLENDED if _blended(out) is not None else WEIGHTS)
    words = ("edgesam-engines", "build", jobs.BUNDLE_RECIPE, "--checkpoint", weights)
    more = ("--calibration", out / DATA / TRAIN, "--out", out / "bundle")
    return shlex.join(str(w) for w in (*words, *more))


def _resume(out: Path) -> str:
    return f"Go on with: {shlex.join(['edgesam-engines', 'train', '--resume', '--out', str(out)])}"


def _intact(out: Path) -> str:
    if not (out / CHECKPOINT).exists():
        return ""
    return f"The last checkpoint is whole. {_resume(out)}, once that is mended."
