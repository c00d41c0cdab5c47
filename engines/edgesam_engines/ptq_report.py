"""Ways to quantize one encoder, side by side on photos they were not calibrated on.

All ways share one pass of statistics; engines are run by the runtime, photo by photo, one after the
other, so that none has a quieter machine than another.
"""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import onnx
from torch import nn

from edgesam_engines import bundle_parts, calibrate, pack, ptq_judges
from edgesam_engines.encoders import FloatEncoder, float_encoder
from edgesam_engines.families.base import Family
from edgesam_engines.families.table import open_family
from edgesam_engines.ptq import apply as ptq
from edgesam_engines.ptq import bias, equalise
from edgesam_engines.ptq.graphs import Progress, copied, spread
from edgesam_engines.ptq.local import local_errors
from edgesam_engines.ptq.rounding import rounding_of
from edgesam_engines.ptq.statistics import Statistics, collect
from edgesam_engines.recipe import Calibration, Estimator, Quantization, Recipe
from edgesam_rt import bundle as bundles
from edgesam_rt.imaging.files import read_image
from edgesam_rt.manifest import EngineFile
from edgesam_rt.segmenter import Decoder, Encoder, EngineOptions

ESTIMATORS: tuple[Estimator, ...] = (
    *("minmax", "mean_minmax", "moving_average", "percentile", "entropy", "mse"),
    "error_guided",
)
EQUALISED: tuple[equalise.Mode, ...] = ("exact", "calibrated")
EQUALISED_BY: Estimator = "mse"
FLOAT = "float"
BACKEND = "onnxruntime"


@dataclass(frozen=True)
class Study:
    """What to compare, and on what.

    Attributes:
        recipe: whose model, side and calibration photos are taken.
        checkpoint: its weights.
        photos: folder that the recipe's calibration photos are taken from, and others to judge on.
        side: of the encoder, px.
        judged: photos to compare with the float engine on.
        truth: data folder with labelled photos, or None.
        labelled: labelled photos to ask about.
        objects: of each, the largest ones.
    """

    recipe: Recipe
    checkpoint: Path
    photos: Path
    side: int
    judged: int = 16
    truth: Path | None = None
    labelled: int = 32
    objects: int = 2


@dataclass(frozen=True)
class Way:
    """One way to quantize.

    Attributes:
        label: as in tables.
        facts: how it was done, and the layers' errors before any correction; plain JSON.
        graph: Q/DQ.
    """

    label: str
    facts: dict[str, Any]
    graph: onnx.ModelProto


def run(study: Study, progress: Progress) -> dict[str, Any]:
    """Compare all estimators, with and without bias correction; plain JSON.

    Raises:
        CheckpointError, CalibrationError, ConfigError: the inputs cannot be used.
    """
    started = time.process_time()
    if study.truth is not None:
        ptq_judges.check_labelled(study.truth)
    family = open_family(study.recipe.family)
    progress(f"load {study.checkpoint.name}")
    model = family.load(study.checkpoint)
    encoder = float_encoder(family, model, study.side, for_int8=True)
    used, rest = calibrate.chosen_photos(study.photos, study.recipe.calibration)
    source = ptq.Source(encoder.graph, encoder.feeds(used), encoder.keep_float, encoder.known)
    with tempfile.TemporaryDirectory(prefix="ptq-") as folder:
        workshop = Workshop(Path(folder), family, model, encoder, study.recipe)
        decoders = workshop.write(FLOAT, copied(encoder.graph), None)
        before = _peak_mib()
        statistics = collect(source.graph, source.feeds, progress=progress)
        memory = {"before_mib": before, "after_statistics_mib": _peak_mib()}
        facts = {}
        for way in ways(source, statistics, progress):
            encoder.finish(way.graph)
            engine = workshop.write(way.label, way.graph, decoders)
            facts[way.label] = {**way.facts, "size_bytes": engine[0].size_bytes}
        found = judge(study, workshop.folder, list(facts), spread(rest, study.judged), progress)
    return {
        "what": "INT8 engines by estimator against the float engine, both run by the runtime",
        "recipe": study.recipe.name,
        "checkpoint": {"file": study.checkpoint.name, "sha256": pack.sha256(study.checkpoint)},
        "side": study.side,
        "calibration_photos": len(used),
        "judged_photos": min(study.judged, len(rest)),
        "peak_memory": memory,
        "cpu_seconds": round(time.process_time() - started),
        FLOAT: found.pop(FLOAT),
        "ways": {name: {**facts[name], **figures} for name, figures in found.items()},
    }


def ways(
    source: ptq.Source, statistics: Mapping[str, Statistics], progress: Progress
) -> Iterator[Way]:
    """Quantize by every estimator, plain and with biases corrected; by one also equalised."""
    rounding = None
    for name in ESTIMATORS:
        progress(f"quantize: {name}")
        calibration = Calibration(estimator=name)
        ranges = ptq.estimated(source, statistics, calibration, rounding)
        plain = ptq.Maker(source, ranges, {}, correct=False).make()
        rounding = rounding_of(plain)
        errors = local_errors(source.graph, rounding, source.feeds.few(ptq.PICTURES))
        better = bias.corrected(plain, errors)  # first: a finished graph is no longer this one
        layers = {n: round(e.sqnr_db, 1) for n, e in errors.items()}
        facts: dict[str, Any] = {"estimator": name, "equalise": "off"}
        yield Way(name, {**facts, "bias_correction": False, "layer_sqnr_db": layers}, plain)
        yield Way(f"{name} + bias", {**facts, "bias_correction": True}, better)
    for mode in EQUALISED:
        progress(f"quantize: {EQUALISED_BY} + bias, equalised ({mode})")
        wanted = Quantization(bias_correction=True, equalise=mode)
        made = ptq.quantize(source, Calibration(estimator=EQUALISED_BY), wanted)
        facts = {"estimator": EQUALISED_BY, "equalise": mode, "bias_correction": True}
        yield Way(
            f"{EQUALISED_BY} + bias + {mode} equalisation",
            {**facts, "layer_sqnr_db": made.facts["layer_sqnr_db"]},
            made.graph,
        )


def judge(
    study: Study, folder: Path, names: list[str], photos: list[Path], progress: Progress
) -> dict[str, dict[str, Any]]:
    """Figures of the float engine and of all others, by name."""
    engines = {
        name: Encoder(bundles.load(folder / name), EngineOptions(BACKEND), study.side)
        for name in (FLOAT, *names)
    }
    decoder = Decoder(bundles.load(folder / FLOAT), EngineOptions(BACKEND), study.side)
    tallies = {name: ptq_judges.Tally() for name in engines}
    for number, path in enumerate(photos, 1):
        progress(f"judge: photo {number} of {len(photos)}")
        ptq_judges.judge_agreement(read_image(path), engines, decoder, tallies)
    if study.truth is not None:
        labelled = ptq_judges.labelled_photos(study.truth, study.labelled, study.objects)
        for number, photo in enumerate(labelled, 1):
            progress(f"judge: labelled photo {number} of {study.labelled}")
            ptq_judges.judge_truth(photo, engines, decoder, tallies)
    for encoder in engines.values():
        encoder.close()
    decoder.close()
    return {name: tally.summary(tallies[FLOAT]) for name, tally in tallies.items()}


@dataclass(frozen=True)
class Workshop:
    """Where engines become bundles that the runtime can open."""

    folder: Path
    family: Family
    model: nn.Module
    encoder: FloatEncoder
    recipe: Recipe

    def write(
        self, name: str, graph: onnx.ModelProto, decoders: list[EngineFile] | None
    ) -> list[EngineFile]:
        """Write a bundle; `decoders` are those of the first one, copied. Returns its files."""
        at = self.folder / name
        at.mkdir()
        if decoders is None:
            self.encoder.finish(graph)
        made = pack.write_engine(at, graph, "encoder", self.encoder.side, bundle_parts.LAYOUTS)
        if decoders is None:
            side = self.encoder.side
            files = [
                made,
                *bundle_parts.decoders(self.family, self.model, side, at, lambda _: None),
            ]
        else:
            files = [made, *decoders[1:]]
            for entry in decoders[1:]:
                shutil.copy(self.folder / FLOAT / entry.file, at / entry.file)
        recipe = msgspec.structs.replace(self.recipe, sides=(self.encoder.side,))
        pack.write_manifest(at, bundle_parts.manifest_for(recipe, self.family, tuple(files)))
        return files


def _peak_mib() -> int:
    """Most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
