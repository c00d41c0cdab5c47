"""Engines for the pipeline's tests, and the check that no thread stays behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from edgesam_rt.engines import EngineSet, resolve
from edgesam_rt.pipeline import pipeline as pipeline_module


@pytest.fixture(scope="session")
def engines() -> EngineSet:
    """The bundled engines at one small side; tested once."""
    found = resolve(board="cpu", bundle_name="pocketsam-int8", encoder_side=384, threads=1)
    found.trust_all()
    return found


@pytest.fixture(scope="session")
def ladder_engines() -> EngineSet:
    """The bundled engines at both sides; tested once."""
    found = resolve(board="cpu", bundle_name="pocketsam-int8", threads=1)
    assert found.sides == (512, 384)
    found.trust_all()
    return found


@pytest.fixture(autouse=True)
def no_thread_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that leaves a stage running; and wait for a stuck one only shortly."""
    monkeypatch.setattr(pipeline_module, "JOIN_TIMEOUT_S", 5.0)
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 2.0
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left, f"threads left: {sorted(t.name for t in left)}"
