from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgesam_rt.drawing import overlay
from edgesam_rt.drawing.marks import Tag
from edgesam_rt.records import Result, TrackState, TrackStatus
from tests.result_doubles import make_masks, make_result

BOX = (100.0, 20.0, 140.0, 60.0)


def followed(second: TrackState) -> Result:
    """Two objects; how it stands with the second, whose mask is empty if it is lost."""
    result = make_result(prompts=())
    masks = make_masks([(20, 30, 90, 100), BOX], (120, 160))
    if second == "lost":
        masks.low_res_logits[1] = -6
    tracks = tuple(
        TrackStatus(track_id, state, 0.0, BOX) for track_id, state in ((4, "tracked"), (9, second))
    )
    return replace(result, masks=replace(masks, tracks=tracks), object_ids=(4, 9))


def tags_of(result: Result, monkeypatch: pytest.MonkeyPatch) -> list[Tag]:
    drawn: list[Tag] = []
    monkeypatch.setattr(overlay.marks, "draw_tags", lambda _, tags, *a, **k: drawn.extend(tags))
    overlay.draw(result)
    return drawn


def test_a_lost_object_is_named_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {tag.object_id: tag for tag in tags_of(followed("lost"), monkeypatch)}
    assert tags[9].text == "9  lost"
    assert tags[9].box == BOX
    assert "lost" not in tags[4].text


def test_one_that_is_back_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {tag.object_id: tag.text for tag in tags_of(followed("re-acquired"), monkeypatch)}
    assert "re-acquired" in tags[9]
    assert "re-acquired" not in tags[4]


def test_an_object_never_seen_is_named_in_the_corner(monkeypatch: pytest.MonkeyPatch) -> None:
    result = followed("lost")
    never = (result.tracks[0], replace(result.tracks[1], last_box_xyxy=None))
    result = replace(result, masks=replace(result.masks, tracks=never))
    assert [t.box for t in tags_of(result, monkeypatch)][-1] == (0, 0, 0, 0)
    assert overlay.draw(result).dtype == np.uint8


def test_the_picture_of_a_lost_object_is_not_tinted() -> None:
    lost, seen = (overlay.draw(followed(state)) for state in ("lost", "tracked"))
    at = np.s_[50:58, 128:136]
    assert np.array_equal(lost[at], followed("lost").frame.pixels[at])
    assert not np.array_equal(seen[at], lost[at])
