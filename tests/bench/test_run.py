"""Real engines, few repeats; no assertion on a time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import jsonschema
import pytest

from edgesam_rt.bench import accuracy, cases, fresh, power, run
from edgesam_rt.bench import report as reports
from edgesam_rt.bench.coco import CocoFolder
from edgesam_rt.bench.found import Found
from edgesam_rt.bench.plan import Request, Size
from edgesam_rt.bench.report import Report
from edgesam_rt.cameras.synthetic import SyntheticCamera
from edgesam_rt.engines import resolve
from edgesam_rt.errors import ConfigError, PipelineError
from edgesam_rt.imaging import rle

pytestmark = pytest.mark.timeout(180)

TINY = Size(rounds=2, warm_up=0, pictures=1, calls=1, frames=3, prompts=(3,), idle_s=0.0)
SIDE = 384


def write_photos(folder: Path) -> Path:
    """Two synthetic frames and what is in them, in COCO's form."""
    camera = SyntheticCamera(size_wh=(160, 120))
    notes = []
    for i in range(2):
        cv2.imwrite(str(folder / f"{i}.png"), camera.draw(i * 40)[..., ::-1].copy())
        for truth in camera.truth(i * 40):
            counts = rle.compress(rle.run_lengths(truth.mask))
            notes.append({"image_id": i, "segmentation": {"counts": counts}})
    images = [{"id": i, "file_name": f"{i}.png"} for i in range(2)]
    (folder / "annotations.json").write_text(json.dumps({"images": images, "annotations": notes}))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Report, list[str]]]:
    """A whole run, as small as it can be, with photos and a meter."""
    said: list[str] = []
    meter = power.Meter("a double", watts=lambda: 2.0)
    request = Request(
        board="cpu",
        sides=(SIDE,),
        threads=(1,),
        data=write_photos(tmp_path_factory.mktemp("photos")),
        photos=1,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Request, "size", TINY)
        patch.setattr(power, "find", lambda: (meter, ""))
        measured = run.Run(request)
        measured.measure(lambda name, done, total: said.append(name))
        yield measured.report(), said


def figures(report: Report, case: str) -> dict[str, int]:
    return {s.stage: s.n for s in report.series if s.case == case}


def test_every_part_is_measured(made: tuple[Report, list[str]]) -> None:
    report, _ = made
    parts = {"fit", "encode", "prompt", "score", "mask head", "post", "total"}
    assert figures(report, "frame") == dict.fromkeys(parts, TINY.rounds)
    assert set(figures(report, "prompts")) == {"score", "mask head", "total"}
    assert figures(report, "pipeline") == {"age": 6, "rate": 2}
    assert set(figures(report, "start")) == {*fresh.MARKS, "total"}
    assert set(figures(report, "memory")) == {"first result", "edgesam-run"}
    assert figures(report, "energy") == {"pipeline": 2}


def test_every_figure_has_a_value_per_round_and_none_is_negative(
    made: tuple[Report, list[str]],
) -> None:
    for s in made[0].series:
        assert len(s.rounds) == TINY.rounds
        assert 0 <= s.min <= s.p50 <= s.p95 <= s.p99


def test_the_stages_of_a_picture_add_up(made: tuple[Report, list[str]]) -> None:
    parts = {s.stage: s.rounds[0] for s in made[0].series if s.case == "frame"}
    total = parts.pop("total")
    assert sum(parts.values()) == pytest.approx(total, rel=0.01)


def test_the_report_of_a_real_run_is_valid(made: tuple[Report, list[str]]) -> None:
    schema = json.loads(reports.SCHEMA_FILE.read_text())
    jsonschema.validate(json.loads(reports.encode(made[0])), schema)
    assert made[0].complete
    assert len(made[0].engines.sha256) == 64


def test_sensors_are_read_before_between_and_after(made: tuple[Report, list[str]]) -> None:
    at = [r.at_s for r in made[0].readings]
    assert len(at) == 1 + TINY.rounds + 1  # accuracy has its own end
    assert at == sorted(at)


def test_accuracy_is_in_the_report(made: tuple[Report, list[str]]) -> None:
    found = made[0].accuracy
    assert found is not None
    assert (found.photos, found.objects) == (1, 4)
    assert found.miou[str(SIDE)]["all"]["box"] > 0.5


def test_progress_names_what_is_done(made: tuple[Report, list[str]]) -> None:
    assert made[1][0] == "opening the engines"
    assert any(name.startswith("round 2: pipeline") for name in made[1])


def test_a_run_that_is_left_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Request, "size", TINY)
    measured = run.Run(Request(board="cpu", sides=(SIDE,), threads=(1,)))

    def stop(name: str, done: int, total: int) -> None:
        if name.startswith("round 1: 3 prompts"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured.measure(stop)
    report = measured.report()
    assert not report.complete
    assert "stopped" in report.warnings[0]
    assert {s.case for s in report.series} == {"start", "memory", "frame"}


def test_a_pinned_run_says_so_and_uses_no_more_threads_than_cores() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    try:
        report = run.Run(Request(board="cpu", sides=(SIDE,), pinned=(core,))).report()
        assert os.sched_getaffinity(0) == {core}
    finally:
        os.sched_setaffinity(0, before)
    assert report.settings.pinned == (core,)
    assert report.settings.threads == (1,)


def test_points_are_spread_and_all_of_them_distinct() -> None:
    prompts = cases.points(10)
    assert len({tuple(p.point_coords[0].tolist()) for p in prompts}) == 10


def test_rounds_are_kept_apart() -> None:
    found, key = Found(), cases.Key("frame", "fit", "ms")
    found.add([(key, 1.0), (key, 3.0)])
    found.add([(key, 7.0)])
    (series,) = found.series()
    assert (series.n, series.rounds, series.better) == (3, (2.0, 7.0), "lower")


def test_a_fresh_process_that_fails_is_named_with_its_last_words() -> None:
    request = fresh.Request("/nowhere/at/all", "cpu", "onnxruntime", SIDE, 1)
    with pytest.raises(PipelineError, match="no such folder"):
        fresh.ask(request)


def test_a_fresh_process_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "PATIENCE_S", 0.01)
    with pytest.raises(PipelineError, match="did not end"):
        fresh.ask(fresh.Request("/nowhere/at/all", "cpu", "onnxruntime", SIDE, 1))


def test_photos_without_objects_are_no_base_for_accuracy(tmp_path: Path) -> None:
    folder = write_photos(tmp_path)
    raw = json.loads((folder / "annotations.json").read_text())
    (folder / "annotations.json").write_text(json.dumps({**raw, "annotations": []}))
    engines = resolve(board="cpu", encoder_side=SIDE, threads=1)
    with pytest.raises(ConfigError, match="none of the photos"):
        accuracy.measure({SIDE: engines}, CocoFolder(folder), lambda done: None)
