"""The test every engine passes when it is loaded.

Broken engines rarely fail: a half-precision or integer path that overflows gives the same embedding
for every picture, or plausible nonsense. So two built-in pictures must give different embeddings,
and a known prompt its known mask, or the engine is refused.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from edgesam_rt.bundle import Bundle
from edgesam_rt.decoders import AnyDecoder
from edgesam_rt.detector_manifest import SCORES
from edgesam_rt.errors import BundleError, ConfigError, SelfTestError, ShapeError
from edgesam_rt.imaging import rle
from edgesam_rt.manifest import SelfTestCase
from edgesam_rt.records import Embedding, Prompt
from edgesam_rt.segmenter import Encoder
from edgesam_rt.types import F64, U8, Bool

SKETCHED = 64  # values of each tensor that are compared
_UNLIKELY = 1e-6  # chances below are all the same
PICTURE_HW = (240, 320)
DISC_CENTRE_XY = (124, 112)
DISC_RADIUS = 58


def pictures() -> tuple[U8, U8]:
    """Two pictures of 320x240, the same bits anywhere: a disc before a gradient, slanted bars."""
    h, w = PICTURE_HW
    y, x = np.mgrid[:h, :w].astype(np.int64)
    ground = np.stack([60 + x // 6, 90 + y // 5, 130 - x // 8], -1)
    cx, cy = DISC_CENTRE_XY
    inside = (x - cx) ** 2 + (y - cy) ** 2 <= DISC_RADIUS**2
    shade = 200 - (np.abs(x - cx) + np.abs(y - cy)) // 3
    disc = np.stack([shade + 30, shade // 2 + 40, shade // 3], -1)
    first = np.where(inside[..., None], disc, ground)
    bars = ((x + 2 * y) // 48) % 2
    second = np.stack([40 + 150 * bars, 160 - 60 * bars, 60 + 100 * bars + y // 8], -1)
    return first.clip(0, 255).astype(np.uint8), second.clip(0, 255).astype(np.uint8)


def embedding_distance(a: Embedding, b: Embedding) -> float:
    """Relative distance of two embeddings, the least over their tensors.

    0.0 if they are equal, and also if any value is not finite.
    """
    distances = []
    for name in a.tensors:
        left, right = _values(a, name), _values(b, name)
        distances.append(np.linalg.norm(left - right) / (np.linalg.norm(left) + 1e-9))
    return float(min(distances)) if np.isfinite(distances).all() else 0.0


def sketch(embedding: Embedding) -> dict[str, tuple[float, ...]]:
    """SKETCHED values of every tensor, evenly spread over it, to four digits."""
    out = {}
    for name in embedding.tensors:
        values = _values(embedding, name)
        at = np.linspace(0, values.size - 1, SKETCHED).astype(np.int64)
        out[name] = tuple(float(f"{v:.4g}") for v in values.ravel()[at])
    return out


def _values(embedding: Embedding, name: str) -> F64:
    """A tensor to be compared; chances are log-odds, of which small ones count as well."""
    values = embedding.tensors[name].astype(np.float64)
    if name != SCORES:
        return values
    chances = values.clip(_UNLIKELY, 1 - _UNLIKELY)
    return np.asarray(np.log(chances / (1 - chances)))


class Answer(NamedTuple):
    """What engines make of the built-in pictures and the test's prompt."""

    mask: Bool
    distance: float
    sketch: dict[str, tuple[float, ...]]


def answer(encoder: Encoder, decoder: AnyDecoder, point: tuple[float, float]) -> Answer:
    """Run the test's two pictures and its prompt, which is about the first."""
    first, second = (encoder.encode(p) for p in pictures())
    found = decoder.predict(first, [Prompt.point(*point)])
    inner = encoder.without_padding(first), encoder.without_padding(second)
    return Answer(found.masks[0], embedding_distance(*inner), sketch(inner[0]))


def run(bundle: Bundle, encoder: Encoder, decoder: AnyDecoder) -> None:
    """Test opened engines; this also warms them up.

    Raises:
        SelfTestError: they do not give the answers they were accepted with.
        BundleError: the manifest has no answers for this side.
    """
    test = bundle.manifest.self_test
    case = next((c for c in test.cases if c.side == encoder.side), None)
    if case is None:
        raise BundleError(f"bundle {bundle.folder}: no self-test for side {encoder.side}.")
    try:
        known = rle.from_runs(rle.decompress(case.mask_counts), PICTURE_HW)
        given = answer(encoder, decoder, test.point)
    except (ConfigError, ShapeError) as error:
        raise BundleError(
            f"bundle {bundle.folder}: its self-test is damaged: {error} Install the bundle again."
        ) from error
    _judge(bundle, case, given, known)


def _judge(bundle: Bundle, case: SelfTestCase, given: Answer, known: Bool) -> None:
    test = bundle.manifest.self_test
    where = f"bundle {bundle.label}, side {case.side}"
    advice = (
        "This engine gives wrong masks on this machine and was refused. Try another backend "
        "(--backend) or update the runtime library, and report it."
    )
    least = test.min_distance_ratio * case.embedding_distance
    if not given.distance >= least:
        raise SelfTestError(
            f"{where}: self-test failed: two different pictures give nearly the same embedding "
            f"(distance {given.distance:.3g}, expected at least {least:.3g}). {advice}"
        )
    for name, values in case.sketch.items():
        likeness = cosine(values, given.sketch.get(name, ()))
        if not likeness >= test.min_cosine:
            raise SelfTestError(
                f"{where}: self-test failed: the encoder's output {name!r} is another than the "
                f"accepted one (cosine {likeness:.3f}, expected at least {test.min_cosine:g}). "
                f"{advice}"
            )
    union = int((given.mask | known).sum())
    iou = int((given.mask & known).sum()) / union if union else 1.0  # both empty: the same
    if not iou >= test.min_iou:
        raise SelfTestError(
            f"{where}: self-test failed: the known prompt gives another mask (IoU {iou:.3f} with "
            f"the accepted one, expected at least {test.min_iou:g}). {advice}"
        )


def cosine(a: ArrayLike, b: ArrayLike) -> float:
    """Cosine of two tensors or lists of values, in float64; 0.0 if their lengths differ."""
    x, y = (np.asarray(values, np.float64).ravel() for values in (a, b))
    if x.shape != y.shape:
        return 0.0
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y) + 1e-12))
