from __future__ import annotations

from functools import partial

import pytest

from edgesam_rt.backends.base import Backend, Feeds, Outputs
from edgesam_rt.bench.measure import engine_clock, interleave, series
from edgesam_rt.manifest import TensorSpec


class Engine(Backend):
    def __init__(self, *outputs: str) -> None:
        super().__init__((), [TensorSpec(name=n, shape=(), dtype="float32") for n in outputs])

    def _run(self, feeds: Feeds) -> Outputs:
        return {}

    def _close(self) -> None: ...


def test_a_series_keeps_its_number_and_its_order() -> None:
    found = series([float(v) for v in range(1, 101)])
    assert found == {"n": 100, "min": 1.0, "p50": 50.5, "p95": 95.05, "p99": 99.01}


def test_works_take_turns_and_warming_up_is_not_counted() -> None:
    done: list[str] = []
    works = {name: partial(done.append, name) for name in "ab"}
    times = interleave(works, warm_up=1, repeats=2)
    assert "".join(done) == "ababab"
    assert {name: len(t.wall) for name, t in times.items()} == {"a": 2, "b": 2}
    assert times["a"].figures()["thread_cpu_ms"]["n"] == 2


@pytest.mark.parametrize(
    ("outputs", "part"),
    [
        (("pixels",), "encoder"),
        (("iou_predictions", "mask_tokens"), "scorer"),
        (("low_res_masks",), "mask_head"),
        (("iou_predictions", "low_res_masks"), "decoder"),
    ],
)
def test_the_clock_counts_runs_by_part_inside_its_block_only(
    outputs: tuple[str, ...], part: str
) -> None:
    engine = Engine(*outputs)
    engine.run({})
    with engine_clock() as clock:
        engine.run({})
        assert list(clock.take()) == [part]
        assert clock.take() == {}
    engine.run({})
    assert clock.take() == {}
