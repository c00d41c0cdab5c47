"""Objects that compete: a pixel belongs to one of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgesam_rt.tracking.track import Sighting, Track
from edgesam_rt.types import F32, Bool

NESTED = 0.5  # of the smaller of two: objects prompted so share pixels, like a hat and its wearer
SAME = 0.6  # soft IoU: two rivals that cover the same cells are one object


def rivalry(tracks: Sequence[Track]) -> Bool:
    """(K, K) whether two tracks compete; a new one does not: its prompt says what it is."""
    pairs = [[_compete(a, b) for b in tracks] for a in tracks]
    return np.array(pairs, np.bool_).reshape(len(tracks), len(tracks))


def _compete(a: Track, b: Track) -> bool:
    is_known = a.looks is not None and b.looks is not None
    return is_known and a is not b and b.track_id not in a.shared_with


def contested(likely: F32, compete: Bool) -> F32:
    """Chances (K, rows, columns) with every cell left to the likeliest of the rivals."""
    out: F32 = likely.copy()
    for k, rivals in enumerate(compete):
        if rivals.any():
            out[k][likely[rivals].max(0) > likely[k]] = 0
    return out


def parted(logits: F32, compete: Bool, threshold: float) -> F32:
    """Masks (K, h, w) with every pixel left to the rival that is surest of it.

    Where two are nearly as sure, both fall off towards the cut, so the line between is smooth.
    """
    out: F32 = logits.copy()
    count, h, w = logits.shape
    inside = (logits > threshold).reshape(count, h * w).astype(np.float32)
    overlap = (inside @ inside.T > 0) & compete
    for k in np.flatnonzero(overlap.any(1)):
        claims = logits[overlap[k]].max(0)
        np.minimum(out[k], logits[k] - np.maximum(claims, threshold) + threshold, out=out[k])
    return out


def beaten(inside: F32, sightings: Sequence[Sighting], compete: Bool) -> Bool:
    """(K,) which answers cover the same cells as a rival's that has more to speak for it.

    Args:
        inside: (K, rows, columns) share of every cell that an answer covers.
        sightings: the answers.
        compete: (K, K), see `rivalry`.
    """
    lost = np.zeros(len(sightings), np.bool_)
    order = np.argsort([-s.evidence for s in sightings], kind="stable")
    for place, k in enumerate(order):
        better = [j for j in order[:place] if compete[k, j] and not lost[j]]
        lost[k] = any(soft_iou(inside[k], inside[j]) > SAME for j in better)
    return lost


def note_shared(newcomer: Track, inside: F32, others: Sequence[tuple[Track, F32]]) -> None:
    """Remember which tracks an object lies on or in when it is first seen.

    Args:
        newcomer: the object.
        inside: (rows, columns) share of every cell that it covers.
        others: tracks seen in the same picture, with theirs.
    """
    for other, cover in others:
        smaller = min(float(inside.sum()), float(cover.sum()))
        if float(np.minimum(inside, cover).sum()) > NESTED * smaller:
            newcomer.shared_with.add(other.track_id)
            other.shared_with.add(newcomer.track_id)


def soft_iou(a: F32, b: F32) -> float:
    """IoU of two maps of shares in [0, 1]; 0 if both are empty."""
    union = float(np.maximum(a, b).sum())
    return float(np.minimum(a, b).sum()) / union if union else 0.0
