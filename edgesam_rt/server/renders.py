"""Results as bytes: made when they are asked for, once per frame for all who ask."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Literal, TypeVar, cast

import msgspec

from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.drawing import overlay
from edgesam_rt.records import Result
from edgesam_rt.sinks.files import encode_picture
from edgesam_rt.sinks.rows import to_row

# At most so often, whoever asks: this work is done beside the pipeline's, maybe on its cores.
JSON_EVERY_S, JPEG_EVERY_S = 0.05, 0.2
Masks = Literal["rle", "boxes", "none"]
Key = TypeVar("Key", bound=Hashable)


class Kept:
    """Keeps the newest bytes of every kind, for as long as their key stays the same."""

    def __init__(self, *, clock: Clock = CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._kept: dict[str, tuple[Hashable, int, bytes]] = {}

    def get(
        self, kind: str, key: Hashable, make: Callable[[], bytes], every_s: float = 0.0
    ) -> bytes:
        """Return the bytes of a kind; see `entry`."""
        return self.entry(kind, key, make, every_s)[1]

    def entry(
        self, kind: str, key: Key, make: Callable[[], bytes], every_s: float = 0.0
    ) -> tuple[Key, bytes]:
        """Return the bytes of a kind and their key; those who ask while they are made wait.

        Args:
            kind: what they are.
            key: what they are made of: with another one they are made anew,
            make: by this,
            every_s: at most so often.
        """
        with self._lock:
            lock = self._locks.setdefault(kind, threading.Lock())
        with lock:
            kept = self._kept.get(kind)
            now_ns = self._clock.now_ns()
            if kept is None or (kept[0] != key and now_ns - kept[1] >= every_s * 1e9):
                kept = self._kept[kind] = (key, now_ns, make())
            return cast(Key, kept[0]), kept[2]


class Renders:
    """Results as JSON and JPEG."""

    def __init__(self, *, clock: Clock = CLOCK) -> None:
        self._kept, self._clock = Kept(clock=clock), clock

    def json(self, result: Result, masks: Masks = "rle") -> bytes:
        """The row of docs/results.md; "boxes" leaves the masks out, "none" the objects."""
        key = result.frame.frame_id
        return self._kept.get(masks, key, lambda: _json(result, masks), JSON_EVERY_S)

    def jpeg(self, result: Result, *, with_overlay: bool) -> tuple[int, bytes]:
        """Frame and picture, with the masks drawn on it or without."""
        kind = "overlay" if with_overlay else "picture"
        key = result.frame.frame_id
        return self._kept.entry(kind, key, lambda: _jpeg(result, with_overlay), JPEG_EVERY_S)

    def lately(self, kind: str, max_age_s: float, make: Callable[[], bytes]) -> bytes:
        """Bytes of another kind, made anew once in `max_age_s` at most."""
        return self._kept.get(kind, self._clock.now_ns(), make, max_age_s)


def _json(result: Result, masks: Masks) -> bytes:
    row = to_row(result, with_rle=masks == "rle")
    if masks == "none":
        del row["objects"]
    return msgspec.json.encode(row)


def _jpeg(result: Result, with_overlay: bool) -> bytes:
    return encode_picture(overlay.draw(result) if with_overlay else result.frame.pixels, ".jpg")
