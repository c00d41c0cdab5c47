"""`edgesam-bench` in this process: good use, and every wrong use in one sentence."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesam_rt.bench import report as reports
from edgesam_rt.bench.plan import Request, Size
from edgesam_rt.cli import bench
from tests.bench.reports import MACHINE, report, series
from tests.cli.workplace import Ran

pytestmark = pytest.mark.timeout(180)

Bench = Callable[..., Ran]
SMALL = ("--board", "cpu", "--encoder-side", "384", "--threads", "1", "--quick")
TINY = Size(rounds=1, warm_up=0, pictures=1, calls=1, frames=2, prompts=(2,), idle_s=0.0)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(Request, "size", TINY)

    def call(*args: str | Path) -> Ran:
        capsys.readouterr()
        try:
            code = bench.main([str(a) for a in args])
        except SystemExit as left:  # argparse
            code = int(left.code or 0)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return call


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    def save(name: str, **more: object) -> Path:
        path = tmp_path / f"{name}.json"
        reports.write(report(**more), path)
        return path

    return save


def test_a_quick_run_writes_a_report_and_a_table(run: Bench, tmp_path: Path) -> None:
    out = tmp_path / "new" / "r.json"
    ran = run(*SMALL, "--out", out)
    assert ran.code == 0, ran.err
    assert "frame encode (side 384, 1 thread), ms" in ran.out
    assert "round 1: " in ran.err
    found = reports.read(out)
    assert found.complete
    assert found.settings.quick


def test_json_is_the_report_alone_and_quiet_is_quiet(run: Bench) -> None:
    ran = run(*SMALL, "--json", "--quiet")
    assert ran.code == 0
    assert json.loads(ran.out)["kind"] == "edgesam-bench"
    assert ran.err == ""


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--threads", "0"], "at least 1"),
        (["--threads", "two"], "at least 1"),
        (["--encoder-side", "333"], "333"),
        (["--bundle", "no-such"], "unknown bundle"),
        (["--board", "rpi6"], "Did you mean"),
        (["--backend", "tflite"], "unknown backend"),
        (["--pin", "x"], "cores such as"),
        (["--pin", "3-1"], "may use"),
        (["--pin", "4000"], "may use"),
        (["--data", "/no/such/folder"], "annotations.json"),
        (["--out", "/"], "is a folder"),
        (["--quik"], "unrecognized arguments"),
        (["what"], "unrecognized arguments"),
        (["compare", "one.json"], "required"),
        (["compare", "/no/a.json", "/no/b.json"], "no such file"),
        (["report", "/no/a.json", "--out", "x.html"], "no such file"),
        (["report"], "required"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(
    args: list[str], words: str, run: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run(*args)
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""


def test_equal_reports_compare_as_equal(run: Bench, saved: Callable[..., Path]) -> None:
    ran = run("compare", saved("a"), saved("b"))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith("0 of 1 figures differ beyond their band.\n")


@pytest.mark.parametrize(("p50", "verdict"), [(150.0, "slower"), (70.0, "faster")])
def test_a_difference_in_either_direction_is_exit_code_1(
    p50: float, verdict: str, run: Bench, saved: Callable[..., Path]
) -> None:
    ran = run("compare", saved("a"), saved("b", series=(series(p50),)))
    assert ran.code == 1
    assert verdict in ran.out


def test_a_comparison_as_json(run: Bench, saved: Callable[..., Path]) -> None:
    ran = run("compare", saved("a"), saved("b", series=(series(150.0),)), "--json")
    found = json.loads(ran.out)
    assert [line["verdict"] for line in found["lines"]] == ["slower"]
    assert found["other_machine"] == []


def test_other_machines_are_refused_unless_forced(run: Bench, saved: Callable[..., Path]) -> None:
    other = type(MACHINE)(
        **{f: getattr(MACHINE, f) for f in MACHINE.__struct_fields__} | {"cores": 2}
    )
    a, b = saved("a"), saved("b", machine=other)
    ran = run("compare", a, b)
    assert ran.code == 2
    assert "cores: 4 and 2" in ran.err
    assert "--force" in ran.err
    forced = run("compare", a, b, "--force")
    assert forced.code == 0
    assert "other machine: cores: 4 and 2" in forced.out


def test_the_page_of_two_reports(run: Bench, saved: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "pages" / "r.html"
    ran = run("report", saved("a"), saved("b"), "--out", out)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert out.read_text().startswith("<!DOCTYPE html>")


def test_the_schema_goes_to_stdout(run: Bench) -> None:
    assert json.loads(run("schema").out)["$ref"].endswith("Report")


@pytest.mark.parametrize("command", [[], ["compare"], ["report"], ["schema"]])
def test_help_fits_eighty_columns(
    command: list[str], run: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = run(*command, "--help")
    assert ran.code == 0
    assert not [line for line in ran.out.splitlines() if len(line) > 80]


def test_a_place_where_no_file_can_be_made_is_said_before_anything_is_measured(
    run: Bench,
) -> None:
    ran = run("--out", "/proc/report.json")
    assert ran.code == 1
    assert "cannot write /proc/report.json" in ran.err
    assert "opening the engines" not in ran.err


def test_a_full_disk_leaves_the_older_report_and_the_new_one_goes_to_stdout(
    run: Bench, saved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = saved("r")
    before = out.read_bytes()

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    ran = run(*SMALL, "--quiet", "--out", out)
    assert ran.code == 1
    assert "as it was" in ran.err
    assert json.loads(ran.out)["complete"] is True
    assert out.read_bytes() == before
    assert list(out.parent.iterdir()) == [out]
