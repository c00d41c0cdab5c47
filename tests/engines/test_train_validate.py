"""The protocols of the validation, with answers made by hand."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from edgesam_engines.train import memory
from edgesam_engines.train.config import Validation
from edgesam_engines.train.prompts import deepest
from edgesam_engines.train.sources import Labelled
from edgesam_engines.train.validate import (
    FIGURES,
    Clicks,
    Mask,
    Tally,
    calibration_error,
    iou,
    letterbox,
    measure,
    next_click,
    objects_of,
    summarise,
)

pytestmark = pytest.mark.torch


def rectangle(x0: int, y0: int, x1: int, y1: int) -> Mask:
    mask = np.zeros((60, 80), bool)
    mask[y0:y1, x0:x1] = True
    return mask


class Scripted:
    """Gives prepared masks: per question a list of answers (M masks) and their predicted IoUs."""

    def __init__(self, script: Sequence[tuple[list[Mask], list[float]]]) -> None:
        self._script = list(script)
        self.asked: list[list[Clicks]] = []
        self.with_mask: list[bool] = []

    def ask(
        self, clicks: list[Clicks], earlier: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.asked.append([list(c) for c in clicks])
        self.with_mask.append(earlier is not None)
        masks, scores = self._script.pop(0)
        logits = torch.from_numpy(np.stack(masks)).float() * 6 - 3
        return logits[None], torch.tensor(scores)[None]

    def first_scores(self, clicks: list[Clicks]) -> torch.Tensor:
        return torch.tensor([[0.1, 0.2, 0.9, 0.3]] * len(clicks))

    def facts(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.mean((-2, -1)).unsqueeze(-1)

    def full(self, logits: torch.Tensor) -> np.ndarray:
        return (logits > 0).numpy()


def test_the_protocols_ask_choose_and_correct() -> None:
    true = rectangle(10, 10, 40, 30)
    half, nothing = rectangle(10, 10, 25, 30), rectangle(0, 0, 0, 0)
    asker = Scripted(
        [
            ([true] * 4, [0.9] * 4),
            ([true, half, true, nothing], [1.0, 0.7, 0.2, 0.1]),  # token 0 is not chosen
            ([half] * 4, [0.5] * 4),
            ([true] * 4, [0.5] * 4),
        ]
    )
    tally = Tally()
    measure(asker, [true], tally)
    got = {k: v[0] for k, v in tally.rows.items()}
    assert got == {
        "box": 1,
        "point": 0.5,
        "point_scored": 1,
        "point_stable": 0.5,
        "point_best": 1,
        "clicks3": 1,
        "iou_error": pytest.approx(0.2),
    }
    assert tally.answers[0].reached.tolist() == [0.5, 1, 0]
    assert tally.answers[0].judged.tolist() == pytest.approx([0.7, 0.2, 0.1])
    box, point, second, third = (a[0] for a in asker.asked)
    assert box == [(10 / 80, 10 / 60, 2), (40 / 80, 30 / 60, 3)]
    assert point == [(*deepest(true)[:2], 1)]
    missing = true & ~half
    for clicks, n in ((second, 2), (third, 3)):
        assert len(clicks) == n
        x, y, label = clicks[-1]
        assert label == 1
        assert missing[int(y * 60), int(x * 80)]
    assert asker.with_mask == [False, False, True, True]


def test_a_correction_marks_the_deeper_error() -> None:
    true = rectangle(10, 10, 40, 12)  # thin, all missing
    made = rectangle(50, 20, 70, 40)  # deep, too much
    x, y, label = next_click(made, true)
    assert label == 0
    assert made[int(y * 60), int(x * 80)]
    assert next_click(true, true) == (*deepest(true)[:2], 1)


def test_the_photo_keeps_its_shape_and_lies_upper_left() -> None:
    image = np.full((50, 100, 3), 9, np.uint8)
    square, w, h = letterbox(image, 64)
    assert (square.shape, w, h) == ((64, 64, 3), 64, 32)
    assert (square[:32] == 9).all()
    assert (square[32:] == 127).all()


def test_objects_are_spread_evenly_and_tiny_ones_left_out() -> None:
    ids = np.zeros((40, 40), np.uint16)
    for i in range(10):
        ids[4 * i : 4 * i + 3, :20] = i + 1
    ids[39, 39] = 99
    photo = Labelled(np.zeros((40, 40, 3), np.uint8), ids)
    rules = Validation(every_steps=1, side=64, max_photos=1, max_objects=4, min_object=30)
    masks = objects_of(photo, rules)
    assert [int(ids[m][0]) for m in masks] == [1, 4, 7, 10]


def test_iou_of_empty_masks_is_zero() -> None:
    assert iou(rectangle(0, 0, 0, 0), rectangle(0, 0, 0, 0)) == 0
    assert iou(rectangle(0, 0, 10, 10), rectangle(0, 0, 10, 20)) == 0.5


def test_the_calibration_error_is_the_gap_within_bins() -> None:
    predicted = np.array([0.12, 0.18, 0.95, 0.95])
    assert calibration_error(predicted, np.array([0.2, 0.1, 0.95, 0.95])) == pytest.approx(0)
    assert calibration_error(predicted, predicted - 0.1) == pytest.approx(0.1)


def test_the_summary_has_sizes_and_groups() -> None:
    tally = Tally({k: [0.2, 0.6] for k in FIGURES}, [100.0, 20000.0], [0.2, 0.6], ["coco_x", "b"])
    out = summarise(tally)
    assert out["box"] == pytest.approx(0.4)
    assert out["small"] == {"objects": 1, **dict.fromkeys(FIGURES, 0.2)}
    assert out["other"] == {"objects": 1, **dict.fromkeys(FIGURES, 0.6)}
    assert "medium" not in out


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_the_c_library_takes_the_memory_settings() -> None:
    assert memory.keep_memory()


def test_without_glibc_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not memory.keep_memory()
