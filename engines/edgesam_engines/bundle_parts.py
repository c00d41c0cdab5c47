"""The engine files of a bundle, and what its manifest says before they were tested."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn

from edgesam_engines import graph_edits, pack, tensorrt_graphs
from edgesam_engines.encoders import float_encoder
from edgesam_engines.export import simplify, to_onnx
from edgesam_engines.exported import Exported
from edgesam_engines.families.base import Family
from edgesam_engines.ptq import apply as ptq
from edgesam_engines.ptq.graphs import Progress
from edgesam_engines.ptq.shelf import Shelf
from edgesam_engines.recipe import Recipe
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


def encoders(
    recipe: Recipe,
    family: Family,
    model: nn.Module,
    folder: Path,
    *,
    photos: Sequence[Path],
    cache: Path | None,
    progress: Progress,
) -> tuple[list[EngineFile], dict[str, Any]]:
    """Write the encoders of all sides.

    Args:
        recipe: what to build.
        family: of the model.
        model: as `family.load` gives it.
        folder: of the bundle.
        photos: to find ranges on; none for float ones.
        cache: where what was found out is kept; None: nowhere.
        progress: told of every step.

    Returns:
        Their entries, and what is known of each side's quantization.
    """
    made: list[EngineFile] = []
    facts: dict[str, Any] = {}
    for side in recipe.sides:
        progress(
            f"encoder {side}: export" + (f", calibrate on {len(photos)} photos" if photos else "")
        )
        quantized = _encoder(recipe, family, model, side, photos, cache, progress)
        if quantized.facts:
            facts[f"side_{side}"] = quantized.facts
        entry = pack.write_engine(folder, quantized.graph, "encoder", side, layouts(family))
        made.append(entry)
        if recipe.tensorrt:
            progress(f"encoder {side}: for TensorRT")
            made.append(
                tensorrt_graphs.write_encoder(folder, quantized, entry, family.preprocess, progress)
            )
    return made, facts


def _encoder(
    recipe: Recipe,
    family: Family,
    model: nn.Module,
    side: int,
    photos: Sequence[Path],
    cache: Path | None,
    progress: Progress,
) -> ptq.Quantized:
    """One encoder as it ships: Q/DQ if the recipe says INT8."""
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
