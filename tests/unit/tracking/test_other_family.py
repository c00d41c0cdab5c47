"""The tracker asks nothing of a family but the contract: maps by layout, prompts, masks, scores."""

from __future__ import annotations

from typing import Any

import pytest

from edgesam_rt.bench.protocols import iou
from edgesam_rt.bundle import Bundle
from edgesam_rt.records import MaskSet, Prompt
from edgesam_rt.segmenter import Decoder
from edgesam_rt.tracking.tracker import Moment, Tracker
from edgesam_rt.types import U8
from tests.tracking_scenes import BLUE, RED, disc, ground, with_discs
from tests.unit.tracking import sam_like


@pytest.fixture
def decoder_double(default_bundle: Bundle) -> Any:
    return sam_like.ColourDecoder(default_bundle.manifest.decoder)


def follow(decoder: Any, pictures: list[U8], prompts: list[Prompt]) -> list[MaskSet]:
    tracker, found = Tracker(), []
    for prompt in prompts:
        tracker.add(prompt)
    for i, pixels in enumerate(pictures):
        embedding = sam_like.encode(pixels)
        cells = sam_like.READER.read(embedding)
        found.append(tracker.update(decoder, embedding, cells, Moment(i, i)))
    return found


def test_it_is_followed_lost_and_found_again(decoder_double: Any) -> None:
    seen = [with_discs((80 + 10 * i, 120, RED)) for i in range(5)]
    prompt = Prompt.box(50, 90, 110, 150)
    found = follow(decoder_double, [*seen, *[ground()] * 4, seen[0]], [prompt])
    states = "".join(masks.tracks[0].state[0] for masks in found)
    assert states == "tttttllllr"
    assert iou(found[4].masks[0], disc(120, 120)) > 0.8


def test_all_objects_of_a_picture_are_one_batch(decoder_double: Any) -> None:
    picture = with_discs((80, 120, RED), (220, 120, BLUE))
    prompts = [Prompt.box(50, 90, 110, 150), Prompt.box(190, 90, 250, 150)]
    follow(decoder_double, [picture] * 3, prompts)
    assert decoder_double.batches == [2, 2, 2]


def test_the_double_has_what_the_tracker_uses_of_a_decoder(
    decoder_double: Any, decoder: Decoder
) -> None:
    assert type(decoder_double.facts) is type(decoder.facts)
    found = decoder_double.predict(sam_like.encode(ground()), [Prompt.box(50, 90, 110, 150)])
    assert isinstance(found, MaskSet)
