"""`edgesam-run` on good input: photos, prompts, folders, clips; what goes to which stream."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgesam_rt.imaging import rle
from tests.cli.conftest import Cli
from tests.cli.workplace import SMALL, is_disc
from tests.unit.sinks.readers import frames_in, picture_in

ON_DISC = "80,60"


def test_a_point_on_a_photo_gives_one_line_with_its_object(cli: Cli, workplace: Path) -> None:
    ran = cli(workplace / "good.png", "--point", ON_DISC, *SMALL)
    assert ran.code == 0
    (row,) = ran.rows
    assert row["name"] == "good"
    assert row["image_hw"] == [150, 200]
    assert is_disc(row)
    mask = rle.from_runs(rle.decompress(row["objects"][0]["rle"]["counts"]), (150, 200))
    assert mask[60, 80]
    assert not mask[140, 190]


def test_the_table_goes_to_stderr(cli: Cli, workplace: Path) -> None:
    err = cli(workplace / "good.png", "--point", ON_DISC, *SMALL).err
    for word in ("1 of 1 frames", "p50", "p95", "p99", "encode", "capture to result", "memory"):
        assert word in err


def test_the_table_fits_a_terminal(cli: Cli, workplace: Path, tmp_path: Path) -> None:
    err = cli(
        workplace / "good.png", "--point", ON_DISC, "--out", f"overlay:{tmp_path}/o.png", *SMALL
    ).err
    assert max(len(line) for line in err.splitlines()) <= 100


def test_a_box_and_points_of_several_objects(cli: Cli, workplace: Path) -> None:
    ran = cli(
        workplace / "good.png",
        *("--box", "40,20,120,100", "--point", "5,5,0"),
        *("--object", "--point", ON_DISC, "--point", "70,50", "--object"),
        *SMALL,
    )
    first, second = ran.rows[0]["objects"]
    assert first["prompt"] == {
        "point_coords": [[5.0, 5.0]],
        "point_labels": [0],
        "box_xyxy": [40.0, 20.0, 120.0, 100.0],
    }
    assert second["prompt"] == {
        "point_coords": [[80.0, 60.0], [70.0, 50.0]],
        "point_labels": [1, 1],
    }
    assert is_disc(ran.rows[0])


def test_prompts_from_a_file(cli: Cli, workplace: Path) -> None:
    ran = cli(workplace / "good.png", "--prompts", workplace / "good.json", *SMALL)
    assert len(ran.rows[0]["objects"]) == 2
    assert is_disc(ran.rows[0])


def test_prompts_of_one_frame_stand_instead_of_those_for_all(cli: Cli, workplace: Path) -> None:
    ran = cli(workplace / "good.png", "--prompts", workplace / "by_frame.json", *SMALL)
    assert ran.rows[0]["objects"][0]["prompt"]["point_coords"] == [[80.0, 60.0]]


def test_without_prompts_it_finds_everything(cli: Cli, workplace: Path) -> None:
    objects = cli(workplace / "good.png", *SMALL).rows[0]["objects"]
    assert objects
    assert [o["predicted_iou"] for o in objects] == sorted(
        (o["predicted_iou"] for o in objects), reverse=True
    )


@pytest.mark.parametrize("strategy", ["grid", "hierarchical", "objects"])
def test_everything_has_a_strategy_thresholds_and_a_sheet(
    cli: Cli, workplace: Path, tmp_path: Path, strategy: str
) -> None:
    ran = cli(
        *(workplace / "good.png", *SMALL, "--mode", "everything", "--strategy", strategy),
        *("--everything", "points_per_side=8", "--everything", "pred_iou_thresh=0.1"),
        *("--out", f"sheet:{tmp_path}/sheet.png", "--out", "jsonl:-"),
    )
    (row,) = ran.rows
    assert row["completeness"] == 1.0
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_a_file_has_thresholds_and_the_command_line_overrides_them(
    cli: Cli, workplace: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[everything]\npoints_per_side = 4\npred_iou_thresh = 0.2\n")
    given = ("--config", config, "--everything", "pred_iou_thresh=0.4", "--check")
    checked = json.loads(cli(workplace / "good.png", *SMALL, *given).out)
    assert checked["everything"] == {"points_per_side": 4, "pred_iou_thresh": 0.4}


def test_a_folder_gives_a_line_and_files_per_picture(
    cli: Cli, workplace: Path, tmp_path: Path
) -> None:
    ran = cli(
        *(workplace / "mixed", "--point", "20,20", *SMALL),
        *("--out", f"overlay:{tmp_path}/over", "--out", f"masks:{tmp_path}/masks"),
        *("--out", "jsonl:-"),
    )
    assert [row["name"] for row in ran.rows] == ["large", "small"]
    assert picture_in(tmp_path / "over" / "small.png").ndim == 3
    assert picture_in(tmp_path / "masks" / "large_1.png").shape == (150, 200)
    assert picture_in(tmp_path / "masks" / "small_1.png").shape == (40, 40)


@pytest.mark.parametrize("suffix", ["mp4", "avi", "webm", "mkv"])
def test_a_clip_gives_a_clip(cli: Cli, workplace: Path, tmp_path: Path, suffix: str) -> None:
    video = tmp_path / f"o.{suffix}"
    ran = cli(workplace / "clip.avi", "--point", "48,32", "--out", f"overlay:{video}", *SMALL)
    assert ran.code == 0, ran.err
    assert ran.out == ""
    assert len(frames_in(video)) == 6


def test_quiet_says_nothing(cli: Cli, workplace: Path) -> None:
    ran = cli(workplace / "good.png", "--point", ON_DISC, "--quiet", "--out", "null:", *SMALL)
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_json_gives_the_summary_alone(cli: Cli, workplace: Path) -> None:
    ran = cli(workplace / "clip.avi", "--point", "48,32", "--json", *SMALL)
    assert ran.err == ""
    (summary,) = ran.rows
    assert (summary["frames"], summary["results"], summary["dropped"]) == (6, 6, {})
    assert summary["stages"]["age"]["n"] == 6
    assert summary["fps"] > 0


def test_max_frames_and_duration(cli: Cli, workplace: Path) -> None:
    ran = cli(workplace / "clip.avi", "--point", "48,32", "--max-frames", "2", *SMALL)
    assert [row["frame_id"] for row in ran.rows] == [0, 1]
    ran = cli("synthetic:?live=1&size=64x48", "--point", "30,20", "--duration", "0.7", *SMALL)
    assert ran.code == 0


def test_check_runs_nothing(cli: Cli, workplace: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "o.jsonl"
    ran = cli(workplace / "good.png", "--point", ON_DISC, "--out", f"jsonl:{out}", "--check")
    assert (ran.code, ran.err) == (0, "")
    assert not out.parent.exists()
    assert json.loads(ran.out)["source"] == str(workplace / "good.png")


def test_check_prints_what_would_run_not_what_was_left_open(cli: Cli, workplace: Path) -> None:
    shown = json.loads(cli(workplace / "good.png", "--point", ON_DISC, "--check").out)
    assert shown["board"] == "cpu"
    assert shown["backend"] == "onnxruntime"
    assert shown["bundle"] == "pocketsam-int8"
    assert shown["mode"] == "prompt"
    assert shown["budget_ms"] == 0
    assert shown["threads"] >= 1
    assert shown["out"] == ["jsonl:-"]


def test_a_file_is_the_base_and_the_command_line_wins(cli: Cli, workplace: Path) -> None:
    ran = cli(
        "--config", workplace / "good.toml", "--mode", "prompt", "--point", ON_DISC, "--check"
    )
    shown = json.loads(ran.out)
    assert shown["mode"] == "prompt"
    assert shown["encoder_side"] == 384
    assert shown["out"] == ["null:"]


def test_what_check_prints_is_a_configuration(cli: Cli, workplace: Path, tmp_path: Path) -> None:
    first = json.loads(cli("--config", workplace / "good.toml", "--check").out)
    lines = [f"{key} = {json.dumps(value)}" for key, value in first.items() if value is not None]
    again = tmp_path / "again.toml"
    again.write_text("\n".join(lines))
    assert json.loads(cli("--config", again, "--check").out) == first


@pytest.mark.parametrize(
    "name",
    ["grey.png", "grey.jpg", "palette.png", "cmyk.jpg", "rgba.png", "deep.png", "deep_grey.png"],
)
def test_pictures_of_every_mode_are_read(cli: Cli, workplace: Path, name: str) -> None:
    ran = cli(workplace / name, "--box", "44,24,116,96", *SMALL)
    assert ran.code == 0
    assert is_disc(ran.rows[0])


def test_prompts_mean_the_upright_picture(cli: Cli, workplace: Path) -> None:
    ran = cli(workplace / "turned.jpg", "--point", ON_DISC, *SMALL)
    assert ran.rows[0]["image_hw"] == [150, 200]
    assert is_disc(ran.rows[0])


def test_one_pixel_is_a_picture(cli: Cli, workplace: Path, tmp_path: Path) -> None:
    spec = ("--out", f"overlay:{tmp_path}/o.png", "--out", f"masks:{tmp_path}", "--out", "jsonl:-")
    for prompt in (("--point", "0.5,0.5"), ("--box", "0,0,1,1"), ()):
        ran = cli(workplace / "dot.png", *prompt, *spec, *SMALL)
        assert ran.code == 0, ran.err
        assert ran.rows[0]["image_hw"] == [1, 1]


def test_a_very_wide_picture(cli: Cli, workplace: Path, tmp_path: Path) -> None:
    spec = ("--out", f"overlay:{tmp_path}/o.png", "--out", f"masks:{tmp_path}", "--out", "jsonl:-")
    ran = cli(workplace / "wide.png", "--point", "80,60", *spec, *SMALL)
    assert ran.code == 0, ran.err
    assert ran.rows[0]["image_hw"] == [200, 12000]
    assert picture_in(tmp_path / "wide_1.png").shape == (200, 12000)
