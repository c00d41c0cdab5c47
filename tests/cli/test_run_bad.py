"""Bad input: each a clear message and the right exit code, no traceback, nothing half done."""

from __future__ import annotations

import os
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Cli
from tests.cli.workplace import SMALL, rows_in, run_process

PLAIN = ("{d}/good.png", "--point", "80,60")


@dataclass(frozen=True)
class Bad:
    """One command line, its exit code, and words its message must hold."""

    args: tuple[str, ...]
    code: int
    words: tuple[str, ...]
    has_output: bool = False  # results of earlier pictures

    @property
    def name(self) -> str:
        return " ".join(self.args).replace("{d}/", "").replace("/", "|")


def bad(line: str, code: int, *words: str) -> Bad:
    return Bad(tuple(line.split()), code, words)


def also(options: str, code: int, *words: str) -> Bad:
    return Bad((*PLAIN, *options.split()), code, words)


SOURCES = [
    bad("{d}/nofile.jpg", 2, "nofile.jpg", "no such file"),
    bad("{d}/godo.png", 2, "Did you mean", "good.png"),
    bad("{d}/none/a.jpg", 2, "no folder"),
    bad("{d}/empty", 2, "without pictures", "no files"),
    bad("{d}/texts", 2, "without pictures", ".txt"),
    bad("{d}/*.nope", 2, "no file matches"),
    bad("{d}/text.jpg", 1, "text.jpg", "no picture"),
    bad("{d}/empty.jpg", 1, "empty.jpg", "0 bytes"),
    bad("{d}/cut.jpg", 1, "cut.jpg", "cut short"),
    bad("{d}/broken.mp4", 1, "broken.mp4", "cannot be opened as a video"),
    bad("file:{d}/texts/a.txt", 1, "a.txt", "cannot be opened as a video"),
    bad("v4l2:/dev/video77", 3, "/dev/video77"),
    bad("/dev/video77", 3, "/dev/video77"),
    bad("v4l2:{d}/good.png", 3, "not a device"),
    bad("synthetc:?frames=3", 2, "'synthetic'", "v4l2"),
    bad("synthetic:?frmes=3", 2, "'frames'"),
    bad("synthetic:?frames=no", 2, "whole number", "'no'"),
    bad("file:", 2, "needs a path"),
]

NAMES = [
    also("--board rpi", 2, "unknown board 'rpi'", "Did you mean 'rpi", "cpu", "auto"),
    also("--board fridge", 2, "Known:", "rpi4", "rpi5"),
    also("--bundle pocketsam-int4", 2, "Did you mean 'pocketsam-int8'"),
    also("--bundle {d}/nobundle", 2, "nobundle", "no such folder"),
    also("--backend onnxrutime", 2, "Did you mean 'onnxruntime'"),
    also("--mode promt", 2, "everything", "prompt", "id you mean"),
    also("--strategy gird", 2, "grid", "Did you mean"),
    Bad(("{d}/good.png", "--strategy", "gird"), 2, ("Did you mean 'grid'",)),
    also("--everything points_per_sid=4", 2, "Did you mean 'points_per_side'"),
    also("--everything points_per_side", 2, "NAME=VALUE"),
    also("--everything points_per_side=many", 2, "NAME=VALUE", "number"),
    also("--everything points_per_side=2.5", 2, "points_per_side"),
    also("--out jsonnl:-", 2, "Did you mean 'jsonl'", "overlay", "masks", "null"),
    also("--out out.png", 2, "overlay:out.png", "jsonl"),
    also("--out jsonl:", 2, "needs a target"),
    also("--out null:x", 2, "takes no target"),
    also("--out jsonl:-?rl=0", 2, "Did you mean 'rle'"),
    also("--out jsonl:-?rle=x", 2, "1 or 0"),
    also("--quite", 2, "--quite"),
    also("--encoder-side 500", 2, "500", "512", "384"),
    also("--threads 0", 2, "threads", "1"),
    also("--threads many", 2, "--threads", "many"),
    also("--max-frames 0", 2, "max-frames", "1"),
    also("--budget-ms -1", 2, "budget-ms", "0"),
    also("--budget-ms nan", 2, "budget"),
    also("--duration nan", 2, "duration"),
    also("--duration 0", 2, "duration"),
]

PROMPTS = [
    bad("{d}/good.png --point 999,5", 2, "999,5", "outside", "200x150"),
    bad("{d}/good.png --point=-5,5", 2, "-5,5", "outside"),
    bad("{d}/good.png --point -5,5", 2, "-5,5"),
    bad("{d}/good.png --point nan,5", 2, "finite"),
    bad("{d}/good.png --point inf,5", 2, "finite"),
    bad("{d}/good.png --point 1e40,5", 2, "--point"),
    bad("{d}/good.png --point 80", 2, "X,Y", "80"),
    bad("{d}/good.png --point 80,60,2", 2, "label"),
    bad("{d}/good.png --point 80,60,0", 2, "background points alone"),
    bad("{d}/good.png --box 120,100,40,20", 2, "x0 < x1", "120,100,40,20"),
    bad("{d}/good.png --box 40,20,40,100", 2, "x0 < x1"),
    bad("{d}/good.png --box 40,20,120", 2, "X0,Y0,X1,Y1"),
    bad("{d}/good.png --box 300,20,400,90", 2, "outside", "200x150"),
    bad("{d}/good.png --box 1,2,30,40 --box 5,5,9,9", 2, "one box", "--object"),
    bad("{d}/good.png --strategy objects --detector {d}/nobundle", 2, "nobundle", "no such folder"),
    bad("{d}/good.png --strategy objects --detector pocketsam-int8", 1, "not a detector"),
    bad("{d}/good.png --bundle yolox-nano-int8", 1, "not a segmenter"),
    bad("{d}/good.png --mode prompt", 2, "--point", "--prompts"),
    bad("{d}/good.png --object", 2, "--object"),
    bad("{d}/good.png --mode everything --point 80,60", 2, "everything", "prompt"),
    bad("{d}/good.png --point 8,6 --prompts {d}/good.json", 2, "not both"),
    bad("{d}/good.png --prompts {d}/nope.json", 2, "nope.json", "no such file"),
    bad("{d}/good.png --prompts {d}/texts", 2, "texts"),
    bad("{d}/good.png --prompts {d}/not_json.json", 2, "not_json.json", "not JSON"),
    bad("{d}/good.png --prompts {d}/a_list.json", 2, "a_list.json", "object"),
    bad("{d}/good.png --prompts {d}/nothing.json", 2, "no prompts"),
    bad("{d}/good.png --prompts {d}/no_objects.json", 2, "no prompts"),
    bad("{d}/good.png --prompts {d}/no_prompts_in_frames.json", 2, "no prompts"),
    bad("{d}/good.png --prompts {d}/hollow.json", 2, "objects[1]", "points"),
    bad("{d}/good.png --prompts {d}/misspelt.json", 2, "Did you mean 'objects'"),
    bad("{d}/good.png --prompts {d}/short_point.json", 2, "objects[0]", "[x, y]"),
    bad("{d}/good.png --prompts {d}/half_label.json", 2, "objects[0]", "label"),
    bad("{d}/good.png --prompts {d}/label_7.json", 2, "objects[0]", "labels are"),
    bad("{d}/good.png --prompts {d}/words.json", 2, "words.json", "objects[0].points[0][0]"),
    bad("{d}/good.png --prompts {d}/nan.json", 2, "nan.json", "not JSON"),
    bad("{d}/good.png --prompts {d}/huge.json", 2, "objects[0]"),
    bad("{d}/good.png --prompts {d}/crossed_box.json", 2, "objects[0]", "x0 < x1"),
    bad("{d}/good.png --prompts {d}/negative_only.json", 2, "background points alone"),
    bad("{d}/good.png --prompts {d}/many.json", 2, "9 points", "5"),
    Bad(("{d}/mixed", "--point", "90,90"), 2, ("small", "40x40"), has_output=True),
]

FILES = [
    also("--bundle {d}/bundles/tampered", 1, "scorer.onnx", "altered", "sha256"),
    also("--bundle {d}/bundles/half", 1, "mask_head.onnx", "missing"),
    also("--bundle {d}/bundles/unsigned", 1, "manifest.json"),
    also("--bundle {d}/bundles/shorter", 1, "encoder-384.onnx", "incomplete"),
    also("--bundle {d}/bundles/future", 1, "schema 99"),
    also("--bundle {d}/empty", 1, "manifest.json"),
    bad("--config {d}/nope.toml", 2, "nope.toml", "no such file"),
    bad("--config {d}/unknown_key.toml", 2, "'sorce'", "Did you mean 'source'"),
    bad("--config {d}/wrong_type.toml", 2, "wrong_type.toml", "budget_ms"),
    bad("--config {d}/one_out.toml", 2, "one_out.toml", "out"),
    bad("--config {d}/not_toml.toml", 2, "not TOML"),
    bad("--config {d}/bad_mode.toml", 2, "Did you mean 'prompt'"),
    also("--out jsonl:{d}/empty", 2, "empty", "is a folder"),
    also("--out masks:{d}/good.png", 2, "good.png", "is a file"),
    also("--out overlay:{d}/good.png/x.png", 2, "good.png", "is a file"),
    also("--out overlay:{d}/good.png/x.mp4", 2, "good.png", "is a file"),
    also("--out jsonl:/proc/nope.jsonl", 1, "/proc/nope.jsonl", "cannot write"),
    also("--out jsonl:/dev/full", 1, "No space left"),
    also("--out overlay:{d}/new.gif", 2, ".gif", ".mp4", ".png"),
    also("--out overlay:{d}/new.mov", 2, ".mov", ".mp4"),
]


@pytest.mark.parametrize("case", [*SOURCES, *NAMES, *PROMPTS, *FILES], ids=lambda c: c.name)
def test_bad_input(case: Bad, cli: Cli, workplace: Path) -> None:
    args = [a.replace("{d}", str(workplace)) for a in case.args]
    ran = cli(*args, *(() if "--encoder-side" in args or "--threads" in args else SMALL))
    assert ran.code == case.code, ran.err
    assert case.has_output or ran.out == ""
    assert "Traceback" not in ran.err
    assert "Error" not in ran.err.replace("ERROR", ""), "names of exceptions are for programmers"
    assert [word for word in case.words if word not in ran.err] == [], ran.err
    for line in ran.err.splitlines():
        assert "`$." not in line, "where a value stands is said in the user's own words"
        assert "[Errno" not in line


@pytest.mark.parametrize("option", ["--check", "--json", "--quiet"])
def test_what_cannot_start_prints_nothing_but_its_error(
    option: str, cli: Cli, workplace: Path
) -> None:
    ran = cli(
        workplace / "good.png",
        "--point",
        "80,60",
        "--bundle",
        workplace / "bundles/tampered",
        option,
    )
    assert ran.code == 1
    assert ran.out == ""
    assert ran.err.count("\n") == 1


def test_a_damaged_picture_in_a_folder_is_skipped_with_a_warning(cli: Cli, workplace: Path) -> None:
    ran = cli(workplace / "damaged", "--point", "80,60", *SMALL)
    assert ran.code == 0
    assert [row["name"] for row in ran.rows] == ["a", "c"]
    assert [row["frame_id"] for row in ran.rows] == [0, 2]
    assert "b.jpg" in ran.err
    assert "cut short" in ran.err
    assert "frames lost: 1 truncated" in ran.err
    assert sum(sum(row["dropped"].values()) for row in ran.rows) == 1


def test_a_damaged_picture_in_a_folder_stops_the_run_by_option(cli: Cli, workplace: Path) -> None:
    ran = cli(f"images:{workplace}/damaged?on_error=stop", "--point", "80,60", *SMALL)
    assert ran.code == 1
    assert [row["name"] for row in ran.rows] == ["a"], "what came before is there"
    assert "b.jpg" in ran.err


def test_a_video_that_ends_early_is_said_and_counted(cli: Cli, workplace: Path) -> None:
    ran = cli(workplace / "short.avi", "--point", "48,32", *SMALL)
    assert ran.code == 0
    count = len(ran.rows)
    assert 0 < count < 12
    assert f"ended after {count} of 12 frames" in ran.err
    assert f"frames lost: {12 - count} missing" in ran.err


def test_a_prompt_outside_a_later_picture_leaves_the_earlier_ones_written(
    cli: Cli, workplace: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.jsonl"
    ran = cli(
        *(workplace / "mixed", "--point", "90,90", *SMALL),
        *("--out", f"jsonl:{out}", "--out", f"overlay:{tmp_path}/over"),
    )
    assert ran.code == 2
    assert [row["name"] for row in rows_in(out)] == ["large"]
    assert (tmp_path / "over" / "large.png").exists()


def test_prompts_for_a_frame_that_never_comes_are_warned_about(cli: Cli, workplace: Path) -> None:
    ran = cli(workplace / "good.png", "--prompts", workplace / "nobody.json", *SMALL)
    assert "goood" in ran.err


@pytest.mark.parametrize("name", ["good.png", "clip.avi"])
def test_the_source_is_not_overwritten(
    cli: Cli, workplace: Path, tmp_path: Path, name: str
) -> None:
    mine = tmp_path / name
    shutil.copy(workplace / name, mine)
    before = mine.read_bytes()
    ran = cli(mine, "--point", "48,32", "--out", f"overlay:{mine}", *SMALL)
    assert mine.read_bytes() == before
    assert ran.code == 2


def test_pictures_of_the_source_folder_are_not_overwritten(
    cli: Cli, workplace: Path, tmp_path: Path
) -> None:
    shutil.copy(workplace / "good.png", tmp_path / "mine.png")
    before = (tmp_path / "mine.png").read_bytes()
    ran = cli(tmp_path, "--point", "48,32", "--out", f"overlay:{tmp_path}", *SMALL)
    assert (tmp_path / "mine.png").read_bytes() == before
    assert ran.code == 2


def test_one_file_for_two_sinks_is_refused(cli: Cli, workplace: Path, tmp_path: Path) -> None:
    out = f"jsonl:{tmp_path}/o.jsonl"
    ran = cli(workplace / "clip.avi", "--point", "48,32", "--out", out, "--out", out, *SMALL)
    assert ran.code == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(cli: Cli, workplace: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    for spec in ("jsonl:{}/o.jsonl", "overlay:{}/o.png", "overlay:{}/o.avi", "masks:{}"):
        ran = cli(
            workplace / "good.png", "--point", "80,60", "--out", spec.format(tmp_path), *SMALL
        )
        assert ran.code == 1
        assert "Permission denied" in ran.err


def test_pictures_are_whole_when_the_disk_is_full(workplace: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    (tmp_path / "in").mkdir()
    Image.fromarray(np.full((20, 20, 3), 90, np.uint8)).save(tmp_path / "in" / "a.png")
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "in" / "b.png")
    ran = run_process(
        *(tmp_path / "in", "--point", "10,10", "--out", f"overlay:{tmp_path}/out", *SMALL),
        before="ulimit -f 64",
    )
    assert ran.code == 1, ran.err
    assert "File too large" in ran.err
    assert "Free some space" in ran.err
    assert "Traceback" not in ran.err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.png"]
    Image.open(tmp_path / "out" / "a.png").load()


def test_a_jsonl_file_is_whole_when_the_disk_is_full(tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    ran = run_process(
        *("synthetic:?frames=60&size=64x48", "--point", "30,20", "--out", f"jsonl:{out}", *SMALL),
        before="ulimit -f 4",
    )
    assert ran.code == 1
    assert "File too large" in ran.err
    rows = rows_in(out)
    assert [row["frame_id"] for row in rows] == list(range(len(rows)))
    assert rows
    assert f"The {len(rows)} lines before are intact" in ran.err


def test_a_video_that_is_cut_off_is_said_to_be(tmp_path: Path) -> None:
    out = tmp_path / "o.avi"
    ran = run_process(
        *("synthetic:?frames=40&size=160x120", "--point", "30,20", *SMALL),
        *("--out", f"overlay:{out}", "--out", f"jsonl:{tmp_path}/o.jsonl"),
        before="ulimit -f 60",
    )
    assert ran.code == 1, ran.err
    assert "damaged" in ran.err
    assert len(rows_in(tmp_path / "o.jsonl")) == 40, "the other sink has all"


@pytest.mark.slow
def test_a_picture_of_108_million_pixels(tmp_path: Path) -> None:
    Image.new("RGB", (12_000, 9_000), (90, 120, 60)).save(tmp_path / "huge.jpg")
    ran = run_process(
        *(tmp_path / "huge.jpg", "--point", "6000,4500", "--out", "jsonl:-"),
        *("--out", f"masks:{tmp_path}/m", "--out", f"overlay:{tmp_path}/o.jpg"),
        timeout=300,
    )
    assert ran.code == 0, ran.err
    assert ran.rows[0]["image_hw"] == [9000, 12000]
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    assert peak_mib < 2500
