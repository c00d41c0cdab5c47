"""What the handlers know: the run, and what was made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.pipeline.pipeline import Pipeline
from edgesam_rt.server.access import Access
from edgesam_rt.server.feed import Feed
from edgesam_rt.server.renders import Renders
from edgesam_rt.server.workers import Workers
from edgesam_rt.service.control import Control
from edgesam_rt.service.hub import Hub


@dataclass(eq=False)
class Site:
    """One server's view of one run.

    Attributes:
        pipeline: counters, camera.
        hub: the newest result.
        control: changes mode and objects.
        access: who may ask.
        build: version, bundle, backend and board, for `/metrics` and `/api/v1/status`.
        clock: for tests.
        refused: requests that were not let in, by status.
        feed: the hub for coroutines.
        renders: results as JSON and JPEG.
        rendering: the thread that makes those.
        changing: the thread that changes the run.
    """

    pipeline: Pipeline
    hub: Hub
    control: Control
    access: Access
    build: Mapping[str, str]
    clock: Clock = CLOCK
    refused: Counter[int] = field(default_factory=Counter)
    feed: Feed = field(init=False)
    renders: Renders = field(default_factory=Renders)
    rendering: Workers = field(default_factory=lambda: Workers("http-render", threads=1, most=64))
    changing: Workers = field(default_factory=lambda: Workers("http-change", threads=1, most=16))

    def __post_init__(self) -> None:
        """Make the feed."""
        self.feed = Feed(self.hub)

    def close(self) -> None:
        """Let the threads go."""
        self.rendering.close()
        self.changing.close()
