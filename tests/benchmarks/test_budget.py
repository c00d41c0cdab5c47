"""What the budget's benchmark makes of a run, and how it takes the processor away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import tables
from benchmarks.budget import __main__ as command
from benchmarks.budget import judge
from benchmarks.budget.judge import Phase, Point
from benchmarks.budget.limits import DutyCycle, Quota, Rivals
from benchmarks.report import Report
from tests.benchmarks.test_report import ENVIRONMENT

LOAD = Phase(10.0, 20.0)
BURN = "import time\nwhile True: time.process_time()"


def points(*stretches: tuple[float, float, int, float]) -> list[Point]:
    """Ten results a second: from, to, step, age in ms."""
    return [
        Point(begin_s + i / 10, age_ms, step, is_fresh=True)
        for begin_s, end_s, step, age_ms in stretches
        for i in range(round((end_s - begin_s) * 10))
    ]


GOOD = points(
    (0, 10, 0, 40), (10, 11, 0, 200), (11, 20, 2, 80), (20, 21, 2, 20), (21, 22, 1, 20),
    (22, 30, 0, 40),
)  # fmt: skip


def test_the_first_seconds_of_a_load_do_not_count_and_the_rest_does() -> None:
    found = judge.figures(GOOD, [LOAD], 100.0)
    assert found["within_before"] == found["within"] == 1.0
    assert found["steps_before"] == [0]
    assert found["steps_under_load"] == {2: 70}
    assert found["results_per_s"] == 10.0
    late = points((0, 10, 0, 40), (10, 16, 0, 80), (16, 20, 0, 120))
    assert judge.figures(late, [LOAD], 100.0)["within"] == pytest.approx(30 / 70, abs=1e-4)


def test_results_of_an_earlier_embedding_are_shown_apart() -> None:
    kept = [Point(p.at_s + 0.05, 1.0, p.step, is_fresh=False) for p in points((13, 20, 0, 1))]
    mixed = sorted([*points((0, 20, 0, 150)), *kept], key=lambda p: p.at_s)
    found = judge.figures(mixed, [LOAD], 100.0)
    assert (found["within"], found["within_fresh"]) == (0.5, 0.0)
    assert (found["results_per_s"], found["fresh_per_s"]) == (20.0, 10.0)


def test_full_quality_is_back_when_it_stays() -> None:
    assert judge.back_after(GOOD, LOAD, 30.0) == 2.0
    tried = points((20, 21, 1, 20), (21, 22, 0, 20), (22, 24, 1, 20), (24, 27, 0, 20))
    assert judge.back_after(tried, LOAD, 27.0) == 4.0
    assert judge.back_after(points((20, 30, 1, 20)), LOAD, 30.0) is None
    assert judge.back_after([], LOAD, 30.0) is None


def test_a_swing_is_from_fall_to_fall_with_a_rise_between() -> None:
    assert judge.shortest_swing(GOOD) is None
    falls = points((0, 1, 0, 1), (1, 2, 1, 1), (2, 3, 2, 1), (3, 4, 1, 1), (4, 9, 3, 1))
    assert judge.shortest_swing(falls) == 3.0


def test_rows_of_the_command_become_points() -> None:
    row = {"captured_at_ns": 5_000_000_000, "age_ms": 500.0, "ladder_step": 2, "reuse": "kept"}
    assert judge.points_of([row], 4_000_000_000) == [Point(1.5, 500.0, 2, is_fresh=False)]


def test_the_tables_say_what_was_found() -> None:
    row = {"case": "rivals", "how": "4 of them", "budget_ms": 100.0}
    figures = {"mode": "prompt", "adapts_s": 3.0}
    figures |= {"rows": [row | judge.figures(GOOD, [LOAD], 100.0)]}
    made = tables.make([Report("budget-prompt", "python -m x", ENVIRONMENT, {}, figures)])
    held, steps = made["budget-prompt"], made["budget-prompt-steps"]
    assert (
        "| rivals (4 of them) | 100 | 100.0 % | 100.0 % | 100.0 % | 10.0 (10.0) | 2.0 | none |"
        in held
    )
    assert "0.0: 0, 11.0: 2, 21.0: 1, 22.0: 0" in steps


def used_s(pid: int, seconds: float) -> float:
    """Processor time that a process uses in some time."""

    def ticks() -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(seconds)
    return (ticks() - before) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(sys.platform != "linux", reason="control groups and /proc are Linux's")
@pytest.mark.parametrize("kind", [Quota, DutyCycle])
def test_a_share_of_a_core_is_what_a_process_gets(kind: type[Quota | DutyCycle]) -> None:
    if kind is Quota and not Quota.works():
        pytest.skip("this machine lets us make no control group")
    with subprocess.Popen([sys.executable, "-c", BURN]) as child:
        limit = kind(0.2)
        try:
            limit.begin(child.pid)
            assert used_s(child.pid, 1.0) < 0.35
            limit.end(child.pid)
            assert child.poll() is None
        finally:
            child.send_signal(signal.SIGCONT)
            child.kill()
            child.wait()
            if isinstance(limit, Quota):
                limit.remove()


def test_rivals_come_and_go() -> None:
    rivals = Rivals(1)
    rivals.begin(0)
    (rival,) = rivals._busy
    assert rival.is_alive()
    rivals.end(0)
    assert not rival.is_alive()


@pytest.mark.slow
def test_a_real_run_is_robbed_and_judged(tmp_path: Path) -> None:
    out = tmp_path / "budget.json"
    words = ["--cases", "rivals", "--load-s", "4", "--quiet-s", "3", "--json", str(out)]
    assert command.main([*words, "--budget-ms", "1000"]) == 0
    (row,) = json.loads(out.read_text())["figures"]["rows"]
    assert row["within"] is not None
    assert row["results_per_s"] > 1
    assert row["back_s"] == [pytest.approx(0.0, abs=2.0)]
