"""Track mode from camera to sinks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgesam_rt.cli.run import main
from edgesam_rt.engines import EngineSet
from edgesam_rt.errors import ConfigError, PromptError
from edgesam_rt.manifest import EverythingFacts
from edgesam_rt.pipeline.task import Prompts, TrackTask, make_task, mode_of
from edgesam_rt.records import Prompt, Result
from edgesam_rt.sinks.rows import to_row
from edgesam_rt.types import U8
from tests.pipeline.doubles import Recorder, run
from tests.tracking_scenes import BLUE, RED, Slides, ground, with_discs

BOX = Prompt.box(50, 90, 110, 150)  # a disc at 80, 120


def follow(engines: EngineSet, pictures: list[U8 | None], prompts: Prompts) -> list[Result]:
    recorder = Recorder()
    run(engines, lambda: Slides(pictures), [recorder], TrackTask(prompts))
    return recorder.results


def states(results: list[Result]) -> list[str]:
    return ["".join(t.state[0] for t in r.tracks) for r in results]


def test_every_result_says_how_it_stands_with_the_object(engines: EngineSet) -> None:
    seen = [with_discs((x, 120, RED)) for x in (80, 90, 100)]
    results = follow(engines, [*seen, ground(), ground(), seen[-1]], Prompts((BOX,)))
    assert states(results) == ["t", "t", "t", "l", "l", "r"]
    assert {r.object_ids for r in results} == {(1,)}
    rows = [json.loads(json.dumps(to_row(r), allow_nan=False)) for r in results]
    assert all("completeness" not in row for row in rows)
    (lost,), (back,) = rows[3]["objects"], rows[5]["objects"]
    assert (lost["track_id"], lost["state"], lost["area"]) == (1, "lost", 0)
    assert lost["unseen_ms"] > 0
    assert lost["last_box_xyxy"][0] == pytest.approx(70, abs=5)
    assert (back["state"], back["unseen_ms"]) == ("re-acquired", 0)
    assert back["area"] > 2000


def test_lost_frames_do_not_lose_the_object(engines: EngineSet) -> None:
    first, last = with_discs((80, 120, RED)), with_discs((220, 120, RED))
    results = follow(engines, [first, *[None] * 10, last], Prompts((BOX,)))
    assert [r.frame.frame_id for r in results] == [0, 11]
    assert states(results) == ["t", "t"]


def test_objects_may_be_given_at_a_later_frame(engines: EngineSet) -> None:
    picture = with_discs((80, 120, RED), (220, 120, BLUE))
    later = Prompts((BOX,), {"frame-000002": (Prompt.box(190, 90, 250, 150),)})
    results = follow(engines, [picture] * 4, later)
    assert states(results) == ["t", "t", "tt", "tt"]
    assert results[-1].object_ids == (1, 2)


def test_a_point_outside_of_the_first_frame_ends_the_run(engines: EngineSet) -> None:
    with pytest.raises(PromptError, match="frame-000000.*outside"):
        follow(engines, [ground()], Prompts((Prompt.point(900, 900),)))


def test_track_mode_needs_a_prompt() -> None:
    with pytest.raises(ConfigError, match="track mode: no prompt"):
        make_task("track", Prompts(), "grid", EverythingFacts())


@pytest.mark.parametrize("mode", ["prompt", "track"])
def test_a_task_knows_its_mode(mode: str) -> None:
    assert mode_of(make_task(mode, Prompts((BOX,)), "grid", EverythingFacts())) == mode
    assert mode_of(make_task(None, Prompts(), "grid", EverythingFacts())) == "everything"


def test_a_clip_is_tracked_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    words = ["synthetic:?frames=8&size=320x240", "--mode", "track", "--board", "cpu"]
    words += ["--point", "160,120", "--object", "--point", "40,40", "--threads", "1"]
    code = main([*words, "--out", f"overlay:{video}", "--out", f"jsonl:{lines}", "--quiet"])
    assert code == 0, capsys.readouterr().err
    rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 8
    assert [o["track_id"] for o in rows[-1]["objects"]] == [1, 2]
    assert video.stat().st_size > 1000


def test_check_says_which_mode_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["synthetic:", "--mode", "track", "--box", "1,1,9,9", "--board", "cpu", "--check"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["mode"] == "track"
