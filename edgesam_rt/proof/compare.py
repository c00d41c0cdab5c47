"""One backend's engines beside ONNX Runtime's, on the built-in pictures.

ONNX Runtime runs everywhere, so it is what others are judged by: on the very same graphs where a
backend's are ONNX files (other roundings are not its fault), else on its own engines of the bundle.
The tolerances are the manifest's.

Each half is compared by itself: embeddings by their cosine, and masks that both decoders make of
one embedding. Masks of two encoders say little here. With one INT8 graph, computed in integers and
in float, embeddings had a cosine of 0.999 and photos' masks an IoU of 0.98, but masks of these
pictures 0.87: most of the prompts hit bars, any of which is an answer. The self-test's prompt is
clear, and tests the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from edgesam_rt import selftest
from edgesam_rt.backends import BackendOptions
from edgesam_rt.bench.agreement import engines_of, mask_ious
from edgesam_rt.bench.measure import repeat
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import EdgeSamError
from edgesam_rt.manifest import SelfTest
from edgesam_rt.records import Embedding, Prompt
from edgesam_rt.segmenter import EngineOptions
from edgesam_rt.types import U8

REFERENCE = "onnxruntime"
WARM_UP, REPEATS = 2, 10
Report = dict[str, Any]


class Engines:
    """The engines of one side, opened here and now."""

    def __init__(self, bundle: Bundle, backend: str, side: int, how: BackendOptions) -> None:
        self._bundle = bundle
        self._opened = ExitStack()
        engines = engines_of(bundle, EngineOptions(backend, how), side)
        self.encoder, self.decoder = self._opened.enter_context(engines)

    def failed_self_test(self) -> str | None:
        """Why the self-test fails; None if it passes."""
        try:
            selftest.run(self._bundle, self.encoder, self.decoder)
        except EdgeSamError as error:
            return str(error)
        return None

    def frame_ms(self) -> Report:
        """Wall time of encoding a picture, and of one point on it, as `bench.measure.series`."""
        picture, _ = selftest.pictures()
        point = [Prompt.point(*self._bundle.manifest.self_test.point)]
        embedding = self.encoder.encode(picture)

        def encode() -> Embedding:
            return self.encoder.encode(picture)

        def decode() -> object:
            return self.decoder.predict(embedding, point).masks

        works = {"encode": encode, "decode": decode}
        times = {n: repeat(w, warm_up=WARM_UP, repeats=REPEATS) for n, w in works.items()}
        return {name: taken.figures()["wall_ms"] for name, taken in times.items()}

    def __enter__(self) -> Engines:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()


def probes(pixels: U8) -> list[Prompt]:
    """Prompts about any picture: four points on a small cross, and one box."""
    h, w = pixels.shape[:2]
    spots = [(0.5, 0.5), (0.3, 0.4), (0.7, 0.6), (0.5, 0.75)]
    points = [Prompt.point(w * x, h * y) for x, y in spots]
    return [*points, Prompt.box(w * 0.2, h * 0.2, w * 0.8, h * 0.8)]


def run_by_onnx_runtime(bundle: Bundle, backend: str) -> Bundle | None:
    """The bundle, a backend's graphs in the place of ONNX Runtime's; None if they are no ONNX."""
    rows = [e for e in bundle.manifest.engines if e.backend == backend]
    if not all(e.file.endswith(".onnx") for e in rows):
        return None
    engines = tuple(msgspec.structs.replace(e, backend=REFERENCE) for e in rows)
    return replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, engines=engines))


def reference(bundle: Bundle, backend: str) -> Bundle | None:
    """What a backend is compared with, run by ONNX Runtime; None for ONNX Runtime itself."""
    if backend == REFERENCE:
        return None
    own = bundle if REFERENCE in bundle.backends else None
    return run_by_onnx_runtime(bundle, backend) or own


def compared(made: Engines, reference: Engines) -> Report:
    """Embeddings of the built-in pictures, and masks of the same embeddings, beside each other."""
    ious: list[float] = []
    cosines: dict[str, float] = {}
    pictures: Sequence[U8] = selftest.pictures()
    for pixels in pictures:
        own = made.encoder.encode(pixels)
        embedding = made.encoder.without_padding(own)
        other = reference.encoder.without_padding(reference.encoder.encode(pixels))
        for name, values in other.tensors.items():
            likeness = selftest.cosine(values, embedding.tensors[name])
            cosines[name] = min(likeness, cosines.get(name, 1.0))
        prompts = probes(pixels)
        got = made.decoder.predict(own, prompts)
        want = reference.decoder.predict(embedding, prompts)
        ious += mask_ious(got, want)
    return {
        "pictures": len(pictures),
        "prompts": len(ious),
        "mean_iou": round(float(np.mean(ious)), 4),
        "worst_iou": round(min(ious), 4),
        "cosine": {name: round(value, 5) for name, value in cosines.items()},
    }


def differences(facts: Report, tolerance: SelfTest) -> list[str]:
    """What is further from the reference than the manifest allows."""
    found: list[str] = []
    figures = facts["compared"]
    if not figures["mean_iou"] >= tolerance.min_iou:
        found.append(
            f"side {facts['side']}: mean mask IoU with {REFERENCE} is {figures['mean_iou']}, "
            f"expected at least {tolerance.min_iou:g}"
        )
    found += [
        f"side {facts['side']}: cosine of {name!r} with {REFERENCE}'s is {value}, expected at "
        f"least {tolerance.min_cosine:g}"
        for name, value in figures["cosine"].items()
        if not value >= tolerance.min_cosine
    ]
    return found
