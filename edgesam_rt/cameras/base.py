"""What every source of frames does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from edgesam_rt.cameras.health import CameraHealth
from edgesam_rt.records import Frame


class Camera(Protocol):
    """A source of frames, opened, read and closed by one thread (`close` may come from another).

    Attributes:
        name: the spec it was opened with, without secrets.
        size_wh: width and height of its frames, px, or None where they differ or are not known.
        live: frames come at the world's pace; the newest matters, and a late one may be dropped.
            A source that is not live waits for its reader and loses nothing.
        fps: frames per second it makes or was recorded at, or None.
        length: how many frames it will give, or None if endless or unknown.
        losses: frames it could not give, by reason ("unreadable", "truncated", …).
    """

    name: str
    size_wh: tuple[int, int] | None
    live: bool
    fps: float | None
    length: int | None
    losses: Mapping[str, int]

    @property
    def health(self) -> CameraHealth:
        """How it is now; may be asked from any thread, while another reads."""
        ...

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None if there was none in time.

        Raises:
            EndOfStream: there are no more.
            CameraError: the source broke.
        """
        ...

    def close(self) -> None:
        """Give the device back; a second call does nothing. Wakes a `read` in another thread."""
        ...


@dataclass(frozen=True)
class SourceSpec:
    """A parsed source: `scheme:target?option=value&…`.

    Attributes:
        scheme: a row of `cameras/table.py`.
        target: what follows the colon: a path, a device; of an address or pipeline, all of it,
            without its secrets.
        options: decoded.
        text: as the user wrote it, without secrets, for messages.
        secret: the target with its secrets; in no message, no log, no `repr`.
    """

    scheme: str
    target: str
    options: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    secret: str = field(default="", repr=False)
