"""Named objects and their changes, where no frame comes or the picture becomes another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import ControlError, NoFrame, PromptError, UnknownObject, WrongMode
from edgesam_rt.pipeline.switch import SwitchTask
from edgesam_rt.pipeline.task import Prompts, PromptTask, Task, TrackTask, Work
from edgesam_rt.records import Frame, MaskSet, Prompt
from edgesam_rt.service import control as controls
from edgesam_rt.service.control import Control
from edgesam_rt.service.hub import Hub
from edgesam_rt.service.objects import AskTask, FollowTask, following, objects_of, steerable
from tests.result_doubles import make_masks, make_pixels, make_result

NEAR, FAR = Prompt.point(10, 10), Prompt.point(90, 60)
SHIFTED = Prompt.point(12, 10)
LARGE, SMALL = (64, 96), (30, 40)


class OneMaskEach:
    """A decoder that finds something for every prompt."""

    def predict(self, _embedding: object, prompts: tuple[Prompt, ...]) -> MaskSet:
        return make_masks([(5, 5, 20, 20)] * len(prompts), LARGE)


def frame(image_hw: tuple[int, int], name: str = "f") -> Frame:
    return Frame(0, make_pixels(image_hw), 0, name)


def answer(task: AskTask, at: Frame) -> MaskSet:
    decoder: Any = OneMaskEach()
    embedding: Any = None
    return task.answer(decoder, Work(at, embedding, task.prompts_for(at)))


@pytest.fixture
def control(default_bundle: Bundle) -> Control:
    return make(AskTask({1: NEAR}), default_bundle, with_picture=True)


def make(task: Task, bundle: Bundle, *, with_picture: bool) -> Control:
    """Of a run in which no frame comes any more."""
    hub = Hub()
    if with_picture:
        hub.put(make_result(image_hw=LARGE, boxes=[(5, 5, 20, 20)]))
    facts = bundle.manifest.decoder
    return Control(SwitchTask(task), task, hub=hub, facts=facts, everything=lambda _: task)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "PATIENCE_S", 0.05)


def test_an_object_outside_a_smaller_picture_is_left_out_and_keeps_its_id() -> None:
    task = AskTask({3: FAR, 7: NEAR})
    assert answer(task, frame(LARGE)).object_ids == (3, 7)
    assert answer(task, frame(SMALL)).object_ids == (7,)
    assert answer(task, frame(LARGE)).object_ids == (3, 7)


def test_in_the_first_picture_it_is_an_error_as_without_control() -> None:
    assert len(AskTask({3: FAR, 7: NEAR}).prompts_for(frame(SMALL))) == 2


def test_prompts_of_a_named_frame_come_first_and_are_ticked_off() -> None:
    asked = PromptTask(Prompts((NEAR,), {"street": (NEAR, FAR)}))
    task = steerable(asked)
    assert isinstance(task, AskTask)
    assert len(task.prompts_for(frame(LARGE, "street"))) == 2
    assert asked.unmatched == set()
    assert task.prompts_for(frame(LARGE)) == (NEAR,)


def test_what_is_to_be_followed_is_checked_on_the_picture_it_begins_in() -> None:
    task = following({4: NEAR})
    kept, refused, given_up = task.add(NEAR, 9), task.add(FAR, 10), task.add(NEAR, 11)
    given_up.cancel()
    assert task.prompts_for(frame(SMALL)) == ()
    assert kept.result(0) == 9
    assert isinstance(refused.exception(0), PromptError)
    assert task.tracker.track_ids == (4, 9)


def test_a_followed_object_begins_anew_under_its_id_and_forgets_how_it_looked() -> None:
    task = following({4: NEAR, 6: NEAR})
    former = task.tracker._tracks[4]
    changed, refused = task.change(4, SHIFTED), task.change(6, FAR)
    task.prompts_for(frame(SMALL))
    assert changed.result(0) == 4
    assert isinstance(refused.exception(0), PromptError)
    assert task.tracker.track_ids == (4, 6)
    assert task.tracker._tracks[4] is not former


def test_ids_of_a_file_are_its_order_in_both_modes() -> None:
    for kind in (PromptTask, TrackTask):
        assert list(objects_of(steerable(kind(Prompts((NEAR, FAR)))))) == [1, 2]


def test_without_a_frame_a_change_is_given_up_and_leaves_no_trace(control: Control) -> None:
    with pytest.raises(NoFrame, match=r"no frame came in 0.05 s.*Nothing was changed"):
        control.add(NEAR)
    with pytest.raises(NoFrame):
        control.set_mode("track")
    assert (list(control.objects), control.mode, control.is_changed) == ([1], "prompt", False)


def test_an_object_can_go_without_a_frame(control: Control) -> None:
    control.remove(1)
    assert control.objects == {}
    assert control.is_changed
    with pytest.raises(UnknownObject, match="no object has the id 1. Known: none"):
        control.remove(1)


def test_before_the_first_picture_nothing_can_be_added(default_bundle: Bundle) -> None:
    control = make(AskTask({}), default_bundle, with_picture=False)
    with pytest.raises(NoFrame, match="no picture yet"):
        control.add(NEAR)


def test_a_prompt_that_means_nothing_is_refused_at_once(control: Control) -> None:
    with pytest.raises(PromptError, match="lies outside the 96x64 picture"):
        control.add(Prompt.point(97, 3))
    many = Prompt.points([[3, 3]] * 60, [1] * 60)
    with pytest.raises(PromptError, match="this model takes"):
        control.add(many)


def test_only_everything_mode_has_a_strategy(control: Control) -> None:
    with pytest.raises(WrongMode, match="track mode has no strategy"):
        control.set_mode("track", "grid")
    assert control.strategy is None


def test_a_reload_without_a_frame_waits_for_one_and_then_counts(default_bundle: Bundle) -> None:
    switch, hub = SwitchTask(AskTask({1: NEAR})), Hub()
    facts = default_bundle.manifest.decoder
    control = Control(switch, AskTask({1: NEAR}), hub=hub, facts=facts, everything=AskTask)
    assert control.restore(FollowTask(Prompts((NEAR, NEAR)))) is False
    assert control.mode == "prompt"
    switch._next[1].set_result(None)  # type: ignore[index]  # a frame came
    assert (control.mode, list(control.objects)) == ("track", [1, 2])


def test_a_change_that_a_reload_overtakes_is_told_so(control: Control) -> None:
    switch = control._switch
    change = switch.change(AskTask({}))
    switch.change(AskTask({}))
    with pytest.raises(ControlError, match="a reload came first"):
        controls._settled(change)


def test_the_hub_wakes_those_who_wait_for_a_newer_result() -> None:
    hub, told = Hub(), list[int]()
    stop = hub.listen(lambda: told.append(1))
    assert hub.wait_newer(None, 0.01) is None
    first = make_result(frame_id=4)
    hub.put(first)
    assert hub.wait_newer(None, 0) is first
    assert hub.wait_newer(4, 0.01) is None
    stop()
    hub.put(replace(first, frame=replace(first.frame, frame_id=5)))
    assert hub.wait_newer(4, 0) is hub.newest()
    assert told == [1]
