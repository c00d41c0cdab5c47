"""`/api/v1/status`: how the run goes, with what a page needs for its charts."""

from __future__ import annotations

from edgesam_rt.server.health import camera_answer
from edgesam_rt.server.schemas import PointAnswer, StatusAnswer, StepAnswer, Times
from edgesam_rt.server.site import Site
from edgesam_rt.service.tally import Point

FPS_OVER_S = 5.0


def status(site: Site) -> StatusAnswer:
    """All of it."""
    metrics, tally, now_ns = site.pipeline.metrics, site.hub.tally, site.clock.now_ns()
    newest, recent = site.hub.newest(), tally.recent()
    times, readings = metrics.percentiles(), site.pipeline.readings
    return StatusAnswer(
        build=dict(site.build),
        mode=site.control.mode,
        strategy=site.control.strategy,
        camera=camera_answer(metrics.camera),
        image_hw=None if newest is None else newest.frame.image_hw,
        fps=_fps(recent, now_ns),
        frames=metrics.frames,
        results=metrics.results,
        late=metrics.late,
        dropped=dict(metrics.dropped),
        sinks_lost=dict(metrics.sink_dropped),
        ladder_step=None if newest is None else newest.ladder_step,
        budget_ms=site.pipeline.budget_ms,
        degraded={f"{name}: {why}": n for (name, why), n in metrics.degraded.copy().items()},
        reused=dict(metrics.reused),
        temperatures_c=dict(readings.temperatures_c),
        held_back_by=readings.reasons,
        stages={name: Times(t.n, t.p50_ms, t.p95_ms, t.p99_ms) for name, t in times.items()},
        recent=tuple(
            PointAnswer(_ago_s(p.made_at_ns, now_ns), round(p.age_ms, 3), p.ladder_step)
            for p in recent
        ),
        steps=tuple(StepAnswer(_ago_s(at_ns, now_ns), step) for at_ns, step in tally.steps()),
    )


def _fps(recent: list[Point], now_ns: int) -> float:
    """Results per second of the last seconds; a run that stands still goes to 0."""
    newest = [p.made_at_ns for p in recent if now_ns - p.made_at_ns < FPS_OVER_S * 1e9]
    if len(newest) < 2:
        return 0.0
    return round((len(newest) - 1) * 1e9 / (now_ns - newest[0]), 2)


def _ago_s(at_ns: int, now_ns: int) -> float:
    return round((at_ns - now_ns) / 1e9, 3)
