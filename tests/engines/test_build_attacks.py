"""Builds that are killed, crowded, starved of room or given bad input: from the command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="builds need torch")

from edgesam_engines import cli, recipe
from edgesam_engines.workplace import workplace
from edgesam_rt import bundle as bundles
from edgesam_rt import selftest
from tests.bundle_doubles import load_all

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = recipe.RECIPES / recipe.load("pocketsam-int8")[0].checkpoint
CHANGES = {
    "[512, 384]": "[128]",
    "pocketsam-int8": "tiny-int8",
    "photos = 64": "photos = 2",
    "mean_iou = 0.85": "mean_iou = 0.3",
}


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The words of a command that builds a tiny INT8 bundle at `out/tiny`."""
    text = (recipe.RECIPES / "pocketsam-int8.toml").read_text("utf-8").partition("[discovery]")[0]
    for old, new in CHANGES.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "tiny.toml").write_text(text, "utf-8")
    photos = tmp_path / "photos"
    photos.mkdir()
    for i, pixels in enumerate(selftest.pictures()):
        cv2.imwrite(str(photos / f"{i}.png"), pixels[..., ::-1])
    given = {"--checkpoint": CHECKPOINT, "--calibration": photos, "--out": tmp_path / "out/tiny"}
    named = [str(word) for pair in given.items() for word in pair]
    return ["build", str(tmp_path / "tiny.toml"), *named]


def killed_at(step: str, words: list[str], cache: Path) -> None:
    """Run a build in a process of its own and kill it once it says a step."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "engines")))
    with subprocess.Popen(
        [sys.executable, "-m", "edgesam_engines.cli", *words],
        env={**os.environ, "PYTHONPATH": path, "EDGESAM_CACHE": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if step in line:
                time.sleep(0.3)
                process.kill()
                return
    raise AssertionError(f"it never said {step!r}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "kept"),
    [
        ("layer errors: group 1", ["statistics: group 1 of 1, 106 tensors, as kept"]),
        ("verify against the float", ["the exported graph is taken", r"layer errors.*as kept"]),
    ],
)
def test_a_killed_build_leaves_no_bundle_and_the_next_one_goes_on(
    step: str,
    kept: list[str],
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGESAM_CACHE", str(tmp_path / "cache"))
    killed_at(step, words, tmp_path / "cache")
    assert [p.name for p in (tmp_path / "out").iterdir()] == [".tiny.building"]
    assert cli.main(words) == 0
    told = capsys.readouterr().err
    for line in kept:
        assert re.search(line, told), told
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["tiny"]
    load_all(tmp_path / "out/tiny")


@pytest.mark.slow
def test_what_is_kept_changes_no_byte(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setenv("EDGESAM_CACHE", str(tmp_path / "cache"))
    for name in ("first", "again"):
        assert cli.main([*words[:-1], str(tmp_path / name)]) == 0
        made.append(bundles.load(tmp_path / name).manifest)
    assert made[0] == made[1]


# Refused before anything is read


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(words) in (1, 2)
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err
    return told.err


def test_two_builds_of_one_bundle_at_once_are_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with workplace(tmp_path / "out/tiny"):
        assert "another build makes" in refused(words, capsys)


def test_a_bundle_that_is_there_is_left_alone(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out/tiny").mkdir(parents=True)
    (tmp_path / "out/tiny/thesis.txt").write_text("years of work")
    assert "--replace" in refused(words, capsys)
    assert "is not a bundle" in refused([*words, "--replace"], capsys)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["tiny"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    how = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(place)]
    if subprocess.run(how, capture_output=True, check=False).returncode:
        pytest.skip("no permission to mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_disk_without_room_is_said_and_nothing_stays_on_it(
    words: list[str], small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused([*words[:-1], str(small_disk / "tiny")], capsys)
    assert "No space left on device. Nothing was packed. Free some space" in told
    assert list(small_disk.iterdir()) == []


def test_a_temporary_folder_without_room_is_named(
    words: list[str],
    small_disk: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGESAM_CACHE", str(tmp_path / "cache"))  # no graph kept by another test
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    told = refused(words, capsys)
    assert f"cannot write {small_disk}: No space left on device" in told
    assert "TMPDIR" in told


def test_a_disk_that_may_only_be_read_is_said(
    words: list[str], small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    told = refused([*words[:-1], str(small_disk / "tiny")], capsys)
    assert "Choose a place where you may write" in told


@pytest.mark.slow
def test_a_cache_without_room_costs_nothing_but_itself(
    words: list[str],
    small_disk: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (small_disk / "full").write_bytes(bytes(2_900_000))
    monkeypatch.setenv("EDGESAM_CACHE", str(small_disk))
    assert cli.main(words) == 0
    assert "the exported graph is not kept" in capsys.readouterr().err


# Photos


@pytest.mark.slow
def test_broken_photos_and_icons_among_good_ones_are_left_out_by_name(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    good = (photos / "0.png").read_bytes()
    (photos / "00-empty.jpg").write_bytes(b"")
    (photos / "00-half.png").write_bytes(good[: len(good) // 2])
    cv2.imwrite(str(photos / "00-icon.png"), np.zeros((16, 16, 3), np.uint8))
    recipe_file = Path(words[1])
    text = recipe_file.read_text("utf-8")
    recipe_file.write_text(text.replace("photos = 2", "photos = 8"), "utf-8")
    assert cli.main(words) == 0
    told = capsys.readouterr().err
    for name in ("00-empty.jpg", "00-half.png", "00-icon.png: 16 x 16 px"):
        assert told.count(f"left out: {photos / name}") == 1, told
    assert "calibrate on 2 photos" in told


@pytest.mark.parametrize("content", ["nothing", "broken", "a file", "missing"])
def test_a_calibration_folder_without_a_usable_photo_is_said(
    content: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    for path in photos.iterdir():
        path.write_bytes(b"none") if content == "broken" else path.unlink()
    told_by = {
        "nothing": "no pictures",
        "broken": "none of the pictures can be used",
        "a file": "a file, not a folder",
        "missing": "no such folder",
    }
    if content in ("a file", "missing"):
        photos.rmdir()
    if content == "a file":
        photos.write_text("photos")
    assert told_by[content] in refused(words, capsys)
    assert not (tmp_path / "out").exists()


# Names and pairs


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--family", "mobilsam"], "unknown family 'mobilsam'. Did you mean 'mobilesam'?"),
        (["--family", "mobilesam", "--board", "rpi55"], "Did you mean 'rpi5'?"),
        (
            ["--family", "mobilesam", "--precision", "fp16", "--board", "jetson-orin-nano"],
            "Families that take fp16: edgesam, nanosam, repvit-sam",
        ),
        (["--family", "edgesam", "--precision", "fp16"], "no --board is named"),
        (
            ["--family", "edgesam", "--precision", "fp16", "--board", "rpi5"],
            "Raspberry Pi 5 runs onnxruntime, litert",
        ),
        (["--family", "pocketsam", "--precision", "fp16"], "built as fp32 or int8"),
        (["--family", "mobilesam", "--precision", "int8"], "needs --calibration DIR"),
        (["pocketsam-int8", "--precision", "fp32"], "--precision goes with --family"),
    ],
)
def test_names_and_pairs_that_cannot_be_built_are_refused_with_the_way_on(
    more: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["build", *more, "--checkpoint", "none.pt", "--out", str(out)]
    assert told in refused(words, capsys)
    assert not out.exists()


def test_a_board_whose_gpu_has_no_integers_is_refused_an_int8_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "edgesam_rt/boards/data/jetson-orin-nano.toml").read_text("utf-8")
    mine = text.replace('"jetson-orin-nano"', '"my-board"', 1).replace(
        "int8 = true", "int8 = false"
    )
    (tmp_path / "my-board.toml").write_text(mine, "utf-8")
    monkeypatch.setenv("EDGESAM_BOARDS", str(tmp_path))
    words = ["build", "--family", "edgesam", "--board", "my-board", "--precision", "int8"]
    told = refused([*words, "--checkpoint", "none.pt", "--calibration", str(tmp_path)], capsys)
    assert "has no INT8. Use --precision fp16 or fp32" in told
