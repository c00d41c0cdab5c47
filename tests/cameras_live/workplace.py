"""A real RTSP camera and a real GStreamer for the tests, where the machine has them."""

from __future__ import annotations

import functools
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.ports import free_port
from edgesam_rt.types import U8

SYSTEM_PYTHON = Path("/usr/bin/python3")
SYSTEM_PACKAGES = Path("/usr/lib/python3/dist-packages")
SERVER = Path(__file__).with_name("rtsp_server.py")
PACKAGES = (
    "gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly "
    "gstreamer1.0-rtsp gir1.2-gst-rtsp-server-1.0 python3-gi"
)
NEEDED = ("x264enc", "rtph264pay", "appsrc", "videoconvert", "videotestsrc")
COLUMNS = 16  # of the server's picture: one bit of the time each
PATIENCE_S = 20.0


@functools.cache
def why_no_server() -> str | None:
    """What keeps the RTSP server from running here, with the next step; None if nothing does."""
    checks = "import gi; gi.require_version('GstRtspServer', '1.0')\n"
    checks += "from gi.repository import Gst, GstRtspServer; Gst.init(None)\n"
    checks += f"assert all(Gst.ElementFactory.find(name) for name in {NEEDED})"
    try:
        subprocess.run([SYSTEM_PYTHON, "-c", checks], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return f"no GStreamer RTSP server here. Run: apt-get install {PACKAGES}"
    return None


@contextmanager
def system_gi(folder: Path) -> Iterator[bool]:
    """Let this Python see the system's PyGObject, as --system-site-packages does; yields if it can.

    Only where both Pythons are of one version: its compiled part fits no other.
    """
    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
    fits = any((SYSTEM_PACKAGES / "gi").glob(f"_gi.{tag}-*.so"))
    if fits and importlib.util.find_spec("gi") is None:
        (folder / "gi").symlink_to(SYSTEM_PACKAGES / "gi")
        sys.path.insert(0, str(folder))
    try:
        yield fits
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


class RtspServer:
    """The server as a process that a test can kill, freeze and start again."""

    def __init__(self, *, login: str = "") -> None:
        self.port = free_port()
        self.login = login
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where the camera is, without a login."""
        return f"rtsp://127.0.0.1:{self.port}/cam"

    def start(self, size: str = "320x240") -> None:
        """Start it, and wait until it listens."""
        command = [str(SYSTEM_PYTHON), str(SERVER), str(self.port), size, self.login]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """End it without a goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        """Its connections stay, and nothing comes."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self._signal(signal.SIGCONT)

    def resize(self, size: str) -> None:
        """Change the size of the pictures in the middle of the stream."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"size {size}\n")
        self._process.stdin.flush()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


def stamp_of(pixels: U8) -> int:
    """Monotonic milliseconds, the lowest 16 bits, at which the server made a picture."""
    row = pixels[pixels.shape[0] // 2]
    columns = row.reshape(COLUMNS, -1, 3).mean((1, 2))
    return int(sum(1 << bit for bit, grey in enumerate(columns) if grey > 128))


def late_by_ms(captured_at_ns: int, pixels: U8) -> int:
    """By how much a frame's stamp is later than the picture was made."""
    return (captured_at_ns // 1_000_000 - stamp_of(pixels)) % 65536


def is_scene(pixels: U8) -> bool:
    """Whether a picture is the server's: sixteen columns, black or white."""
    columns = pixels[pixels.shape[0] // 2].reshape(COLUMNS, -1, 3).mean((1, 2))
    return bool(np.all((columns < 60) | (columns > 190)))
