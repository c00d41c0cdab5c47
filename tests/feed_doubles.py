"""Doubles of what lies under a live camera: OpenCV's capture, picamera2, a connection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as StillWaiting
from typing import Any

import cv2
import numpy as np

from edgesam_rt.cameras.feed import Feed, OpenFeed, Picture
from edgesam_rt.cameras.picamera import Library
from edgesam_rt.clock import CLOCK
from edgesam_rt.types import U8
from tests.camera_doubles import ManualClock


class FakeCapture:
    """Stands in for cv2.VideoCapture on a V4L2 device; one picture per 2 ms of real time.

    `pictures` None is endless; else grab fails after so many, as after an unplugged cable. With
    `go` cleared grab blocks, as on a silent device, until it is set or the ten seconds of OpenCV.
    """

    def __init__(self, *, pictures: int | None = None, size_wh: tuple[int, int] = (64, 48)) -> None:
        self.pictures = pictures
        self.opened = True
        self.damaged: set[int] = set()
        self.asked: dict[int, float] = {}
        self.size_wh = size_wh
        self.fourcc = cv2.VideoWriter.fourcc(*"MJPG")
        self.stamp_ms = 0.0
        self.grabbed = 0
        self.released = 0
        self.released_while_grabbing = False
        self.go = threading.Event()
        self.go.set()
        self._grabbing = False
        self._pixels: U8 = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)

    def isOpened(self) -> bool:  # noqa: N802
        return self.opened

    def set(self, propId: int, value: float) -> bool:  # noqa: N803
        self.asked[propId] = value
        return True

    def get(self, propId: int) -> float:  # noqa: N803
        known = {
            cv2.CAP_PROP_FRAME_WIDTH: float(self.size_wh[0]),
            cv2.CAP_PROP_FRAME_HEIGHT: float(self.size_wh[1]),
            cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_FOURCC: float(self.fourcc),
            cv2.CAP_PROP_POS_MSEC: self.stamp_ms,
        }
        return known.get(propId, 0.0)

    def grab(self) -> bool:
        self._grabbing = True
        try:
            threading.Event().wait(0.002)
            if not self.go.wait(10) or self.grabbed == self.pictures:
                return False
            self.grabbed += 1
            return True
        finally:
            self._grabbing = False

    def retrieve(self) -> tuple[bool, U8 | None]:
        if self.grabbed - 1 in self.damaged:
            return False, None
        self._pixels[...] = (255, self.grabbed % 256, 0)  # blue first, one buffer for all
        return True, self._pixels

    def release(self) -> None:
        self.released += 1
        self.released_while_grabbing |= self._grabbing


class FakeRequest:
    """Stands in for picamera2's CompletedRequest."""

    def __init__(self, camera: FakePicamera) -> None:
        self._camera = camera
        self._stamp_ns = CLOCK.now_ns()
        self._released = False

    def make_array(self, name: str) -> U8:
        assert not self._released
        return self._camera.picture(name)

    def get_metadata(self) -> dict[str, Any]:
        assert not self._released
        return {"SensorTimestamp": self._stamp_ns}

    def release(self) -> None:
        assert not self._released, "CompletedRequest: lock now has negative ref_count"
        self._released = True
        self._camera.held -= 1


class FakePicamera:
    """Stands in for picamera2.Picamera2: one camera, a picture per 2 ms, rows of YUV padded to 64.

    With `go` cleared it is silent. A request that is not released stalls it, as six do the real.
    """

    last: FakePicamera
    cameras = 1

    def __init__(
        self,
        camera_num: int = 0,
        verbose_console: object = None,
        tuning: object = None,
        allocator: object = None,
    ) -> None:
        if camera_num >= self.cameras:
            raise IndexError("list index out of range")
        type(self).last = self
        self.go = threading.Event()
        self.go.set()
        self.held = self.stopped = self.closed = self.flushed = 0
        self.shown = 0
        self._configuration: dict[str, Any] = {}

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        return [{"Model": "imx708", "Num": i} for i in range(cls.cameras)]

    def create_video_configuration(
        self,
        main: Mapping[str, Any] = {},
        lores: Mapping[str, Any] | None = None,
        raw: object = {},
        transform: object = None,
        colour_space: object = None,
        buffer_count: int = 6,
        controls: Mapping[str, Any] = {},
        display: str = "main",
        encode: str = "main",
        queue: bool = True,
        sensor: object = {},
        use_case: str = "video",
    ) -> dict[str, Any]:
        return {
            "main": main,
            "lores": lores,
            "transform": transform,
            "controls": controls,
            "queue": queue,
        }

    def configure(self, camera_config: dict[str, Any] | None = None) -> None:
        assert camera_config is not None
        self._configuration = camera_config

    def camera_configuration(self) -> dict[str, Any]:
        return self._configuration

    def start(self, config: object = None, show_preview: bool = False) -> None:
        assert self._configuration, "Camera has not been configured"

    def capture_request(
        self, wait: bool | None = None, signal_function: object = None, flush: object = None
    ) -> object:
        assert wait is False, "waiting for ever would hang on a silent camera"
        return object()

    def wait(self, job: object, timeout: float | None = None) -> FakeRequest:
        assert self.held == 0, "the last request was not released"
        threading.Event().wait(0.002)
        if not self.go.wait(timeout):
            raise StillWaiting
        self.held += 1
        self.shown += 1
        return FakeRequest(self)

    def cancel_all_and_flush(self) -> None:
        self.flushed += 1

    def stop(self) -> None:
        self.stopped += 1

    def close(self) -> None:
        self.closed += 1

    def picture(self, stream: str) -> U8:
        """A red picture, as the stream's format is in memory; the caller's own."""
        wide, high = self._configuration[stream]["size"]
        red = np.zeros((high, wide, 3), np.uint8)
        red[...] = (200, self.shown % 100, 10)
        if self._configuration[stream]["format"] == "BGR888":
            return red
        padded = np.zeros((high, -(-wide // 64) * 64, 3), np.uint8)
        padded[:, :wide] = red
        return np.asarray(cv2.cvtColor(padded, cv2.COLOR_RGB2YUV_I420), np.uint8)


def fake_library() -> Library:
    """picamera2 and libcamera's Transform, doubled; a class of its own for every test."""
    return Library(type("Picamera2", (FakePicamera,), {}), dict)


Event = tuple[float, Picture | Exception]


class ScriptedLink:
    """A connection on a simulated clock: events, each so many seconds after the one before.

    Args:
        clock: moved by what is waited for.
        events: pictures and errors; silence follows.
        opens: whether it gets as far as being open.
        hangs: whether its thread stays when it is closed.
    """

    def __init__(
        self,
        clock: ManualClock,
        events: Sequence[Event] = (),
        *,
        opens: bool = True,
        hangs: bool = False,
    ) -> None:
        self._clock, self._events, self._opens, self._hangs = clock, list(events), opens, hangs
        self._is_closed = False

    @property
    def feed(self) -> Feed | None:
        return _Promise() if self._opens else None

    @property
    def is_alive(self) -> bool:
        return self._hangs or not self._is_closed

    def let_go(self) -> None:
        """The driver answers at last."""
        self._hangs = False

    def opened(self, timeout_s: float) -> Feed | None:
        if not self._opens:
            self.get(timeout_s)
        return self.feed

    def get(self, timeout_s: float) -> Picture | None:
        if not self._events or self._events[0][0] > timeout_s:
            self._events[:1] = [(after - timeout_s, what) for after, what in self._events[:1]]
            self._clock.advance(timeout_s)
            return None
        after, what = self._events.pop(0)
        self._clock.advance(after)
        if isinstance(what, Exception):
            raise what
        return what._replace(captured_at_ns=self._clock.now_ns())

    def close(self, timeout_s: float) -> None:
        self._is_closed = True


class _Promise:
    """What an open feed says of itself."""

    size_wh: tuple[int, int] | None = (8, 6)
    fps: float | None = 25.0

    def take(self) -> Picture | None:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to give back."""


class Script:
    """Gives the connections in order; then silent ones for ever."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.links: list[ScriptedLink] = []
        self.begun = 0

    def add(self, *events: Event, opens: bool = True, hangs: bool = False) -> ScriptedLink:
        self.links.append(ScriptedLink(self.clock, events, opens=opens, hangs=hangs))
        return self.links[-1]

    def start(self, open_feed: OpenFeed, lose: Callable[[str], None], name: str) -> ScriptedLink:
        self.begun += 1
        if self.begun > len(self.links):
            self.add()
        return self.links[self.begun - 1]


def picture(size_wh: tuple[int, int] = (8, 6), grey: int = 0) -> Picture:
    """A picture of one grey."""
    return Picture(np.full((size_wh[1], size_wh[0], 3), grey, np.uint8), 0, 0.0)
