"""A socket for what the service says, and a clock set by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgesam_rt.service.notify import Notifier
from tests.camera_doubles import ManualClock
from tests.service.listening import Listening, listening


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Listening]:
    """What stands for systemd's end of the socket."""
    with listening(str(tmp_path / "notify")) as opened:
        yield opened


@pytest.fixture
def notifier(systemd: Listening) -> Iterator[Notifier]:
    """Our end of it."""
    opened = Notifier(systemd.address)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> ManualClock:
    """Time that moves only when told to."""
    return ManualClock()
