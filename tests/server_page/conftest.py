"""A real run, served, and a real browser that looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from tests.server_page.browser import CHROMIUM, DRIVER, WHY_NO_BROWSER, Browser, browsing
from tests.server_page.workplace import Board, make_clip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this is slow, and needs Chromium."""
    absent = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=WHY_NO_BROWSER)
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(absent)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A still photo as a video, for ever."""
    return make_clip(tmp_path_factory.mktemp("clip") / "still.avi")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def board(clip: Path) -> Iterator[Board]:
    """One run for the tests that leave it as it was."""
    cv2.setNumThreads(1)
    with Board(f"file:{clip}?live=1&loop=1").started() as running:
        yield running
