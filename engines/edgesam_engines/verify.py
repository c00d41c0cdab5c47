"""Finished engines, run by the runtime itself, against the float model in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgesam_engines import calibrate
from edgesam_engines.errors import VerificationError
from edgesam_engines.families.base import Family
from edgesam_engines.recipe import Acceptance, Recipe
from edgesam_rt import bundle as bundles
from edgesam_rt import selftest
from edgesam_rt.imaging import rle
from edgesam_rt.imaging.files import read_image
from edgesam_rt.manifest import SelfTest, SelfTestCase
from edgesam_rt.preprocess import normalised, to_square
from edgesam_rt.proof import probes as probes
from edgesam_rt.proof import run_by_onnx_runtime
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import Decoder, Encoder, EngineOptions
from edgesam_rt.types import U8

BACKEND = "onnxruntime"
TENSORRT = "tensorrt"
SELF_TEST_MIN_IOU = 0.9
SELF_TEST_MIN_DISTANCE_RATIO = 0.5
SELF_TEST_MIN_COSINE = 0.9
CHECKED_PHOTOS = 24


def known_answers(bundle: bundles.Bundle, *, any_answer: bool = False) -> SelfTest:
    """What the finished engines answer to the self-test, to be compared with on every board.

    Args:
        bundle: with engines, and no answers yet.
        any_answer: take the answer as it is, also where it is not the disc that was asked for.

    Raises:
        VerificationError: the engines do not find the built-in disc at all.
    """
    x, y = selftest.DISC_CENTRE_XY
    point = (x + 0.5, y + 0.5)
    cases = []
    for side in bundle.sides(BACKEND):
        encoder, decoder = _open(bundle, side)
        given = selftest.answer(encoder, decoder, point)
        mask = given.mask
        yy, xx = np.mgrid[: mask.shape[0], : mask.shape[1]]
        truth = (xx - x) ** 2 + (yy - y) ** 2 <= selftest.DISC_RADIUS**2
        iou = (mask & truth).sum() / (mask | truth).sum()
        if iou < 0.5 and not any_answer:
            raise VerificationError(f"side {side}: the built-in disc is not found (IoU {iou:.2f}).")
        cases.append(
            SelfTestCase(
                side=side,
                mask_counts=rle.compress(rle.run_lengths(mask)),
                embedding_distance=round(given.distance, 4),
                sketch=given.sketch,
            )
        )
    return SelfTest(
        point=point,
        min_iou=SELF_TEST_MIN_IOU,
        min_distance_ratio=SELF_TEST_MIN_DISTANCE_RATIO,
        min_cosine=SELF_TEST_MIN_COSINE,
        cases=tuple(cases),
    )


def photos_for(folder: Path | None, recipe: Recipe) -> list[Path]:
    """Photos to check engines on: none of those they were calibrated on."""
    if folder is None:
        return []
    _, rest = calibrate.chosen_photos(folder, recipe.calibration)
    return calibrate.spread(rest, CHECKED_PHOTOS)


def against_float(
    folder: Path, family: Family, model: nn.Module, photos: Sequence[Path]
) -> dict[str, Any]:
    """Compare every encoder (and the decoder behind it) with torch, prompt by prompt.

    Graphs for TensorRT that are not ONNX Runtime's own are computed by it as well: in float, and
    rounded where they say so. That tells what they are worth, and nothing of a GPU.

    Returns:
        Per side: number of photos and prompts, mean and worst mask IoU with the float model,
        cosine of each embedding tensor.

    Raises:
        SelfTestError: a graph for TensorRT does not give the bundle's known answers.
    """
    bundle = bundles.load(folder)
    report: dict[str, Any] = {"compared_with": "the float model in torch", "backend": BACKEND}
    images = [read_image(p) for p in photos] or list(selftest.pictures())
    report |= _compare_sides(bundle, family, model, images)
    if (simulated := _simulated(bundle)) is not None:
        for side in simulated.sides(BACKEND):
            selftest.run(simulated, *_open(simulated, side))
        report[TENSORRT] = {"simulated_by": BACKEND}
        report[TENSORRT] |= _compare_sides(simulated, family, model, images)
    return report


def _simulated(bundle: bundles.Bundle) -> bundles.Bundle | None:
    """The bundle's graphs for TensorRT, run by ONNX Runtime; None if they are its own ones."""
    rows = bundle.manifest.engines
    own, other = ({e.sha256 for e in rows if e.backend == b} for b in (BACKEND, TENSORRT))
    return None if other <= own else run_by_onnx_runtime(bundle, TENSORRT)


def _compare_sides(
    bundle: bundles.Bundle, family: Family, model: nn.Module, images: Sequence[U8]
) -> dict[str, Any]:
    return {
        f"side_{side}": _compare_side(bundle, family, model, side, images)
        for side in bundle.sides(BACKEND)
    }


def require(report: Mapping[str, Any], acceptance: Acceptance) -> None:
    """Refuse engines that are under their recipe's target.

    Raises:
        VerificationError: with the figures.
    """
    for key, figures in [*report.items(), *report.get(TENSORRT, {}).items()]:
        if key.startswith("side_") and figures["mean_iou"] < acceptance.mean_iou:
            raise VerificationError(
                f"{key}: mean IoU with the float model is {figures['mean_iou']}, the recipe asks "
                f"for {acceptance.mean_iou}. Embedding cosines: {figures['cosine']}."
            )


def _compare_side(
    bundle: bundles.Bundle, family: Family, model: nn.Module, side: int, images: Sequence[U8]
) -> dict[str, Any]:
    encoder, decoder = _open(bundle, side)
    spec = family.encoder_graph(model, side, for_int8=False)
    ious: list[float] = []
    cosines: dict[str, list[float]] = {name: [] for name in spec.outputs}
    for pixels in images:
        made = encoder.encode(pixels)
        whole = _reference_embedding(spec.module, spec.outputs, made, pixels, family)
        reference = replace(whole, tensors=encoder.cut(whole.tensors, whole.fit))
        for name, values in reference.tensors.items():
            cosines[name].append(selftest.cosine(values, made.tensors[name]))
        prompts = probes(pixels)
        got, want = decoder.predict(made, prompts), decoder.predict(reference, prompts)
        for a, b in zip(got.each_mask(), want.each_mask(), strict=True):
            union = (a | b).sum()
            ious.append(float((a & b).sum() / union) if union else 1.0)
    return {
        "photos": len(images),
        "prompts": len(ious),
        "mean_iou": round(float(np.mean(ious)), 4),
        "p10_iou": round(float(np.percentile(ious, 10)), 4),
        "cosine": {name: round(float(np.mean(v)), 5) for name, v in cosines.items()},
    }


def _reference_embedding(
    module: nn.Module, names: Sequence[str], like: Embedding, pixels: U8, family: Family
) -> Embedding:
    rule = family.preprocess
    x = normalised(to_square(pixels, like.fit, rule), like.fit, rule)
    with torch.no_grad():
        values = module(torch.from_numpy(x.transpose(2, 0, 1)[None].copy()))
    tensors = {n: np.ascontiguousarray(v.numpy()) for n, v in zip(names, values, strict=True)}
    return Embedding(tensors, like.fit, like.bundle, "torch")


def _open(bundle: bundles.Bundle, side: int) -> tuple[Encoder, Decoder]:
    options = EngineOptions(BACKEND)
    return Encoder(bundle, options, side), Decoder(bundle, options, side)
