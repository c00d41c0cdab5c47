"""One build, step by step: checkpoint, graphs, quantization, bundle, verification."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from torch import nn

from edgesam_engines import calibrate, graph_edits, pack, tensorrt_graphs, verify
from edgesam_engines.discovery import attach as discovery
from edgesam_engines.encoders import float_encoder
from edgesam_engines.export import to_onnx
from edgesam_engines.families.base import Family
from edgesam_engines.families.table import open_family
from edgesam_engines.ptq import apply as ptq
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
    """

    recipe: Recipe
    checkpoint: Path
    calibration_folder: Path | None
    out: Path
    replace: bool = False
    discovery: Path | None = None
    below_target: bool = False


def run(job: Job, progress: Progress) -> bundles.Bundle:
    """Build a bundle and read it back.

    Raises:
        CheckpointError, CalibrationError, ConfigError: the inputs cannot be used.
        VerificationError: the engines do not reach the recipe's acceptance; nothing is packed.
    """
    family = open_family(job.recipe.family)
    progress(f"load {job.checkpoint.name}")
    model = family.load(job.checkpoint)
    with pack.new_bundle(job.out, replace=job.replace) as folder:
        manifest, quantization = write_engines(job, family, model, folder, progress)
        progress("self-test: record known answers")
        manifest = msgspec.structs.replace(
            manifest,
            self_test=verify.known_answers(bundles.load(folder), any_answer=job.below_target),
        )
        pack.write_manifest(folder, manifest)
        progress("verify against the float model")
        report = verify.against_float(
            folder, family, model, verify.photos_for(job.calibration_folder, job.recipe)
        )
        if not job.below_target:
            verify.require(report, job.recipe.acceptance)
        if quantization:
            report["quantization"] = quantization
        manifest = msgspec.structs.replace(manifest, verification=report)
        pack.write_manifest(folder, manifest)
    return bundles.load(job.out)


def write_engines(
    job: Job, family: Family, model: nn.Module, folder: Path, progress: Progress
) -> tuple[Manifest, dict[str, Any]]:
    """Fill a folder with all engines and a manifest; the self-test's answers are not known yet.

    Returns:
        The manifest, and what is known of each side's quantization.
    """
    quantization: dict[str, Any] = {}
    engines = list(_encoders(job, family, model, folder, quantization, progress))
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
    photos: list[Path],
    progress: Progress | None = None,
) -> ptq.Quantized:
    """One encoder as it ships: uint8 picture in; Q/DQ if the recipe says INT8."""
    encoder = float_encoder(family, model, side, for_int8=recipe.precision == "int8")
    if recipe.precision == "int8":
        source = ptq.Source(encoder.graph, encoder.feeds(photos), encoder.keep_float, encoder.known)
        made = ptq.quantize(source, recipe.calibration, recipe.quantization, progress)
    else:
        made = ptq.Quantized(encoder.graph, {})
    encoder.finish(made.graph)
    return made


def _encoders(
    job: Job,
    family: Family,
    model: nn.Module,
    folder: Path,
    facts: dict[str, Any],
    progress: Progress,
) -> list[EngineFile]:
    """Write all encoders; what is known of their quantization goes into `facts`."""
    photos: list[Path] = []
    if job.recipe.precision == "int8":
        if job.calibration_folder is None:
            raise ConfigError("build: an INT8 bundle needs a calibration folder of some photos.")
        photos, _ = calibrate.chosen_photos(job.calibration_folder, job.recipe.calibration)
    made = []
    for side in job.recipe.sides:
        progress(
            f"encoder {side}: export" + (f", calibrate on {len(photos)} photos" if photos else "")
        )
        quantized = encoder_model(family, model, side, job.recipe, photos, progress)
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
        graph = to_onnx(spec)
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
        keep_float=recipe.keep_float,
        self_test=untested,
        engines=engines,
        made_with={
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "onnx", "onnxruntime", "numpy")},
        },
    )
