"""Results as bytes: made when they are asked for, once per frame for all who ask."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Literal

import msgspec

from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.drawing import overlay
from edgesam_rt.records import Result
from edgesam_rt.sinks.files import encode_picture
from edgesam_rt.sinks.rows import to_row

Masks = Literal["rle", "boxes", "none"]


class Kept:
    """Keeps the newest bytes of every kind, for as long as their key stays the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._kept: dict[str, tuple[Hashable, bytes]] = {}

    def get(self, kind: str, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return the bytes of a kind; those who ask while they are made wait for them."""
        with self._lock:
            lock = self._locks.setdefault(kind, threading.Lock())
        with lock:
            kept = self._kept.get(kind)
            if kept is None or kept[0] != key:
                kept = self._kept[kind] = (key, make())
            return kept[1]


class Renders:
    """Results as JSON and JPEG."""

    def __init__(self, *, clock: Clock = CLOCK) -> None:
        self._kept, self._clock = Kept(), clock

    def json(self, result: Result, masks: Masks = "rle") -> bytes:
        """The row of docs/results.md; "boxes" leaves the masks out, "none" the objects."""
        return self._kept.get(masks, result.frame.frame_id, lambda: _json(result, masks))

    def jpeg(self, result: Result, *, with_overlay: bool) -> bytes:
        """The picture, with the masks drawn on it or without."""
        kind = "overlay" if with_overlay else "picture"
        return self._kept.get(kind, result.frame.frame_id, lambda: _jpeg(result, with_overlay))

    def lately(self, kind: str, max_age_s: float, make: Callable[[], bytes]) -> bytes:
        """Bytes of another kind, made anew once in `max_age_s` at most."""
        now = self._clock.now_ns() // int(max_age_s * 1e9)
        return self._kept.get(kind, now, make)


def _json(result: Result, masks: Masks) -> bytes:
    row = to_row(result, with_rle=masks == "rle")
    if masks == "none":
        del row["objects"]
    return msgspec.json.encode(row)


def _jpeg(result: Result, with_overlay: bool) -> bytes:
    return encode_picture(overlay.draw(result) if with_overlay else result.frame.pixels, ".jpg")
