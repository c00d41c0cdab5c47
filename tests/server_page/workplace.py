"""The command as a board runs it, and a person's view of its page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.ports import free_port
from edgesam_rt.imaging import rle
from edgesam_rt.types import F64, U8
from tests.server_page.browser import PATIENCE_S, Browser

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "demo" / "photos" / "woman-in-room.jpg"
SIZE_WH = (640, 480)
ON_IT = (420.0, 240.0)  # px: the woman's back in the photo
BESIDE_IT = (120.0, 90.0)  # the wall
HER_BOX = (310.0, 10.0, 450.0, 450.0)
OBJECTS = "#objects li"
COMMAND = (sys.executable, "-m", "edgesam_rt")
SMALL = (
    *("--encoder-side", "384", "--threads", "1", "--budget-ms", "2000"),
    *("--mode", "prompt", "--quiet"),
)


def make_clip(path: Path) -> Path:
    """Write the photo as a video of five frames."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 8, SIZE_WH)
    photo = cv2.resize(cv2.imread(str(PHOTO)), SIZE_WH, interpolation=cv2.INTER_AREA)
    for _ in range(5):
        writer.write(photo)
    writer.release()
    return path


@dataclass
class Board:
    """A run that serves its page; may be ended and started again at the same port."""

    source: str
    words: tuple[str, ...] = ()
    token: str = ""
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, self.source, *SMALL, *self.words, "--http", f"127.0.0.1:{self.port}"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'engines'}"},
        )
        deadline = time.monotonic() + PATIENCE_S
        while not self.is_up():
            assert time.monotonic() < deadline, "the board did not start"
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
            self.process = None

    @contextmanager
    def started(self) -> Iterator[Board]:
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the board ended"
        try:
            urllib.request.urlopen(f"{self.url}/api/v1/session", timeout=5).close()
        except OSError:
            return False
        return True

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """What the board says, or does."""
        request = urllib.request.Request(
            f"{self.url}/api/v1/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or "null")

    def objects(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", "objects")["objects"]
        return found

    def clear(self) -> None:
        self.ask("PUT", "mode", {"mode": "prompt"})
        for each in self.objects():
            self.ask("DELETE", f"objects/{each['id']}")


class Page:
    """The page of a board in a browser; places are pixels of the picture."""

    def __init__(self, browser: Browser, board: Board) -> None:
        self.browser, self.board = browser, board

    def open(
        self, *, wide: int = 1280, high: int = 800, ratio: float = 1, mobile: bool = False
    ) -> None:
        self.board.clear()
        self.browser.resize(wide, high, ratio=ratio, mobile=mobile)
        self.browser.open(self.board.url)
        self.wait_for_picture()

    def wait_for_picture(self) -> None:
        self.browser.wait("document.body.dataset.frame", what="a first picture")

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the picture lies in the window, by a reckoning of our own."""
        left, top, wide, high = self.browser.run(
            "const r = document.getElementById('view').getBoundingClientRect();"
            "return [r.left, r.top, r.width, r.height]"
        )
        scale = min(wide / SIZE_WH[0], high / SIZE_WH[1])
        inner_left = left + (wide - SIZE_WH[0] * scale) / 2
        inner_top = top + (high - SIZE_WH[1] * scale) / 2
        return inner_left + x * scale, inner_top + y * scale

    def tap(self, xy: tuple[float, float], *, shift: bool = False, kind: str = "mouse") -> None:
        self.browser.press(self.at(*xy), shift=shift, kind=kind)

    def drag(self, box: tuple[float, float, float, float], *, kind: str = "mouse") -> None:
        x0, y0, x1, y1 = box
        middle = self.at((x0 + x1) / 2, (y0 + y1) / 2)
        self.browser.press(self.at(x0, y0), middle, self.at(x1, y1), kind=kind)

    def wait_for_objects(self, count: int) -> list[dict[str, Any]]:
        """Wait until the page lists so many, each of which was looked for."""
        script = "document.querySelectorAll(arguments[0]).length === arguments[1]"
        self.browser.wait(script, OBJECTS, count, what=f"{count} objects")
        self.browser.wait_for(
            lambda: all(each["state"] for each in self.board.objects()), "states of all objects"
        )
        return self.board.objects()

    def colour_at(self, xy: tuple[float, float], shot: U8 | None = None) -> F64:
        """What is seen there, now or in a screenshot: mean of 5 x 5 pixels, red, green, blue."""
        x, y = (round(v) for v in self.at(*xy))
        seen = self.browser.screenshot() if shot is None else shot
        mean: F64 = seen[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(0)
        return mean

    def depth_of_mask(self) -> tuple[float, float]:
        """The pixel deepest inside the newest result's first mask, away from the tapped point."""
        found = self.board.ask("GET", "result")["objects"][0]["rle"]
        mask = rle.from_runs(rle.decompress(found["counts"]), tuple(found["size"]))
        inside = np.pad(mask, 1).astype(np.uint8)
        cv2.circle(inside, (round(ON_IT[0]) + 1, round(ON_IT[1]) + 1), 14, 0, -1)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        assert depth[y, x] > 4, "too thin a mask to be looked at"
        return float(x), float(y)
