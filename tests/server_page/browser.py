"""A real Chromium, driven by the W3C WebDriver protocol over plain HTTP; no package is needed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import cv2
import numpy as np

from benchmarks.ports import free_port
from edgesam_rt.types import U8

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
WHY_NO_BROWSER = (
    "no Chromium here. Run: apt-get install --no-install-recommends chromium chromium-driver"
)
PATIENCE_S = 60.0
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars"),
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's key of an element


class Browser:
    """One window. Coordinates are CSS pixels of it."""

    def __init__(self, url: str, profile: Path, *flags: str) -> None:
        self._url = url
        options = {"binary": CHROMIUM, "args": [*_FLAGS, f"--user-data-dir={profile}", *flags]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self._url + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, url: str) -> None:
        self._ask("POST", f"{self._session}/url", {"url": url})

    def resize(self, wide: int, high: int, *, ratio: float = 1.0, mobile: bool = False) -> None:
        """Make the page so large, with so many screen pixels each; as a phone's, with touch."""
        metrics = {"width": wide, "height": high, "deviceScaleFactor": ratio, "mobile": mobile}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)
        self.command("Emulation.setTouchEmulationEnabled", enabled=mobile)

    def command(self, name: str, **params: Any) -> Any:
        """Ask Chromium itself, by its own protocol."""
        body = {"cmd": name, "params": params}
        return self._ask("POST", f"{self._session}/goog/cdp/execute", body)

    def run(self, script: str, *args: Any) -> Any:
        """Run JavaScript in the page; `return` gives a value back."""
        body = {"script": script, "args": list(args)}
        return self._ask("POST", f"{self._session}/execute/sync", body)

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).textContent", selector))

    def click(self, selector: str) -> None:
        """Click an element as a person does, who must see it for that."""
        body = {"using": "css selector", "value": selector}
        element = self._ask("POST", f"{self._session}/element", body)[_ELEMENT]
        self._ask("POST", f"{self._session}/element/{element}/click")

    def type(self, selector: str, text: str) -> None:
        body = {"using": "css selector", "value": selector}
        element = self._ask("POST", f"{self._session}/element", body)[_ELEMENT]
        self._ask("POST", f"{self._session}/element/{element}/value", {"text": text})

    def press(self, *path: tuple[float, float], shift: bool = False, kind: str = "mouse") -> None:
        """Press the pointer at the first place, drag it along the others, let go."""
        first, *others = (_move(*each) for each in path)
        moves = [first, {"type": "pointerDown", "button": 0}, *others]
        moves += [{"type": "pointerUp", "button": 0}]
        parameters = {"pointerType": kind}
        pointer = {"type": "pointer", "id": kind, "parameters": parameters, "actions": moves}
        keys = [{"type": "keyDown", "value": "\ue008"}] + [{"type": "pause"}] * (len(moves) - 1)
        shifted = {"type": "key", "id": "keys", "actions": keys}
        self._act([shifted, pointer] if shift else [pointer])

    def keys(self, *names: str) -> None:
        """Press keys one after the other; the protocol's names of special ones, as \ue007."""
        actions = [{"type": what, "value": name} for name in names for what in ("keyDown", "keyUp")]
        self._act([{"type": "key", "id": "keys", "actions": actions}])

    def _act(self, actions: Sequence[object]) -> None:
        self._ask("POST", f"{self._session}/actions", {"actions": actions})
        self._ask("DELETE", f"{self._session}/actions")

    def wait(self, script: str, *args: Any, what: str = "") -> Any:
        """Wait until JavaScript returns something true, and return it."""
        return self.wait_for(lambda: self.run(f"return {script}", *args), what or script)

    def wait_for(self, holds: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while not (found := holds()):
            assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S:g} s\n{self.log()}"
            time.sleep(0.05)
        return found

    def screenshot(self, path: Path | None = None) -> U8:
        """What is seen, (H, W, 3) RGB, in screen pixels."""
        data = base64.b64decode(self._ask("GET", f"{self._session}/screenshot"))
        if path is not None:
            path.write_bytes(data)
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return np.ascontiguousarray(pixels[:, :, ::-1]).astype(np.uint8)

    def log(self) -> list[str]:
        """What the page complained of since the last call."""
        entries = self._ask("POST", f"{self._session}/se/log", {"type": "browser"})
        return [f"{entry['level']}: {entry['message']}" for entry in entries]

    def close(self) -> None:
        self._ask("DELETE", self._session)


def _move(x: float, y: float) -> dict[str, Any]:
    return {"type": "pointerMove", "duration": 20, "x": round(x), "y": round(y)}


@contextmanager
def browsing(folder: Path, *flags: str) -> Iterator[Browser]:
    """A browser with a profile of its own; ended with all of its processes."""
    assert DRIVER is not None
    port = free_port()
    driver = subprocess.Popen(
        [DRIVER, f"--port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}")
        browser = Browser(f"http://127.0.0.1:{port}", folder / "profile", *flags)
        try:
            yield browser
        finally:
            browser.close()
    finally:
        driver.terminate()
        driver.wait()


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(f"{url}/status", timeout=5).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "chromedriver did not start"
            time.sleep(0.05)
