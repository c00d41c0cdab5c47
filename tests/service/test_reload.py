"""Another configuration while the pipeline runs: same camera, other prompts and sinks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import pytest

from edgesam_rt.engines import EngineSet, resolve
from edgesam_rt.errors import ConfigError, PromptError, SinkError
from edgesam_rt.pipeline.pipeline import Pipeline, Plan
from edgesam_rt.pipeline.switch import SwitchTask
from edgesam_rt.pipeline.task import Prompts, PromptTask, Task
from edgesam_rt.records import Prompt
from edgesam_rt.service.running import Running
from tests.pipeline.doubles import DEADLINE_S, Recorder, synthetic

ONE = PromptTask(Prompts((Prompt.point(48, 32),)))
TWO = PromptTask(Prompts((Prompt.point(48, 32), Prompt.box(4, 4, 60, 50))))
OUTSIDE = PromptTask(Prompts((Prompt.box(300, 300, 400, 400),)))


class Config(msgspec.Struct, frozen=True):
    """The keys that matter here; `object` stands for the prompts."""

    source: str = "synthetic:"
    object: int = 1
    out: tuple[str, ...] = ("first",)


@dataclass
class Reloaded:
    """A run, and ways to reload it."""

    running: Running[Config]
    first: Recorder
    engines: EngineSet

    @property
    def pipeline(self) -> Pipeline:
        return self.running.pipeline

    def reload_to(self, config: Config, task: PromptTask, *sinks: Recorder) -> None:
        plans = [sink.plan for sink in (sinks or (self.first,))]
        NEXT.append((config, Plan(self.engines, synthetic, task, plans)))
        self.running.reload()

    def wait_for(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.01)


NEXT: list[tuple[Config, Plan]] = []  # what the file holds; without any it is wrong


def plan_again() -> tuple[Config, Plan]:
    if not NEXT:
        raise ConfigError("cam.toml: unknown key 'outt'.")
    return NEXT.pop()


@pytest.fixture(scope="module")
def engines() -> EngineSet:
    found = resolve(board="cpu", bundle_name="pocketsam-int8", encoder_side=384, threads=1)
    found.trust_all()
    return found


def never(_config: Config, _strategy: str | None) -> Task:
    raise AssertionError("nobody asked for everything mode")


@contextmanager
def running(engines: EngineSet, *, outlives_sinks: bool = False) -> Iterator[Reloaded]:
    first = Recorder("first")
    camera = synthetic(None, live=True, fps=30)
    plan = Plan(engines, lambda: camera, ONE, [first.plan], outlives_sinks=outlives_sinks)
    run = Reloaded(Running(Config(), plan, plan_again, everything=never), first, engines)
    with run.pipeline:
        run.wait_for(lambda: bool(first.results))
        yield run
    ids = first.frame_ids
    assert ids == sorted(set(ids)), "the camera began anew"


def test_prompts_change_between_two_frames(engines: EngineSet) -> None:
    with running(engines) as run:
        run.reload_to(Config(object=2), TWO)
        run.wait_for(lambda: len(run.first.results[-1].prompts) == 2)
    assert all(len(r.masks) == len(r.prompts) for r in run.first.results)


def test_a_prompt_outside_the_picture_is_refused_and_the_former_stays(
    engines: EngineSet, caplog: pytest.LogCaptureFixture
) -> None:
    with running(engines) as run:
        run.reload_to(Config(object=2), OUTSIDE)
        seen = len(run.first.results)
        run.wait_for(lambda: len(run.first.results) > seen + 1)
    assert {len(r.prompts) for r in run.first.results} == {1}
    assert "lies outside the 96x64 picture" in caplog.text


def test_a_sink_comes_and_another_goes(engines: EngineSet) -> None:
    second = Recorder("second")
    with running(engines) as run:
        run.reload_to(Config(out=("second",)), ONE, second)
        run.wait_for(lambda: run.first.inner.is_closed and len(second.results) > 1)
        last = run.first.frame_ids[-1]
    assert second.frame_ids[-1] > last
    assert second.inner.is_closed


def test_a_sink_that_stays_is_not_opened_again(engines: EngineSet) -> None:
    second = Recorder("second")
    with running(engines) as run:
        run.reload_to(Config(out=("first", "second")), ONE, run.first, second)
        run.wait_for(lambda: len(second.results) > 1)
        assert not run.first.inner.is_closed
        seen = len(run.first.results)
        run.wait_for(lambda: len(run.first.results) > seen)


def test_a_sink_that_cannot_be_opened_leaves_all_as_it_was(
    engines: EngineSet, caplog: pytest.LogCaptureFixture
) -> None:
    good = Recorder("good")
    bad = Recorder("bad", fails_to_open=True, error=SinkError("bad: cannot write /x."))
    with running(engines) as run:
        run.reload_to(Config(out=("good", "bad")), ONE, good, bad)
        seen = len(run.first.results)
        run.wait_for(lambda: len(run.first.results) > seen + 1)
    assert "reload: bad: cannot write /x. Kept as they were: out." in caplog.text
    assert good.results == []
    assert good.inner.is_closed


def test_what_cannot_change_is_said_and_kept(
    engines: EngineSet, caplog: pytest.LogCaptureFixture
) -> None:
    with running(engines) as run:
        run.reload_to(Config(source="v4l2:/dev/video0", object=2), TWO)
        run.wait_for(lambda: len(run.first.results[-1].prompts) == 2)
    assert "reload: kept until a restart: source" in caplog.text


def test_a_wrong_file_changes_nothing(engines: EngineSet, caplog: pytest.LogCaptureFixture) -> None:
    with running(engines) as run:
        run.running.reload()
    assert "reload: cam.toml: unknown key 'outt'. All stays as it was." in caplog.text


def test_a_sink_that_fails_loses_its_results_and_the_run_goes_on(engines: EngineSet) -> None:
    with running(engines, outlives_sinks=True) as run:
        run.first.fails_at, run.first.error = len(run.first.results) + 1, SinkError("disk full.")
        run.wait_for(lambda: run.pipeline.results_lost >= 3)
        run.first.fails_at = None
        seen = len(run.first.results)
        run.wait_for(lambda: len(run.first.results) > seen)


def test_a_change_that_found_no_frame_is_given_up_at_the_end() -> None:
    task = SwitchTask(ONE)
    first, second = task.change(TWO), task.change(ONE)
    assert first.cancelled()
    task.close()
    assert second.cancelled()


def test_a_reload_puts_back_what_was_changed_since(engines: EngineSet) -> None:
    with running(engines) as run:
        control = run.running.control
        control.remove(1)
        assert control.add(Prompt.point(50, 30)) == 2
        run.wait_for(lambda: run.first.results[-1].object_ids == (2,))
        run.reload_to(Config(), ONE)
        run.wait_for(lambda: run.first.results[-1].object_ids == (1,))
        assert list(control.objects) == [1]
        assert control.add(Prompt.point(50, 30)) == 3, "an id was given twice"


def test_a_trial_that_fails_tells_why(engines: EngineSet) -> None:
    with running(engines) as run, pytest.raises(PromptError, match="outside"):
        run.running.control.restore(OUTSIDE)
