"""One run for all tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgesam_rt.engines import EngineSet, resolve
from edgesam_rt.pipeline.task import Prompts, PromptTask
from tests.server.asking import Served, served


@pytest.fixture(scope="session")
def engines() -> EngineSet:
    """The smallest side, tested once."""
    found = resolve(board="cpu", bundle_name="pocketsam-int8", encoder_side=384, threads=1)
    found.trust_all()
    return found


@pytest.fixture(scope="module")
def one_run(engines: EngineSet) -> Iterator[Served]:
    with served(engines, task=PromptTask(Prompts())) as run:
        yield run


@pytest.fixture
def site(one_run: Served) -> Served:
    """A served run in prompt mode, without objects."""
    one_run.clear()
    return one_run
