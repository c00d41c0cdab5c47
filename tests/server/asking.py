"""A run that is served, and a client that says nothing it was not told to."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from edgesam_rt.cameras.base import Camera
from edgesam_rt.engines import EngineSet
from edgesam_rt.pipeline.pipeline import Plan
from edgesam_rt.pipeline.task import Prompts, Task, TrackTask, make_task
from edgesam_rt.server.address import Address
from edgesam_rt.server.entry import make_entry, open_server
from edgesam_rt.server.rate import Rate
from edgesam_rt.service.running import Running
from tests.pipeline.doubles import Recorder, synthetic
from tests.service.test_reload import Config

PATIENCE_S = 20.0
FREE = Rate(per_s=10_000, burst=10_000)
BUILD = {"version": "0", "bundle": "pocketsam", "backend": "onnxruntime", "board": "cpu"}


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    """A run and where it is served."""

    running: Running[Config]
    address: Address
    out: Recorder

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        limit_s: float = PATIENCE_S,
    ) -> Reply:
        """Ask once; a body that is not bytes goes as JSON."""
        known = {"Content-Type": "application/json"} if body is not None else {}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection(
            self.address.host, self.address.port, timeout=limit_s
        )
        with closing(connection):
            connection.request(method, path, data, {**known, **(headers or {})})
            answer = connection.getresponse()
            return Reply(
                answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            )

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, headers=headers)

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection((self.address.host, self.address.port), PATIENCE_S)

    def result_ids(self) -> list[int]:
        return [each["id"] for each in self.get("/api/v1/result?masks=boxes").json["objects"]]

    def clear(self) -> None:
        """No objects, prompt mode."""
        self.ask("PUT", "/api/v1/mode", {"mode": "prompt"})
        for each in self.get("/api/v1/objects").json["objects"]:
            self.ask("DELETE", f"/api/v1/objects/{each['id']}")


def wait_for(holds: Callable[[], bool], what: str = "it never came") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def live_camera() -> Camera:
    return synthetic(None, live=True, fps=20)


@contextmanager
def served(
    engines: EngineSet,
    *,
    task: Task | None = None,
    camera: Callable[[], Camera] = live_camera,
    token: str | None = None,
    rate: Rate = FREE,
    out: Recorder | None = None,
    waits: bool = True,
) -> Iterator[Served]:
    """Run and serve; a result is there, unless nobody waits for it."""
    facts = engines.bundle.manifest.thresholds
    sink = out or Recorder("out")
    plan = Plan(engines, camera, task or TrackTask(Prompts()), [sink.plan], 0, outlives_sinks=True)
    running: Running[Config] = Running(
        Config(),
        plan,
        lambda: (Config(), plan),
        everything=lambda _, way: make_task("everything", Prompts(), way or "grid", facts),
    )
    entry = make_entry("127.0.0.1:0", token)
    with open_server(entry, running, BUILD, rate=rate) as address, running.pipeline:
        if waits:
            wait_for(lambda: running.hub.newest() is not None)
        yield Served(running, address, sink)
