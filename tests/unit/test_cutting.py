from __future__ import annotations

import numpy as np
import pytest

from edgesam_rt.cutting import cut_for
from edgesam_rt.errors import BundleError
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.manifest import TensorSpec
from edgesam_rt.types import AnyArray

SIDE = 128


def spec(layout: str) -> TensorSpec:
    return TensorSpec(name="t", shape=(), dtype="float32", layout=layout)


def cells(stride: int) -> AnyArray:
    """(side, side) cells that know where they are: 100 * row + column."""
    n = SIDE // stride
    rows, columns = np.mgrid[:n, :n]
    return (100 * rows + columns).astype(np.float32)


def cut(layout: str, tensor: AnyArray, image_hw: tuple[int, int], multiple: int = 32) -> AnyArray:
    made = cut_for([spec(layout)], multiple)({"t": tensor}, Fit.longest_side(image_hw, SIDE))
    return made["t"]


@pytest.mark.parametrize("image_hw", [(60, 128), (128, 60), (1, 128), (97, 128), (128, 128)])
def test_what_is_left_are_the_cells_of_the_picture(image_hw: tuple[int, int]) -> None:
    h, w = (-(-n // 32) * 32 for n in image_hw)
    whole = cells(8)
    expected = whole[: h // 8, : w // 8]
    np.testing.assert_array_equal(cut("y8_x8", whole, image_hw), expected)
    np.testing.assert_array_equal(cut("yx8", whole.ravel(), image_hw), expected.ravel())
    deep = np.stack([whole, -whole])
    np.testing.assert_array_equal(cut("c_y8_x8", deep, image_hw), np.stack([expected, -expected]))
    flat = deep.reshape(2, -1)
    np.testing.assert_array_equal(
        cut("c_yx8", flat, image_hw), np.stack([expected, -expected]).reshape(2, -1)
    )
    np.testing.assert_array_equal(
        cut("yx8_c", flat.T.copy(), image_hw), np.stack([expected, -expected]).reshape(2, -1).T
    )


def test_a_cut_tensor_is_in_one_piece() -> None:
    assert cut("c_y8_x8", np.stack([cells(8)] * 3), (128, 60)).flags.c_contiguous


def test_a_tensor_without_rows_and_columns_stays() -> None:
    values = np.arange(6, dtype=np.float32)
    np.testing.assert_array_equal(cut("c", values, (60, 128)), values)
    np.testing.assert_array_equal(cut("", values, (60, 128)), values)


def test_without_a_multiple_nothing_is_cut() -> None:
    assert cut("y8_x8", cells(8), (60, 128), multiple=0).shape == (16, 16)


def test_a_stride_that_does_not_divide_the_multiple_is_refused() -> None:
    with pytest.raises(BundleError, match="'t' has layout 'y24_x24'"):
        cut_for([spec("y24_x24")], 32)
