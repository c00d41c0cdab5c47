"""Finished engines, run by the runtime itself, against the float model in torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from edgesam_engines.encoders import float_encoder
from edgesam_engines.errors import VerificationError
from edgesam_engines.families.base import Family, GraphSpec
from edgesam_engines.ptq.graphs import Progress
from edgesam_engines.recipe import Acceptance
from edgesam_engines.train.own.found import Masks
from edgesam_engines.verify_cases import cases
from edgesam_engines.verify_cases import photos_for as photos_for
from edgesam_engines.verify_tally import Contender, ask_all
from edgesam_engines.worst_layers import worst_layers
from edgesam_rt import backends, selftest
from edgesam_rt import bundle as bundles
from edgesam_rt.decoders import AnyDecoder, open_decoder
from edgesam_rt.errors import SelfTestError
from edgesam_rt.imaging import rle
from edgesam_rt.manifest import SelfTest, SelfTestCase
from edgesam_rt.preprocess import fit_for, normalised, to_square
from edgesam_rt.proof import run_by_onnx_runtime
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import Encoder, EngineOptions
from edgesam_rt.types import U8

BACKEND, LITERT, TENSORRT = "onnxruntime", "litert", "tensorrt"
SELF_TEST_MIN_IOU = 0.9
SELF_TEST_MIN_DISTANCE_RATIO = 0.5
SELF_TEST_MIN_COSINE = 0.9


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


def against_float(
    folder: Path,
    family: Family,
    model: nn.Module,
    photos: Sequence[Path],
    progress: Progress = lambda _: None,
    *,
    masks: Mapping[Path, Masks] | None = None,
    strict: bool = True,
) -> dict[str, Any]:
    """Compare all engines with torch, prompt by prompt.

    What is compared with is torch's embedding and the float decoder's masks of it, computed by ONNX
    Runtime. Graphs for TensorRT that are not ONNX Runtime's own are computed by it as well: in
    float, and rounded where they say so. That tells what they are worth, and nothing of a GPU.

    Args:
        folder: the bundle.
        family: of it.
        model: its float model, as the family loads it.
        photos: to ask about; none for the built-in pictures.
        progress: told of every photo.
        masks: true masks of some of them.
        strict: whether a failing self-test of TensorRT's graphs is an error, or is reported.

    Returns:
        "side_N": what ONNX Runtime's engines are worth, as `verify_tally.Tally` has it; the same
        below "tensorrt" and below "engines", "litert", where the bundle has such and they run
        here. "worst_layers": of every INT8 encoder.

    Raises:
        SelfTestError: a graph for TensorRT does not give the bundle's known answers.
    """
    bundle = bundles.load(folder)
    report: dict[str, Any] = {"compared_with": "the float model in torch", "backend": BACKEND}
    others = {LITERT: report.setdefault("engines", {}).setdefault(LITERT, {})}
    if (simulated := _simulated(bundle)) is not None:
        others[TENSORRT] = report.setdefault(TENSORRT, {"simulated_by": BACKEND})
        _test(simulated, report[TENSORRT], strict=strict)
    for side in bundle.sides(BACKEND):
        contenders = dict(_contenders(bundle, simulated, side))
        exact = family.encoder_graph(model, side, for_int8=False)
        for number, case in enumerate(cases(photos, masks or {}), 1):
            progress(f"verify {side}: photo {number} of {len(photos) or 'the built-in ones'}")
            ask_all(case, _exact(exact, case.pixels, family, bundle, side), contenders)
        for name, contender in contenders.items():
            others.get(name, report)[f"side_{side}"] = contender.done()
    if not report["engines"][LITERT]:
        del report["engines"]
    if bundle.manifest.precision == "int8":
        picture = next(cases(photos, {})).pixels
        report["worst_layers"] = _worst(bundle, family, model, picture, progress)
    return report


def _simulated(bundle: bundles.Bundle) -> bundles.Bundle | None:
    """The bundle's graphs for TensorRT, run by ONNX Runtime; None if they are its own ones."""
    rows = bundle.manifest.engines
    own, other = ({e.sha256 for e in rows if e.backend == b} for b in (BACKEND, TENSORRT))
    return None if other <= own else run_by_onnx_runtime(bundle, TENSORRT)


def _test(simulated: bundles.Bundle, figures: dict[str, Any], *, strict: bool) -> None:
    for side in simulated.sides(BACKEND):
        try:
            selftest.run(simulated, *_open(simulated, side))
        except SelfTestError as error:
            if strict:
                raise
            figures["self_test"] = str(error)


def _contenders(
    bundle: bundles.Bundle, simulated: bundles.Bundle | None, side: int
) -> Iterator[tuple[str, Contender]]:
    """Engines of one side by backend; ONNX Runtime's first."""
    yield BACKEND, Contender(bundle, BACKEND, side)
    if LITERT in bundle.backends and LITERT in backends.available():
        yield LITERT, Contender(bundle, LITERT, side)
    if simulated is not None:
        yield TENSORRT, Contender(simulated, BACKEND, side)


def _exact(
    spec: GraphSpec, pixels: U8, family: Family, bundle: bundles.Bundle, side: int
) -> Embedding:
    """Torch's embedding of a picture, whole."""
    rule = family.preprocess
    fit = fit_for((pixels.shape[0], pixels.shape[1]), side, rule)
    fit = replace(fit, mask_side=bundle.manifest.decoder.mask_side)
    x = normalised(to_square(pixels, fit, rule), fit, rule)
    with torch.no_grad():
        values = spec.module(torch.from_numpy(x.transpose(2, 0, 1)[None].copy()))
    made = zip(spec.outputs, values, strict=True)
    tensors = {name: np.ascontiguousarray(value.numpy()) for name, value in made}
    return Embedding(tensors, fit, bundle.label, "torch")


def _worst(
    bundle: bundles.Bundle, family: Family, model: nn.Module, picture: U8, progress: Progress
) -> dict[str, Any]:
    found = {}
    for side in bundle.sides(BACKEND):
        progress(f"worst layers {side}: export the float graph")
        engine = onnx.load(bundle.path(bundle.engine("encoder", BACKEND, side)))
        exact = float_encoder(family, model, side, for_int8=True)
        found[f"side_{side}"] = worst_layers(engine, exact, picture, progress)
    return found


def require(report: Mapping[str, Any], acceptance: Acceptance) -> None:
    """Refuse engines that are under their recipe's target.

    Raises:
        VerificationError: with the figures.
    """
    for label, found in _judged(report):
        for key, figures in found.items():
            if key.startswith("side_") and figures["mean_iou"] < acceptance.mean_iou:
                raise VerificationError(
                    f"{label}{key}: mean IoU with the float model is {figures['mean_iou']}, the "
                    f"recipe asks for {acceptance.mean_iou}. Embedding cosines: "
                    f"{figures['cosine']}."
                )


def _judged(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "", report
    for name, found in {**report.get("engines", {}), TENSORRT: report.get(TENSORRT, {})}.items():
        yield f"{name}, ", found


def _open(bundle: bundles.Bundle, side: int) -> tuple[Encoder, AnyDecoder]:
    options = EngineOptions(BACKEND)
    return Encoder(bundle, options, side), open_decoder(bundle, options, side)
