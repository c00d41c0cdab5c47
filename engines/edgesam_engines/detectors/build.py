"""One build of a detector, step by step: weights, graph, quantization, bundle, verification."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx

from edgesam_engines import byte_moves, calibrate, graph_edits, pack
from edgesam_engines.detectors import verify, yolox
from edgesam_engines.detectors.recipe import DetectorRecipe
from edgesam_engines.errors import CheckpointError
from edgesam_engines.ptq import apply as ptq
from edgesam_engines.ptq.graphs import Feed, Feeds
from edgesam_rt import bundle as bundles
from edgesam_rt.detector_manifest import BOXES, KIND, SCORES, DetectorManifest, DetectorSelfTest
from edgesam_rt.errors import ConfigError
from edgesam_rt.manifest import SCHEMA, EngineFile, Preprocess

LAYOUTS = {graph_edits.PIXELS: "nhwc", BOXES: "1_n_xyxy", SCORES: "1_n"}
PREPROCESS = Preprocess(
    resize="longest_side",
    colour="rgb",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    pad_value=114,  # what YOLOX was trained to see beside a picture
    pad_order="before_normalising",
    input_dtype="uint8",
    layout="nhwc",
    normalised_in_engine=True,
)
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What to build, from what, to where.

    Attributes:
        recipe: what to build.
        checkpoint: the weights, or the folder they lie in.
        calibration_folder: photos for INT8 ranges, and for the comparison with the float model.
        truth_folders: photos with id maps, to report box recall on; may be none.
        out: the bundle's folder.
        replace: whether it may exist.
    """

    recipe: DetectorRecipe
    checkpoint: Path
    calibration_folder: Path
    out: Path
    truth_folders: tuple[Path, ...] = ()
    replace: bool = False


def run(job: Job, progress: Progress) -> bundles.DetectorBundle:
    """Build a detector bundle and read it back.

    Raises:
        CheckpointError, CalibrationError, ConfigError: the inputs cannot be used.
        VerificationError: the engine does not reach the recipe's acceptance; nothing is packed.
    """
    recipe = job.recipe
    published = _weights(job, progress)
    body = yolox.body(published)
    use, rest = calibrate.chosen_photos(job.calibration_folder, recipe.calibration)
    quantization: dict[str, Any] = {}
    made = ptq.Quantized(body.graph, {})
    if recipe.precision == "int8":
        progress(f"calibrate on {len(use)} photos")
        source = ptq.Source(body.graph, feeds(use, body.side), body.maps)
        made = ptq.quantize(source, recipe.calibration, recipe.quantization, progress)
        quantization = {"quantization": made.facts}
    with pack.new_bundle(job.out, replace=job.replace) as folder:
        engine = finished(made.graph, body)
        manifest = manifest_for(recipe, pack.write_engine(folder, engine, KIND, body.side, LAYOUTS))
        pack.write_manifest(folder, manifest)
        progress("self-test: record known answers")
        answers = verify.known_answers(bundles.load_detector(folder))
        manifest = msgspec.structs.replace(manifest, self_test=answers)
        pack.write_manifest(folder, manifest)
        progress("verify against the float model")
        float_engine = finished(yolox.body(published).graph, body)
        report = verify.report(bundles.load_detector(folder), float_engine, rest, job.truth_folders)
        verify.require(report, recipe.acceptance)
        manifest = msgspec.structs.replace(manifest, verification={**report, **quantization})
        pack.write_manifest(folder, manifest)
    return bundles.load_detector(job.out)


def _weights(job: Job, progress: Progress) -> onnx.ModelProto:
    path = job.checkpoint / job.recipe.checkpoint if job.checkpoint.is_dir() else job.checkpoint
    if not path.is_file():
        raise CheckpointError(
            f"checkpoint {path}: no such file. {job.recipe.name} is built from "
            f"{job.recipe.checkpoint}; name it, or the folder it lies in, by --checkpoint."
        )
    progress(f"load {path.name}")
    digest = pack.sha256(path)
    if digest != job.recipe.sha256:
        raise CheckpointError(
            f"checkpoint {path}: expected sha256 {job.recipe.sha256[:12]}…, got {digest[:12]}…. "
            "Get the file that the recipe's origin names, or write a recipe for this one."
        )
    return yolox.read(path)


def feeds(paths: Sequence[Path], side: int) -> Feeds:
    """A body's inputs over photos, read anew in every pass."""

    def make(chosen: Sequence[Path]) -> Iterator[Feed]:
        for square, _ in calibrate.pictures(chosen, side, PREPROCESS):
            pairs = square.reshape(1, side, side // 2, yolox.PAIRED).transpose(0, 3, 1, 2)
            yield {yolox.INPUT: np.ascontiguousarray(pairs, np.float32)}

    return Feeds(paths, make)


def finished(graph: onnx.ModelProto, body: yolox.Body) -> onnx.ModelProto:
    """Make a body, or what was quantized from it, an engine: uint8 pixels to boxes and scores."""
    if any(n.op_type == "QuantizeLinear" for n in graph.graph.node):
        byte_moves.move_bytes(graph)
    yolox.add_tail(graph, body)
    graph_edits.take_uint8_pixels(graph, (1, body.side, body.side // 2, yolox.PAIRED), 0.0, 1.0)
    return graph


def manifest_for(recipe: DetectorRecipe, engine: EngineFile) -> DetectorManifest:
    """What a bundle says of itself before it was tested."""
    if engine.side is None:
        raise ConfigError("a detector's engine has a side.")
    return DetectorManifest(
        schema=SCHEMA,
        kind=KIND,
        name=recipe.name,
        version=recipe.version,
        family=recipe.family,
        precision=recipe.precision,
        licence=recipe.licence,
        origin=recipe.origin,
        preprocess=PREPROCESS,
        detector=recipe.detector,
        keep_float=recipe.keep_float,
        self_test=DetectorSelfTest(
            min_iou=0, max_score_difference=1, min_cosine=0, boxes=(), sketch=()
        ),
        engines=(engine,),
        made_with={
            "python": platform.python_version(),
            **{name: version(name) for name in ("onnx", "onnxruntime", "numpy")},
        },
    )
