from __future__ import annotations

import numpy as np
import pytest

from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import BundleError
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.manifest import TensorSpec
from edgesam_rt.records import Embedding
from edgesam_rt.tracking.cells import CellReader
from edgesam_rt.types import AnyArray

SIDE = 64
FIT = Fit.longest_side((48, 64), SIDE)


def spec(name: str, layout: str, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(name=name, shape=shape, dtype="float32", layout=layout)


def embedding(tensors: dict[str, AnyArray], fit: Fit = FIT) -> Embedding:
    return Embedding(tensors, fit, "tiny 1.0", "fake")


def picture_map(rows: int, columns: int, channels: int, seed: int = 0) -> AnyArray:
    """(rows, columns, channels) vectors, all different."""
    return np.random.default_rng(seed).normal(size=(rows, columns, channels)).astype(np.float32)


def unit(vectors: AnyArray) -> AnyArray:
    flat = vectors.reshape(-1, vectors.shape[-1])
    return np.asarray(flat / np.linalg.norm(flat, axis=1, keepdims=True))


def test_the_shipped_bundle_is_known_by_its_two_grids(
    default_bundle: Bundle, car_embedding: Embedding
) -> None:
    reader = CellReader.of(default_bundle, "onnxruntime", car_embedding.encoder_side)
    cells = reader.read(car_embedding)
    channels = sum(car_embedding.tensors[name].shape[-1] for name in ("grid8", "grid16"))
    assert cells.stride == 8
    assert cells.hw == tuple(-(-n // 8) for n in car_embedding.fit.scaled_hw)
    assert cells.features.shape == (cells.hw[0] * cells.hw[1], channels + 1)
    assert (cells.features[:, -1] == 1).all()


def test_a_sam_encoder_is_known_by_its_image_embeddings_without_the_padding() -> None:
    whole = picture_map(4, 4, 300)
    outputs = [spec("image_embeddings", "nchw", (1, 300, 4, 4))]
    cells = CellReader(outputs, SIDE, cut_multiple=0).read(
        embedding({"image_embeddings": whole.transpose(2, 0, 1)[None]})
    )
    assert (cells.hw, cells.stride) == ((3, 4), 16)
    assert np.allclose(cells.features[:, :-1], unit(whole[:3]), atol=1e-6)


@pytest.mark.parametrize("layout", ["y16_x16_c", "n_c_y16_x16", "yx16_c", "c_yx16", "nhwc"])
def test_layouts_are_only_orders(layout: str) -> None:
    whole = picture_map(4, 4, 5)
    tensor = {
        "y16_x16_c": whole,
        "n_c_y16_x16": whole.transpose(2, 0, 1)[None],
        "yx16_c": whole.reshape(16, 5),
        "c_yx16": whole.reshape(16, 5).T,
        "nhwc": whole[None],
    }[layout]
    cells = CellReader([spec("t", layout, tensor.shape)], SIDE, 0).read(embedding({"t": tensor}))
    assert np.allclose(cells.features[:, :-1], unit(whole[:3]), atol=1e-6)


def test_a_map_cut_to_the_picture_gives_the_same_as_the_whole_square() -> None:
    whole = picture_map(4, 4, 5)
    reader = CellReader([spec("t", "yx16_c", (16, 5))], SIDE, cut_multiple=16)
    cut, square = (
        reader.read(embedding({"t": part.reshape(-1, 5)})).features for part in (whole[:3], whole)
    )
    assert np.array_equal(cut, square)


def test_a_coarser_map_is_grown_to_the_cells_of_the_finer() -> None:
    fine, coarse = picture_map(8, 8, 2), np.ones((4, 4, 300), np.float32)
    outputs = [spec("b", "y16_x16_c", (4, 4, 300)), spec("a", "y8_x8_c", (8, 8, 2))]
    cells = CellReader(outputs, SIDE, 0).read(embedding({"a": fine, "b": coarse}))
    assert (cells.hw, cells.stride) == ((6, 8), 8)
    assert np.allclose(cells.features[:, :2], unit(fine[:6]), atol=1e-6)
    assert np.allclose(cells.features[:, 2:-1], 300**-0.5)


def test_without_a_map_of_fitting_stride_the_first_is_taken() -> None:
    outputs = [spec("keys", "h_d_yx32", (4, 8, 4)), spec("pixels", "c_y4_x4", (3, 16, 16))]
    values = picture_map(16, 16, 3).transpose(2, 0, 1)
    cells = CellReader(outputs, SIDE, 0).read(embedding({"pixels": values}))
    assert (cells.hw, cells.stride) == ((12, 16), 4)


def test_an_encoder_without_any_map_is_refused_with_its_layouts() -> None:
    with pytest.raises(BundleError, match=r"keys 'h_d_yx32'"):
        CellReader([spec("keys", "h_d_yx32", (4, 8, 4))], SIDE, 0)


def test_pixels_and_cells_are_two_ways_to_say_the_same() -> None:
    fit = Fit.longest_side((481, 641), SIDE)
    whole = picture_map(8, 8, 2)
    reader = CellReader([spec("t", "y8_x8_c", (8, 8, 2))], SIDE, 0)
    cells = reader.read(embedding({"t": whole}, fit))
    px = np.array([[0, 0], [641, 481], [100.5, 20.25]], np.float32)
    assert np.allclose(cells.to_px(cells.from_px(px)), px, atol=1e-3)
    assert np.allclose(cells.from_px(px[1]), np.array([8, 6]), atol=0.01)


@pytest.mark.parametrize("mask_hw", [(16, 16), (12, 16)])
def test_a_share_is_how_much_of_a_cell_is_covered(mask_hw: tuple[int, int]) -> None:
    whole = picture_map(8, 8, 2)
    cells = CellReader([spec("t", "y8_x8_c", (8, 8, 2))], SIDE, 0).read(embedding({"t": whole}))
    logits = np.full((1, *mask_hw), -20, np.float32)
    logits[0, :3, :2] = 20  # one cell and a half, in cells of two by two
    shares = cells.shares(logits, 0.0)
    assert shares.shape == (1, 6, 8)
    assert np.allclose(shares[0, :2, 0], [1, 0.5], atol=1e-5)
    assert shares[0].sum() == pytest.approx(1.5, abs=1e-4)
    assert cells.shares(logits, 30.0).max() < 1e-4, "the threshold counts"


def test_no_masks_have_no_shares(car_embedding: Embedding, default_bundle: Bundle) -> None:
    cells = CellReader.of(default_bundle, "onnxruntime", 512).read(car_embedding)
    assert cells.shares(np.zeros((0, 10, 10), np.float32), 0.0).shape == (0, *cells.hw)
