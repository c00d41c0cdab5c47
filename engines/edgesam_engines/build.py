"""One build, step by step: checkpoint, graphs, quantization, bundle, verification."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
import onnx
from torch import nn

from edgesam_engines import calibrate, graph_edits, pack, verify
from edgesam_engines.export import simplify, to_onnx
from edgesam_engines.families.base import Family
from edgesam_engines.families.table import open_family
from edgesam_engines.quantize import to_qdq
from edgesam_engines.recipe import Recipe
from edgesam_rt import bundle as bundles
from edgesam_rt.errors import ConfigError
from edgesam_rt.manifest import SCHEMA, EngineFile, Manifest, SelfTest

LAYOUTS = {
    graph_edits.PIXELS: "nhwc",
    "point_coords": "n_p_xy",
    "point_labels": "n_p",
    "mask_input": "n_1_h_w",
    "has_mask_input": "n_1",
    "low_res_masks": "n_m_h_w",
    "iou_predictions": "n_m",
}
log = logging.getLogger(__name__)
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What to build, from what, to where."""

    recipe: Recipe
    checkpoint: Path
    calibration_folder: Path | None
    out: Path
    replace: bool = False


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
        engines = list(_encoders(job, family, model, folder, progress))
        engines += _decoders(job, family, model, folder, progress)
        manifest = _manifest(job.recipe, family, tuple(engines))
        pack.write_manifest(folder, manifest)
        progress("self-test: record known answers")
        manifest = msgspec.structs.replace(
            manifest, self_test=verify.known_answers(bundles.load(folder))
        )
        pack.write_manifest(folder, manifest)
        progress("verify against the float model")
        report = verify.against_float(
            folder, family, model, verify.photos_for(job.calibration_folder, job.recipe)
        )
        verify.require(report, job.recipe.acceptance)
        manifest = msgspec.structs.replace(manifest, verification=report)
        pack.write_manifest(folder, manifest)
    return bundles.load(job.out)


def encoder_model(
    family: Family, model: nn.Module, side: int, recipe: Recipe, photos: list[Path]
) -> onnx.ModelProto:
    """One encoder as it ships: uint8 picture in; Q/DQ if the recipe says INT8."""
    for_int8 = recipe.precision == "int8"
    spec = family.encoder_graph(model, side, for_int8=for_int8)
    graph = simplify(to_onnx(spec))
    graph_edits.fold_pads(graph)
    (shape,) = (tuple(t.shape) for t in spec.inputs.values())
    if for_int8:
        feeds = calibrate.encoder_feeds(photos, side, family.preprocess, shape)
        ranges = calibrate.activation_ranges(graph, feeds, recipe.calibration.estimator)
        graph = to_qdq(graph, ranges, spec.keep_float)
    _, channels, height, width = shape
    mean, std = family.preprocess.mean[0], family.preprocess.std[0]
    graph_edits.take_uint8_pixels(graph, (1, height, width, channels), mean, std)
    return graph


def _encoders(
    job: Job, family: Family, model: nn.Module, folder: Path, progress: Progress
) -> list[EngineFile]:
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
        graph = encoder_model(family, model, side, job.recipe, photos)
        made.append(pack.write_engine(folder, graph, "encoder", side, LAYOUTS))
    return made


def _decoders(
    job: Job, family: Family, model: nn.Module, folder: Path, progress: Progress
) -> list[EngineFile]:
    made = []
    for part, spec in family.decoder_graphs(model, job.recipe.sides[0]).items():
        progress(f"{part}: export")
        graph = to_onnx(spec)
        made.append(pack.write_engine(folder, graph, part, None, LAYOUTS))
    return made


def _manifest(recipe: Recipe, family: Family, engines: tuple[EngineFile, ...]) -> Manifest:
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
        keep_float=recipe.keep_float,
        self_test=untested,
        engines=engines,
        made_with={
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "onnx", "onnxruntime", "numpy")},
        },
    )
