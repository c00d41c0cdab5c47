from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from edgesam_rt.backends.tensorrt.profiles import BUCKETS, profiles_of
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import BundleError
from edgesam_rt.segmenter import MASK_CHUNK, SCORE_CHUNK


def test_an_encoder_has_fixed_axes_and_no_profile(tensorrt_bundle: Bundle) -> None:
    entry = tensorrt_bundle.engine("encoder", "tensorrt", 512)
    assert profiles_of(tensorrt_bundle, entry, "tensorrt") == []


def test_a_scorer_takes_one_cell_to_a_whole_square_and_one_prompt_to_a_grids(
    tensorrt_bundle: Bundle,
) -> None:
    entry = tensorrt_bundle.engine("scorer", "tensorrt", 512)
    few, many = profiles_of(tensorrt_bundle, entry, "tensorrt")
    assert few["keys_0"] == ((4, 32, 1), (4, 32, 256), (4, 32, 256))
    assert few["grid8"] == ((4, 4, 128), (64, 64, 128), (64, 64, 128))
    assert few["point_coords"] == ((1, 1, 2), (1, 2, 2), (16, 5, 2))
    assert many["point_coords"] == ((17, 1, 2), (256, 2, 2), (256, 5, 2))


def test_one_row_of_earlier_masks_may_serve_all_prompts(tensorrt_bundle: Bundle) -> None:
    entry = tensorrt_bundle.engine("scorer", "tensorrt", 512)
    _, many = profiles_of(tensorrt_bundle, entry, "tensorrt")
    assert many["mask_input"] == ((1, 1, 8, 8), (1, 1, 128, 128), (256, 1, 128, 128))


def test_an_axis_without_a_layout_is_known_by_its_name(tensorrt_bundle: Bundle) -> None:
    entry = tensorrt_bundle.engine("mask_head", "tensorrt", 512)
    few, _ = profiles_of(tensorrt_bundle, entry, "tensorrt")
    (spec,) = (s for s in entry.inputs if s.name == "mask_tokens")
    assert spec.layout == ""
    assert [shape[0] for shape in few["mask_tokens"]] == [1, 1, 4]


def test_an_axis_that_nothing_explains_is_named(tensorrt_bundle: Bundle) -> None:
    entry = tensorrt_bundle.engine("scorer", "tensorrt", 512)
    blind = [msgspec.structs.replace(spec, layout="") for spec in entry.inputs]
    with pytest.raises(BundleError, match="no layout says what axis 'cells32' stands for"):
        profiles_of(
            tensorrt_bundle, msgspec.structs.replace(entry, inputs=tuple(blind)), "tensorrt"
        )


def test_buckets_follow_each_other_and_take_what_the_segmenter_asks_for() -> None:
    for buckets in BUCKETS.values():
        for (_, _, most), (least, _, _) in pairwise(buckets):
            assert least == most + 1
    assert BUCKETS["scorer"][-1][-1] >= SCORE_CHUNK
    assert BUCKETS["mask_head"][-1][-1] >= MASK_CHUNK
