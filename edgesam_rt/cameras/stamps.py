"""From what a source says of time to the monotonic nanoseconds of a capture."""

from __future__ import annotations

from collections import deque

MOST_OLD_NS = 10_000_000_000  # a driver whose stamp is older than this has another clock
_KEPT = 300  # arrivals that the steady offset is taken from: 10 s at 30 frames per second
_JUMP_S = 2.0  # a stream whose own time jumps this far has begun anew


def plausible_ns(stamp_ns: int, arrived_ns: int) -> int:
    """Return a driver's stamp if it can be one of our clock, else the time of arrival."""
    return stamp_ns if 0 <= arrived_ns - stamp_ns <= MOST_OLD_NS else arrived_ns


class StreamTime:
    """Maps a stream's own time to ours, from the arrivals alone.

    A stream says when a picture was made on the server's clock, whose start we do not know. The
    quickest of the last arrivals is taken for the one without delay; what others came later is
    the network's. The delay that all share (encoder, network) stays hidden.
    """

    def __init__(self) -> None:
        self._offsets: deque[int] = deque(maxlen=_KEPT)
        self._last_s = 0.0

    def captured_ns(self, stream_s: float, arrived_ns: int) -> int:
        """Return the capture time of a picture; never later than its arrival.

        Args:
            stream_s: the picture's time in the stream, seconds.
            arrived_ns: monotonic time at which it was here.
        """
        if abs(stream_s - self._last_s) > _JUMP_S or stream_s <= self._last_s:
            self._offsets.clear()
        self._last_s = stream_s
        self._offsets.append(arrived_ns - round(stream_s * 1e9))
        return round(stream_s * 1e9) + min(self._offsets)
