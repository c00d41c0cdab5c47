"""One build, step by step: checkpoint, graphs, quantization, bundle, verification."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from torch import nn

from edgesam_engines import (
    calibrate,
    graph_edits,
    half_precision,
    pack,
    tensorrt_graphs,
    verify,
)
from edgesam_engines.command_parts import factory
from edgesam_engines.discovery import attach as discovery
from edgesam_engines.encoders import float_encoder
from edgesam_engines.export import simplify, to_onnx
from edgesam_engines.exported import Exported
from edgesam_engines.families.base import Family
from edgesam_engines.families.table import open_family
from edgesam_engines.onnx_network import fitted
from edgesam_engines.ptq import apply as ptq
from edgesam_engines.ptq.shelf import Shelf
from edgesam_engines.recipe import Recipe
from edgesam_rt import bundle as bundles
from edgesam_rt.errors import ConfigError
from edgesam_rt.manifest import COVERED, SCHEMA, EngineFile, Manifest, SelfTest

LAYOUTS = {
    "normalised_pixels": "nchw",
    graph_edits.PIXELS: "nhwc",
    "point_coords": "n_p_xy",
    "point_labels": "n_p",
    "mask_input": "n_1_h_w",
    "has_mask_input": "n_1",
    "low_res_masks": "n_m_h_w",
    "iou_predictions": "n_m",
    COVERED: "hw",
}
log = logging.getLogger(__name__)
Progress = Callable[[str], None]


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
        progress("self-test: record known answers")
        # A detector need not take the built-in disc for an object.
        any_answer = job.below_target or manifest.instances is not None
        answers = verify.known_answers(bundles.load(folder), any_answer=any_answer)
        manifest = msgspec.structs.replace(manifest, self_test=answers)
        pack.write_manifest(folder, manifest)
        if job.litert:
            manifest = _with_litert(folder, (family, model), photos.to_check, progress)
        progress("verify against the float model")
        report = verify.against_float(
            folder, family, model, photos.to_check, progress=progress, strict=not job.below_target
        )
        if not job.below_target:
            verify.require(report, job.recipe.acceptance)
        if quantization:
            report["quantization"] = quantization
        if job.recipe.precision == "fp16":
            report["fp16"] = _in_halves(job, family, model, progress)
        known = {**manifest.verification, **report}
        pack.write_manifest(folder, msgspec.structs.replace(manifest, verification=known))
    return bundles.load(job.out)


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
    quantization: dict[str, Any] = {}
    engines = _encoders(job, family, model, photos, folder, quantization, progress)
    decoder = decoders(family, model, job.recipe.sides[0], folder, progress)
    engines += decoder
    if job.recipe.tensorrt:
        engines += [tensorrt_graphs.same_file(entry) for entry in decoder]
    if job.discovery is not None:
        progress(f"discovery: export {job.discovery.name}")
        engines.append(discovery.write(job.discovery, folder))
    manifest = manifest_for(job.recipe, family, tuple(engines))
    pack.write_manifest(folder, manifest)
    return manifest, quantization


def encoder_model(
    family: Family,
    model: nn.Module,
    side: int,
    recipe: Recipe,
    photos: Sequence[Path],
    *,
    progress: Progress | None = None,
    cache: Path | None = None,
) -> ptq.Quantized:
    """One encoder as it ships: Q/DQ if the recipe says INT8. `cache` is as in `Job`."""
    store = Exported(cache / "graphs") if cache else None
    shelf = Shelf(cache / "calibration") if cache else Shelf()
    for_int8 = recipe.precision == "int8"
    encoder = float_encoder(family, model, side, for_int8=for_int8, store=store, progress=progress)
    if for_int8:
        source = ptq.Source(
            encoder.graph, encoder.feeds(photos), encoder.keep_float, encoder.known, shelf
        )
        made = ptq.quantize(source, recipe.calibration, recipe.quantization, progress)
    else:
        made = ptq.Quantized(encoder.graph, {})
    encoder.finish(made.graph)
    return made


def _encoders(
    job: Job,
    family: Family,
    model: nn.Module,
    photos: Sequence[Path],
    folder: Path,
    facts: dict[str, Any],
    progress: Progress,
) -> list[EngineFile]:
    """Write all encoders; what is known of their quantization goes into `facts`."""
    made = []
    for side in job.recipe.sides:
        progress(
            f"encoder {side}: export" + (f", calibrate on {len(photos)} photos" if photos else "")
        )
        quantized = encoder_model(
            family, model, side, job.recipe, photos, progress=progress, cache=job.cache
        )
        if quantized.facts:
            facts[f"side_{side}"] = quantized.facts
        entry = pack.write_engine(folder, quantized.graph, "encoder", side, layouts(family))
        made.append(entry)
        if job.recipe.tensorrt:
            progress(f"encoder {side}: for TensorRT")
            made.append(
                tensorrt_graphs.write_encoder(folder, quantized, entry, family.preprocess, progress)
            )
    return made


def layouts(family: Family) -> dict[str, str]:
    """Of the tensors that every family has, and of its own."""
    return {**LAYOUTS, **family.layouts}


def decoders(
    family: Family, model: nn.Module, side: int, folder: Path, progress: Progress
) -> list[EngineFile]:
    """Write the parts of the decoder; one set serves every side."""
    made = []
    for part, spec in family.decoder_graphs(model, side).items():
        progress(f"{part}: export")
        graph = simplify(to_onnx(spec))  # what is left of shape arithmetic TensorRT would refuse
        graph_edits.square_by_multiplying(graph)
        made.append(pack.write_engine(folder, graph, part, None, layouts(family)))
    return made


def manifest_for(recipe: Recipe, family: Family, engines: tuple[EngineFile, ...]) -> Manifest:
    """What a bundle says of itself before it was tested."""
    untested = SelfTest(point=(0, 0), min_iou=0, min_distance_ratio=0, min_cosine=0, cases=())
    return Manifest(
        schema=SCHEMA,
        name=recipe.name,
        version=recipe.version,
        family=recipe.family,
        precision=recipe.precision,
        licence=recipe.licence,
        origin=recipe.origin,
        preprocess=family.preprocess,
        decoder=family.decoder,
        everything=recipe.everything,
        discovery=recipe.discovery.facts if recipe.discovery else None,
        instances=recipe.instances,
        keep_float=recipe.keep_float,
        self_test=untested,
        engines=engines,
        made_with={
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "onnx", "onnxruntime", "numpy")},
        },
    )
