"""A bundle that finds instances behind the program's interfaces: command line, stream, service."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import edgesam_rt as es
from edgesam_rt.bundle import Bundle
from edgesam_rt.cli.run import main
from edgesam_rt.decoders import asking
from edgesam_rt.engines import resolve
from edgesam_rt.errors import ConfigError
from edgesam_rt.instances.decoder import InstanceDecoder
from edgesam_rt.pipeline.instances_task import InstancesTask
from edgesam_rt.pipeline.task import Prompts, PromptTask, make_task
from edgesam_rt.types import U8
from tests.instances.colour_net import shape_mask
from tests.instances.workplace import FACTS
from tests.server.asking import served

Row = dict[str, Any]
Run = Callable[..., tuple[int, list[Row], str]]


@pytest.fixture
def photo(shapes: U8, tmp_path: Path) -> Path:
    path = tmp_path / "shapes.png"
    cv2.imwrite(str(path), shapes[..., ::-1])
    return path


@pytest.fixture
def run(colours: Bundle, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `edgesam-run` with the bundle: exit code, result lines, messages."""

    def run(*arguments: object) -> tuple[int, list[Row], str]:
        given = [*map(str, arguments), "--bundle", str(colours.folder), "--board", "cpu"]
        code = main([*given, "--threads", "1"])
        said = capsys.readouterr()
        return code, [json.loads(line) for line in said.out.splitlines()], said.err

    return run


def test_everything_mode_gives_all_shapes(run: Run, photo: Path, tmp_path: Path) -> None:
    sheet, picture = tmp_path / "sheet.png", tmp_path / "all.png"
    outs = ("--out", f"sheet:{sheet}", "--out", f"overlay:{picture}", "--out", "jsonl:-")
    code, (row,), err = run(photo, "--mode", "everything", *outs)
    assert code == 0, err
    assert len(row["objects"]) == 6  # five shapes, and red and white together
    assert row["completeness"] == 1.0
    assert (sheet.stat().st_size > 1000, picture.stat().st_size > 1000) == (True, True)


def test_a_point_and_a_box_give_their_shapes(run: Run, photo: Path, shapes: U8) -> None:
    asked = ("--point", "310,70", "--object", "--box", "220,170,400,280")
    code, (row,), _ = run(photo, *asked)
    assert code == 0
    for made, name in zip(row["objects"], ("green", "blue"), strict=True):
        y, x = np.nonzero(shape_mask(shapes, name))
        wanted = [x.min(), y.min(), x.max() + 1, y.max() + 1]
        assert np.abs(np.array(made["box_xyxy"]) - wanted).max() <= 3


def test_thresholds_are_taken_from_the_command_line(run: Run, photo: Path) -> None:
    code, (row,), _ = run(photo, "--mode", "everything", "--everything", "max_boxes=3")
    assert (code, len(row["objects"])) == (0, 3)
    code, _, err = run(photo, "--mode", "everything", "--everything", "points_per_side=8")
    assert code == 2
    assert "unknown key 'points_per_side'" in err
    assert "score_thresh" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mode", "track", "--point", "310,70"), "track mode asks a decoder again and again"),
        (("--mode", "everything", "--strategy", "objects"), "Leave the strategy out"),
    ],
)
@pytest.mark.parametrize("check", [(), ("--check",)])
def test_what_needs_a_decoder_is_refused_before_anything_runs(
    run: Run, photo: Path, arguments: tuple[str, ...], check: tuple[str, ...], message: str
) -> None:
    code, rows, err = run(photo, *arguments, *check)
    assert (code, rows) == (2, [])
    assert message in err
    assert "Traceback" not in err


def test_a_stream_with_a_budget_gives_every_frame_its_masks(colours: Bundle) -> None:
    with es.open(colours.folder, board="cpu", threads=1) as seg:
        source = "synthetic:?frames=6&size=160x120"
        every = list(seg.stream(source, mode="everything", budget_ms=5000))
        asked = list(seg.stream(source, prompts=es.Prompt.point(80, 60)))
    assert [r.frame.frame_id for r in every] == list(range(6))
    assert all(r.masks.completeness == 1.0 for r in every)
    assert [len(r.masks) for r in asked] == [1] * 6


def test_a_stream_refuses_to_track(seg: es.Segmenter) -> None:
    with pytest.raises(ConfigError, match="track mode asks a decoder"):
        seg.stream("synthetic:?frames=2", mode="track", prompts=es.Prompt.point(80, 60))


def test_the_ladder_has_no_steps_that_would_change_nothing(colours: Bundle) -> None:
    engines = resolve(board="cpu", bundle_name=colours.folder, threads=1)
    assert {step.encoder_side for step in engines.steps} == {256}
    assert {step.points_per_side for step in engines.steps} == {0}


def test_thresholds_of_another_bundle_are_no_bug(decoder: InstanceDecoder) -> None:
    with pytest.raises(ConfigError, match="asks a decoder"):
        asking(decoder, "strategy 'grid'")
    task = make_task("everything", Prompts(), "grid", FACTS)
    assert isinstance(task, InstancesTask)


def test_a_running_service_changes_to_everything_and_refuses_to_track(colours: Bundle) -> None:
    engines = resolve(board="cpu", bundle_name=colours.folder, threads=1)
    with served(engines, task=PromptTask(Prompts())) as site:
        control = site.running.control
        with pytest.raises(ConfigError, match="track mode asks a decoder"):
            control.set_mode("track")
        assert control.mode == "prompt"
        assert control.add(es.Prompt.point(30, 30)) in control.objects
        with pytest.raises(ConfigError, match="strategy 'objects' asks a decoder"):
            control.set_mode("everything", "objects")
        control.set_mode("everything")
        assert site.get("/api/v1/mode").json == {"mode": "everything", "strategy": None}
