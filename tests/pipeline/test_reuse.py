"""Which frames are answered from an earlier embedding, and which answers are given again."""

from __future__ import annotations

import numpy as np
import pytest

from edgesam_rt.boards import LadderStep
from edgesam_rt.cameras.synthetic import SyntheticCamera
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.pipeline.recall import Recall
from edgesam_rt.pipeline.reuse import Keeper
from edgesam_rt.records import Embedding, Frame, MaskSet
from tests.result_doubles import make_masks

SIZE_WH = (320, 240)
CAMERA = SyntheticCamera(size_wh=SIZE_WH)
STILL = LadderStep(name="still", encoder_side=384, reuse_ms=500)
EVERY_3RD = LadderStep(name="every 3rd", encoder_side=384, encode_every=3)
FULL = LadderStep(name="full", encoder_side=512)


def frame(at_ms: float, drawn: int = 0) -> Frame:
    return Frame(0, CAMERA.draw(drawn), round(at_ms * 1e6), "f")


def embedding(side: int = 384) -> Embedding:
    return Embedding({}, Fit.longest_side(SIZE_WH[::-1], side), "b", "x")


def keeping(step: LadderStep, *, at_ms: float = 0.0) -> tuple[Keeper, Embedding]:
    keeper, made = Keeper(), embedding()
    assert keeper.find(frame(at_ms), step, "prompt") is None
    keeper.keep(frame(at_ms), made, step)
    return keeper, made


def test_a_still_scene_is_not_encoded_again_until_the_embedding_is_old() -> None:
    keeper, made = keeping(STILL)
    found = keeper.find(frame(400), STILL, "prompt")
    assert found is not None
    assert (found.embedding, found.how, found.age_ms) == (made, "still", 400.0)
    assert keeper.find(frame(501), STILL, "prompt") is None


def test_a_scene_that_changes_is_encoded_at_once() -> None:
    keeper, _ = keeping(STILL)
    assert keeper.find(frame(30, drawn=3), STILL, "prompt") is None


def test_a_step_without_reuse_encodes_every_frame() -> None:
    keeper, _ = keeping(FULL)
    assert keeper.find(frame(30), FULL, "prompt") is None


def test_an_embedding_of_a_smaller_side_does_not_serve_a_better_step() -> None:
    keeper, _ = keeping(STILL)
    better = LadderStep(name="still", encoder_side=512, reuse_ms=500)
    assert keeper.find(frame(30), better, "prompt") is None


def test_an_older_reference_is_forgotten_when_a_step_without_reuse_encodes() -> None:
    """The scene left and came back: the embedding kept is of the frame in between."""
    keeper, _ = keeping(STILL)
    assert keeper.find(frame(30, drawn=60), FULL, "prompt") is None
    keeper.keep(frame(30, drawn=60), embedding(512), FULL)
    assert keeper.find(frame(60), STILL, "prompt") is None


def test_in_track_mode_masks_are_kept_between_the_frames_looked_at() -> None:
    keeper, _ = keeping(EVERY_3RD)
    found = [keeper.find(frame(30 * i, drawn=5 * i), EVERY_3RD, "track") for i in (1, 2, 3)]
    assert [f and (f.how, f.age_ms) for f in found] == [("kept", 30.0), ("kept", 60.0), None]


def test_in_other_modes_they_are_left_out() -> None:
    keeper, _ = keeping(EVERY_3RD)
    between = []
    for i in (1, 2, 3):
        assert keeper.find(frame(30 * i, drawn=5 * i), EVERY_3RD, "prompt") is None
        between.append(keeper.is_between(EVERY_3RD))
    assert between == [True, True, False]


@pytest.mark.parametrize("completeness", [1.0, 0.5])
def test_the_same_question_is_answered_once_if_it_was_answered_whole(completeness: float) -> None:
    asked: list[int] = []
    masks = make_masks([(0, 0, 50, 50)], (240, 320))
    made = MaskSet(masks.low_res_logits, masks.predicted_iou, masks.fit, completeness=completeness)

    def ask() -> MaskSet:
        asked.append(1)
        return made

    recall, one, other = Recall(), embedding(), embedding()
    for about, question in ((one, "a"), (one, "a"), (one, "b"), (other, "b"), (other, "b")):
        assert recall.answer(about, question, ask) is made
    assert len(asked) == (3 if completeness == 1 else 5)
    assert np.array_equal(made.low_res_logits, masks.low_res_logits)
