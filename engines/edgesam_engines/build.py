"""One build, step by step: checkpoint, graphs, quantization, bundle, verification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from torch import nn

from edgesam_engines import (
    bundle_parts,
    calibrate,
    half_precision,
    pack,
    tensorrt_graphs,
    verify,
)
from edgesam_engines.command_parts import factory
from edgesam_engines.discovery import attach as discovery
from edgesam_engines.families.base import Family
from edgesam_engines.families.table import open_family
from edgesam_engines.onnx_network import fitted
from edgesam_engines.ptq.graphs import Progress
from edgesam_engines.recipe import Recipe
from edgesam_rt import bundle as bundles
from edgesam_rt.errors import ConfigError
from edgesam_rt.manifest import Manifest


@dataclass(frozen=True)
class Job:
    """What to build, from what, to where.

    Attributes:
        recipe: what to build.
        checkpoint: the weights.
        calibration_folder: photos; None for float engines.
        out: the bundle's folder.
        replace: whether it may be there already.
        discovery: the head's file, if the recipe has one.
        below_target: pack also what does not reach the recipe's acceptance.
        litert: add .tflite files to it.
        cache: where what was found out is kept, so that the next build goes on; None: nowhere.
    """

    recipe: Recipe
    checkpoint: Path
    calibration_folder: Path | None
    out: Path
    replace: bool = False
    discovery: Path | None = None
    below_target: bool = False
    litert: bool = False
    cache: Path | None = None


class Photos(NamedTuple):
    """Those that ranges are found on, and those that engines are checked on."""

    to_calibrate: list[Path]
    to_check: list[Path]


def run(job: Job, progress: Progress) -> bundles.Bundle:
    """Build a bundle and read it back.

    Raises:
        CheckpointError, CalibrationError, ConfigError: the inputs cannot be used.
        VerificationError: the engines do not reach the recipe's acceptance; nothing is packed.
    """
    family = open_family(job.recipe.family)
    photos = photos_of(job, progress)
    with pack.new_bundle(job.out, replace=job.replace) as folder:
        progress(f"load {job.checkpoint.name}")
        model = family.load(job.checkpoint)
        job = replace(job, recipe=fitted(job.recipe, model, progress))
        manifest, quantization = write_engines(
            job, family, model, folder, progress, photos.to_calibrate
        )
        manifest = _with_answers(job, folder, manifest, progress)
        if job.litert:
            manifest = _with_litert(folder, (family, model), photos.to_check, progress)
        report = _verified(job, family, model, folder, photos.to_check, progress)
        if quantization:
            report["quantization"] = quantization
        known = {**manifest.verification, **report}
        pack.write_manifest(folder, msgspec.structs.replace(manifest, verification=known))
    return bundles.load(job.out)


def _with_answers(job: Job, folder: Path, manifest: Manifest, progress: Progress) -> Manifest:
    """Record what the finished engines answer to the self-test."""
    progress("self-test: record known answers")
    # A detector need not take the built-in disc for an object.
    any_answer = job.below_target or manifest.instances is not None
    answers = verify.known_answers(bundles.load(folder), any_answer=any_answer)
    manifest = msgspec.structs.replace(manifest, self_test=answers)
    pack.write_manifest(folder, manifest)
    return manifest


def _verified(
    job: Job,
    family: Family,
    model: nn.Module,
    folder: Path,
    photos: Sequence[Path],
    progress: Progress,
) -> dict[str, Any]:
    """Compare the engines with the float model; under the recipe's target that is an error."""
    progress("verify against the float model")
    strict = not job.below_target
    report = verify.against_float(folder, family, model, photos, progress=progress, strict=strict)
    if strict:
        verify.require(report, job.recipe.acceptance)
    if job.recipe.precision == "fp16":
        report["fp16"] = _in_halves(job, family, model, progress)
    return report


def _in_halves(job: Job, family: Family, model: nn.Module, progress: Progress) -> dict[str, Any]:
    """How the encoder bears half precision, which no float engine here shows."""
    progress("half precision: compare with float")
    report = half_precision.compare(family, model, max(job.recipe.sides))
    if not job.below_target:
        half_precision.require(report)
    return report


def _with_litert(
    folder: Path, weights: tuple[Family, nn.Module], photos: list[Path], progress: Progress
) -> Manifest:
    """Add .tflite files; the manifest that then lies in the folder."""
    add = factory("litert.add", extra="engines-litert")
    add.fill(folder, bundles.load(folder), lambda: weights, photos, progress)
    return bundles.load(folder).manifest


def photos_of(job: Job, progress: Progress) -> Photos:
    """The job's photos that can be used, calibration's chosen first.

    Raises:
        ConfigError: an INT8 bundle without a folder of photos.
        CalibrationError: none can be used.
    """
    folder, int8 = job.calibration_folder, job.recipe.precision == "int8"
    if folder is None:
        if int8:
            raise ConfigError("build: an INT8 bundle needs a calibration folder of some photos.")
        return Photos([], [])
    chosen, _ = calibrate.chosen_photos(folder, job.recipe.calibration)
    checked = verify.photos_for(folder, job.recipe)
    usable = calibrate.usable(list(dict.fromkeys([*chosen, *checked])), progress)
    to_check = [p for p in usable if p in checked] or usable
    return Photos([p for p in usable if p in chosen] if int8 else [], to_check)


def write_engines(
    job: Job,
    family: Family,
    model: nn.Module,
    folder: Path,
    progress: Progress,
    photos: Sequence[Path] = (),
) -> tuple[Manifest, dict[str, Any]]:
    """Fill a folder with all engines and a manifest; the self-test's answers are not known yet.

    Returns:
        The manifest, and what is known of each side's quantization.
    """
    engines, quantization = bundle_parts.encoders(
        job.recipe, family, model, folder, photos=photos, cache=job.cache, progress=progress
    )
    decoder = bundle_parts.decoders(family, model, job.recipe.sides[0], folder, progress)
    engines += decoder
    if job.recipe.tensorrt:
        engines += [tensorrt_graphs.same_file(entry) for entry in decoder]
    if job.discovery is not None:
        progress(f"discovery: export {job.discovery.name}")
        engines.append(discovery.write(job.discovery, folder))
    manifest = bundle_parts.manifest_for(job.recipe, family, tuple(engines))
    pack.write_manifest(folder, manifest)
    return manifest, quantization
