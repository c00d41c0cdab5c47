"""The test every engine passes when it is loaded.

Broken engines rarely fail: a half-precision or integer path that overflows gives the same embedding
for every picture, or plausible nonsense. So two built-in pictures must give different embeddings,
and a known prompt its known mask, or the engine is refused.
"""

from __future__ import annotations

import numpy as np

from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import BundleError, SelfTestError
from edgesam_rt.imaging import rle
from edgesam_rt.manifest import SelfTestCase
from edgesam_rt.records import Embedding, Prompt
from edgesam_rt.segmenter import Decoder, Encoder
from edgesam_rt.types import U8, Bool

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
    """Relative distance of two embeddings: 0.0 if equal; the least over their tensors."""
    distances = []
    for name, left in a.tensors.items():
        difference = np.linalg.norm(left.astype(np.float64) - b.tensors[name])
        distances.append(difference / (np.linalg.norm(left.astype(np.float64)) + 1e-9))
    return float(min(distances))


def answer(encoder: Encoder, decoder: Decoder, point: tuple[float, float]) -> tuple[Bool, float]:
    """The mask of the test's prompt on the first picture, and the embeddings' distance."""
    first, second = (encoder.encode(p) for p in pictures())
    found = decoder.predict(first, [Prompt.point(*point)])
    return found.masks[0], embedding_distance(first, second)


def run(bundle: Bundle, encoder: Encoder, decoder: Decoder) -> None:
    """Test opened engines; this also warms them up.

    Raises:
        SelfTestError: they do not give the answers they were accepted with.
        BundleError: the manifest has no answers for this side.
    """
    test = bundle.manifest.self_test
    case = next((c for c in test.cases if c.side == encoder.side), None)
    if case is None:
        raise BundleError(f"bundle {bundle.folder}: no self-test for side {encoder.side}.")
    mask, distance = answer(encoder, decoder, test.point)
    _judge(bundle, case, mask, distance)


def _judge(bundle: Bundle, case: SelfTestCase, mask: Bool, distance: float) -> None:
    test = bundle.manifest.self_test
    where = f"bundle {bundle.label}, side {case.side}"
    advice = (
        "This engine gives wrong masks on this machine and was refused. Try another backend "
        "(--backend) or update the runtime library, and report it."
    )
    least = test.min_distance_ratio * case.embedding_distance
    if not distance >= least:
        raise SelfTestError(
            f"{where}: self-test failed: two different pictures give nearly the same embedding "
            f"(distance {distance:.3g}, expected at least {least:.3g}). {advice}"
        )
    known = rle.from_runs(rle.decompress(case.mask_counts), PICTURE_HW)
    union = int((mask | known).sum())
    iou = int((mask & known).sum()) / union if union else 0.0
    if not iou >= test.min_iou:
        raise SelfTestError(
            f"{where}: self-test failed: the known prompt gives another mask (IoU {iou:.3f} with "
            f"the accepted one, expected at least {test.min_iou:g}). {advice}"
        )
