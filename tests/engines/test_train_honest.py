"""Scores that are made to mean what they say."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from edgesam_engines.families.pocketsam import PocketSAM, Prompts
from edgesam_engines.train.honest import (
    Change,
    applied,
    change_heads,
    figures,
    fit,
    second_look,
    weights_of,
)
from edgesam_engines.train.validate import PointAnswers, Tally

pytestmark = pytest.mark.torch


def too_sure(count: int = 400) -> list[PointAnswers]:
    """Scores far above what is reached, and a fact that tells which answer is good."""
    rng = np.random.default_rng(0)
    out = []
    for _ in range(count):
        reached = rng.uniform(0.05, 0.95, 3)
        said = rng.uniform(0.6, 0.95, 3)
        facts = np.stack([rng.normal(size=3), reached + rng.normal(size=3) * 0.1, np.zeros(3)], 1)
        out.append(PointAnswers(said, said, facts, reached))
    return out


def test_scores_that_are_too_sure_become_honest_and_choose_better() -> None:
    answers = too_sure()
    change = fit(answers, np.ones(len(answers)))
    before, after = figures(answers), figures([applied(a, change) for a in answers])
    assert before["calibration_error"] > 0.25
    assert after["calibration_error"] < 0.08
    assert after["point"] > before["point"] + 0.1
    assert change.facts[1] > 1
    assert abs(change.facts[0]) < 0.3


def test_a_wider_second_look_makes_more_masks() -> None:
    rows = second_look(too_sure(50))
    made = [row["masks"] for row in rows.values()]
    assert made == sorted(made)
    assert made[0] == 1
    assert made[-1] == 3


def test_a_model_with_changed_heads_predicts_what_was_fitted() -> None:
    torch.manual_seed(1)
    model = PocketSAM().eval()
    for layer in (model.judge.out, model.judge.direct):
        torch.nn.init.normal_(layer.weight)
    prompts = Prompts(
        torch.rand(1, 3, 2, 2), torch.ones(1, 3, 2), torch.zeros(1, 1, 16, 16), torch.zeros(1, 3, 1)
    )
    change = Change(0.5, -0.25, 0.75, (0.1, 2.0, -1.0))

    def ask() -> list[PointAnswers]:
        with torch.no_grad():
            embedding = model.encoder(torch.randn(1, 3, 64, 64, generator=seeded()))
            first = model.scorer(embedding, prompts)[0][0].sigmoid().double().numpy()
            logits, judged = model.decode(embedding, prompts)
            facts = model.judge.describe(logits[0])[1].double().numpy()
        said = judged[0].sigmoid().double().numpy()
        return [PointAnswers(first[i], said[i], facts[i], said[i]) for i in range(3)]

    def seeded() -> torch.Generator:
        return torch.Generator().manual_seed(3)

    expected = [applied(a, change) for a in ask()]
    change_heads(model, change)
    for got, wanted in zip(ask(), expected, strict=True):
        np.testing.assert_allclose(got.first, wanted.first, atol=1e-4)
        np.testing.assert_allclose(got.judged, wanted.judged, atol=1e-4)


def test_objects_on_photos_like_those_people_take_count_more() -> None:
    tally = Tally(source=["bottles", "coco_train_tiny"])
    assert weights_of(tally).tolist() == [1, 3]
