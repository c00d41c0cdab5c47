"""What the steps of a ladder do in a run, with the real engine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from msgspec.structs import replace as with_facts

from edgesam_rt.boards import LadderStep
from edgesam_rt.cameras.synthetic import SyntheticCamera
from edgesam_rt.engines import EngineSet
from edgesam_rt.pipeline.pipeline import Summary
from edgesam_rt.pipeline.task import EverythingTask, Prompts, PromptTask, Task, TrackTask
from edgesam_rt.records import Frame, Prompt, Result
from edgesam_rt.types import U8
from tests.pipeline.doubles import POINT, SIZE_WH, HookedEngines, Recorder, hooked, run

BUDGET_MS = 5000.0  # nothing is late, however busy the machine is
FULL = LadderStep(name="full", encoder_side=384)
STILL = LadderStep(name="still", encoder_side=384, reuse_ms=10_000)
EVERY_3RD = LadderStep(name="every 3rd", encoder_side=384, encode_every=3)


class StillCamera(SyntheticCamera):
    """Shows the first frame until `moves_at`, then the one a second later."""

    moves_at = 10**9

    def draw(self, frame_id: int) -> U8:
        return super().draw(30 if frame_id >= self.moves_at else 0)


def camera(frames: int = 8, moves_at: int = 10**9, *, live: bool = False) -> StillCamera:
    made = StillCamera(size_wh=SIZE_WH, frames=frames, live=live, fps=8)
    made.moves_at = moves_at
    return made


def at(engines: EngineSet, step: LadderStep, **hooks: object) -> HookedEngines:
    """The engines on a board whose best step this is."""
    made = hooked(engines, **hooks)
    return replace(made, board=with_facts(engines.board, ladder=(step,)))


def results_of(
    engines: EngineSet, made: StillCamera, task: Task = POINT
) -> tuple[list[Result], Summary]:
    sink = Recorder()
    summary = run(engines, lambda: made, [sink], task, BUDGET_MS).summary()
    return sink.results, summary


def kinds(results: Sequence[Result]) -> str:
    return "".join(result.reuse[0] for result in results)


def test_a_scene_that_stands_still_is_encoded_once(engines: EngineSet) -> None:
    calls: list[int] = []
    results, summary = results_of(at(engines, STILL, before_encode=calls.append), camera(5))
    assert kinds(results) == "n" + "s" * (len(results) - 1)
    assert len(calls) == 2, "a warm-up and one frame"
    assert summary.reused == {"still": len(results) - 1}
    first, *others = results
    assert first.embedding_age_ms == 0
    for result in others:
        assert result.masks is first.masks
        age_ms = (result.frame.captured_at_ns - first.frame.captured_at_ns) / 1e6
        assert result.embedding_age_ms == pytest.approx(age_ms)
        assert result.timings.encode_ms == result.timings.fit_ms == 0
    assert summary.stages["encode"].n == 1


def test_a_scene_that_changes_is_encoded_in_the_same_frame(engines: EngineSet) -> None:
    results, _ = results_of(at(engines, STILL), camera(7, moves_at=4))
    fresh = [r.frame.frame_id for r in results if r.reuse == "none"]
    assert fresh[0] == results[0].frame.frame_id
    assert fresh[1] == min(r.frame.frame_id for r in results if r.frame.frame_id >= 4)
    assert len(fresh) == 2


def test_a_step_without_reuse_encodes_a_still_scene_every_time(engines: EngineSet) -> None:
    results, summary = results_of(at(engines, FULL), camera(4))
    assert set(kinds(results)) == {"n"}
    assert summary.reused == {}


def test_a_new_prompt_about_a_still_scene_is_answered_from_the_same_embedding(
    engines: EngineSet,
) -> None:
    class Changing(PromptTask):
        def prompts_for(self, frame: Frame) -> tuple[Prompt, ...]:
            return (Prompt.point(48, 32) if frame.frame_id < 3 else Prompt.point(10, 10),)

    results, _ = results_of(at(engines, STILL), camera(6), Changing(Prompts()))
    assert kinds(results) == "n" + "s" * (len(results) - 1)
    before, after = results[0], results[-1]
    assert before.masks is not after.masks
    assert before.masks.point_coords.tolist() != after.masks.point_coords.tolist()


def test_in_track_mode_masks_are_kept_and_the_result_says_so(engines: EngineSet) -> None:
    task = TrackTask(Prompts((Prompt.point(48, 32),)))
    results, _ = results_of(at(engines, EVERY_3RD), camera(7), task)
    assert kinds(results) == "nkknkkn"
    assert results[1].masks is results[0].masks
    assert results[1].embedding_age_ms > 0
    assert results[1].object_ids == results[0].object_ids


def test_in_prompt_mode_frames_between_are_left_out_and_counted(engines: EngineSet) -> None:
    results, summary = results_of(at(engines, EVERY_3RD), camera(7, live=True))
    assert set(kinds(results)) == {"n"}
    assert 1 <= summary.results <= 3
    assert summary.dropped["left out"] >= 1
    assert summary.results + sum(summary.dropped.values()) == 7


def test_a_file_loses_nothing_to_the_ladder(engines: EngineSet) -> None:
    sink = Recorder()
    made = at(engines, EVERY_3RD)
    run(made, lambda: SyntheticCamera(size_wh=SIZE_WH, frames=5), [sink], budget_ms=BUDGET_MS)
    assert sink.frame_ids == list(range(5))


def test_fewer_points_per_side_find_fewer_masks_in_less_time(engines: EngineSet) -> None:
    facts = engines.bundle.manifest.everything
    few = LadderStep(name="few", encoder_side=384, points_per_side=2)
    all_found, _ = results_of(at(engines, FULL), camera(2), EverythingTask(facts))
    found, _ = results_of(at(engines, few), camera(2), EverythingTask(facts))
    assert 0 < len(found[0].masks.point_coords) <= 3 * 4
    assert found[0].timings.decode_ms < all_found[0].timings.decode_ms


def test_everything_mode_stops_at_its_share_of_the_budget(engines: EngineSet) -> None:
    facts = engines.bundle.manifest.everything
    early = LadderStep(name="early", encoder_side=384, stop_at=0.001)
    results, _ = results_of(at(engines, early), camera(2), EverythingTask(facts))
    assert all(r.masks.completeness < 0.5 for r in results)


def test_encoders_of_all_steps_are_open_before_the_first_frame(ladder_engines: EngineSet) -> None:
    opened: list[int] = []
    results, _ = results_of(hooked(ladder_engines, before_encode=opened.append), camera(1))
    assert opened[:2] == [512, 384], "each was opened and run once"
    assert len(opened) == 2 + len(results)


def test_without_a_budget_only_the_best_is_opened(ladder_engines: EngineSet) -> None:
    opened: list[int] = []
    made = hooked(ladder_engines, before_encode=opened.append)
    run(made, lambda: SyntheticCamera(size_wh=SIZE_WH, frames=2))
    assert set(opened) == {512}


@pytest.mark.parametrize("shares", [True, False])
def test_on_a_shared_accelerator_encoder_and_decoder_take_turns(
    engines: EngineSet, shares: bool
) -> None:
    """The decoder takes 60 ms; may the next frame be encoded meanwhile?"""
    began: list[float] = []
    ended: list[float] = []

    class Slow(PromptTask):
        def answer(self, *args: object) -> object:
            time.sleep(0.06)
            made = super().answer(*args)  # type: ignore[arg-type]
            ended.append(time.monotonic())
            return made

    made = hooked(engines, before_encode=lambda _: began.append(time.monotonic()))
    board = with_facts(engines.board, shares_accelerator=shares)
    task: Task = Slow(Prompts((Prompt.point(48, 32),)))  # type: ignore[assignment]
    run(replace(made, board=board), lambda: SyntheticCamera(size_wh=SIZE_WH, frames=6), task=task)
    early = [b < e for b, e in zip(began[1:], ended, strict=False)]
    assert any(early) is not shares


def test_results_name_their_step_and_why(engines: EngineSet) -> None:
    """A budget that nothing keeps: every result is late."""
    board = with_facts(engines.board, ladder=(FULL, STILL))
    sink = Recorder()
    made = replace(hooked(engines, before_encode=lambda _: time.sleep(0.05)), board=board)
    source = SyntheticCamera(size_wh=SIZE_WH, frames=6)
    summary = run(made, lambda: source, [sink], budget_ms=20.0).summary()
    told = {(r.ladder_step, r.ladder_name, r.ladder_reason) for r in sink.results}
    assert told == {(0, "full", ""), (1, "still", "late")}
    degraded = sum(r.ladder_step for r in sink.results)
    assert summary.degraded == {"still: late": degraded}
    assert summary.ladder == {0: 6 - degraded, 1: degraded}
