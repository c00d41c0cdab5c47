"""The tracking benchmark on a clip made here: a disc that moves, and is gone in the end."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import tracking
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.records import Embedding, MaskSet
from tests.result_doubles import make_masks
from tests.tracking_scenes import HW, RED, disc, ground, with_discs

FRAMES, GONE = 8, 2  # frames, and how many of them at the end have no disc


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "clips" / "made_masks"
    folder.mkdir(parents=True)
    fourcc = cv2.VideoWriter.fourcc(*"mp4v")
    video = cv2.VideoWriter(str(tmp_path / "clips" / "made.mp4"), fourcc, 10, HW[::-1])
    for i in range(FRAMES):
        x, is_there = 60 + 15 * i, i < FRAMES - GONE
        pixels = with_discs((x, 120, RED)) if is_there else ground()
        video.write(np.ascontiguousarray(pixels[..., ::-1]))
        mask = (disc(x, 120) & is_there).astype(np.uint8)
        cv2.imwrite(str(folder / f"{i:05}.png"), mask)
    video.release()
    return tmp_path


def test_all_ways_are_judged_and_timed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tracking.json"
    assert tracking.main(["--data", str(data), "--side", "384", "--json", str(out)]) == 0
    figures = json.loads(out.read_text())["figures"]
    (row,) = figures["clips"]
    assert set(row["ways"]) == set(figures["mean_j"]) == set(tracking.WAYS)
    assert row["ways"]["track"]["j"] > 0.85
    assert row["ways"]["track"]["empty"] == pytest.approx(GONE / FRAMES)
    assert row["ways"]["true box"]["j"] > 0.9
    assert [t["wall_ms"]["n"] for t in figures["times"]] == [tracking.REPEATS] * 3
    assert "| mean |" in capsys.readouterr().out


def test_j_counts_an_empty_mask_where_nothing_is_and_leaves_the_first_frame_out() -> None:
    box, hw = (10.0, 10.0, 40.0, 40.0), (64, 64)
    full = make_masks([box], hw)
    empty = MaskSet(full.low_res_logits - 99, full.predicted_iou, full.fit)
    truth = full.masks[0]
    nothing = np.zeros_like(truth)
    embeddings = [Embedding({}, Fit.longest_side(hw, 256), "tiny", "fake")] * 5
    clip = tracking.Clip("made", embeddings, [truth, truth, truth, nothing, nothing])
    judged = tracking.judge(clip, iter([empty, full, empty, empty, full]))
    assert judged == {"j": 0.5, "empty": 0.6}


def test_without_clips_the_command_says_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tracking.main(["--data", str(tmp_path)]) == 2
    assert "NAME_masks" in capsys.readouterr().err
