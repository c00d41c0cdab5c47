"""Whether a better step fits the quota, from the processor time that results take now."""

from __future__ import annotations

from edgesam_rt.boards import LadderStep
from edgesam_rt.pipeline.demand import Demand
from edgesam_rt.pipeline.ladder import Seen

STEPS = (
    LadderStep(name="full", encoder_side=512),
    LadderStep(name="small", encoder_side=256),
    LadderStep(name="still", encoder_side=256, reuse_ms=500),
    LadderStep(name="every 2nd", encoder_side=256, reuse_ms=500, encode_every=2),
)


def run(step: int, cores: float, *, fresh_every: int = 1, quota: float | None = 1.0) -> Demand:
    """Two seconds of ten results a second that keep so many cores busy."""
    used = [0.0]
    it = Demand(STEPS, cpu_s=lambda: used[0])
    it.quota = quota
    for i in range(21):
        used[0] = cores * i / 10
        it.note(Seen(10.0, 10.0, step, is_fresh=i % fresh_every == 0), i / 10)
    return it


def test_four_times_the_area_costs_four_times_as_much() -> None:
    assert run(1, 0.2).fits(0, 2.0)
    assert not run(1, 0.25).fits(0, 2.0)


def test_twice_the_frames_cost_twice_as_much() -> None:
    assert run(3, 0.4).fits(2, 2.0)
    assert not run(3, 0.5).fits(2, 2.0)


def test_a_still_scene_hides_what_a_moving_one_costs() -> None:
    assert run(2, 0.5).fits(1, 2.0)
    assert not run(2, 0.5, fresh_every=10).fits(1, 2.0)


def test_without_a_quota_everything_fits() -> None:
    assert run(3, 2.0, quota=None).fits(0, 2.0)


def test_a_step_that_has_just_begun_tells_nothing() -> None:
    it = run(1, 0.9)
    assert not it.fits(0, 2.1)
    it.note(Seen(10.0, 10.0, 2), 2.1)
    assert it.fits(0, 2.2)
