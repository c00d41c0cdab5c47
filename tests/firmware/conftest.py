"""Fixtures of the scripts' tests: one machine per board, and a wheel to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firmware import machines
from tests.firmware.machines import Machine


@pytest.fixture
def pi(tmp_path: Path) -> Machine:
    """A Raspberry Pi 5 with 1 GiB of memory."""
    return machines.make(tmp_path / "pi", machines.PI)


@pytest.fixture
def jetson(tmp_path: Path) -> Machine:
    """A Jetson Orin Nano with JetPack 6."""
    return machines.make(tmp_path / "jetson", machines.JETSON)


@pytest.fixture
def wheel(tmp_path: Path) -> str:
    """A file that stands for the wheel; recorders do not open it."""
    path = tmp_path / "edgesam_rt-0.0.0-py3-none-any.whl"
    path.write_bytes(b"a wheel")
    return str(path)
