"""Is all well? Told by what comes out, as the watchdog is (docs/decisions/0017-service.md)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgesam_rt.cameras.health import CameraHealth
from edgesam_rt.server.schemas import CameraAnswer, HealthAnswer
from edgesam_rt.server.site import Site

STALLED_S = 10.0  # without a result: over three times the slowest a board takes for one
WINDOW_S = 10.0  # over which a sink is judged
LOSING_SHARE = 0.5  # of the results in the window: a sink that loses so many has failed


@dataclass(frozen=True)
class Losses:
    """Results, and those that each sink lost, at one time."""

    at_ns: int
    results: int
    lost: Mapping[str, int]


class SinkWatch:
    """Which sinks lose most of what they are given, judged when it is asked for."""

    def __init__(self) -> None:
        self._seen: deque[Losses] = deque()

    def failing(self, now: Losses) -> Iterator[str]:
        """Say so of each that fails."""
        while self._seen and now.at_ns - self._seen[0].at_ns > WINDOW_S * 1e9:
            self._seen.popleft()
        before = self._seen[0] if self._seen else Losses(0, 0, {})
        if not self._seen or now.at_ns - self._seen[-1].at_ns > 1e9:
            self._seen.append(now)
        results = now.results - before.results
        for name, count in now.lost.items():
            lost = count - before.lost.get(name, 0)
            if lost and lost >= LOSING_SHARE * results:
                yield f"output {name} lost {lost} of the newest {results} results"


def health(site: Site, sinks: SinkWatch) -> HealthAnswer:
    """How it stands with camera, results and outputs."""
    metrics, now_ns = site.pipeline.metrics, site.clock.now_ns()
    camera, made_at_ns = metrics.camera, site.hub.made_at_ns
    age_s = None if made_at_ns is None else (now_ns - made_at_ns) / 1e9
    losses = Losses(now_ns, metrics.results, dict(metrics.sink_dropped))
    reasons = (*_of_results(camera, age_s), *sinks.failing(losses))
    newest = site.hub.newest()
    return HealthAnswer(
        status="failing" if reasons else "ok",
        reasons=reasons,
        camera=camera_answer(camera),
        result_age_s=age_s,
        ladder_step=None if newest is None else newest.ladder_step,
    )


def is_ready(answer: HealthAnswer) -> bool:
    """Whether results flow; outputs may fail."""
    return answer.result_age_s is not None and answer.result_age_s <= STALLED_S


def camera_answer(camera: CameraHealth) -> CameraAnswer:
    """The camera as it is told."""
    return CameraAnswer(
        camera.state,
        camera.reconnects,
        dict(camera.breaks),
        camera.last_error,
        camera.frame_age_s,
    )


def _of_results(camera: CameraHealth, age_s: float | None) -> Iterator[str]:
    if camera.state in ("lost", "stuck"):
        yield f"camera {camera.state}: {camera.last_error or 'no frame comes'}"
    if age_s is None:
        yield "no result yet"
    elif age_s > STALLED_S:
        yield f"no result for {age_s:.0f} s"
