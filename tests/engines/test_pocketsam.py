"""PocketSAM in torch, and the graphs that are made of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the factory's models need torch")

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgesam_engines.export import simplify, to_onnx
from edgesam_engines.families.lite0 import ConvNorm, fold_norms
from edgesam_engines.families.pocketsam import (
    BACKGROUND,
    BOX_TOP_LEFT,
    FOREGROUND,
    MASKS,
    PAD_LABEL,
    TAIL,
    Embedding,
    PocketSAM,
    Prompts,
    ground_planes,
)
from edgesam_engines.families.pocketsam_decoder import bumps, sample_bilinear
from edgesam_engines.families.pocketsam_family import EMBEDDING, PocketSamFamily
from edgesam_engines.families.pocketsam_graphs import PlainEncoder
from edgesam_engines.families.pocketsam_packed import (
    PACK,
    PackedEncoder,
    add_doubled,
    in_one,
    packed_stem,
)
from edgesam_engines.recipe import RECIPES, load
from edgesam_rt.errors import ConfigError
from tests.engines.graph_doubles import run

pytestmark = pytest.mark.torch

SIDE = 96
CHECKPOINT = RECIPES / load("pocketsam-int8")[0].checkpoint


@pytest.fixture(scope="module", autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def family() -> PocketSamFamily:
    return PocketSamFamily()


@pytest.fixture(scope="module")
def model(family: PocketSamFamily) -> PocketSAM:
    loaded = family.load(CHECKPOINT)
    assert isinstance(loaded, PocketSAM)
    return loaded


@pytest.fixture(scope="module")
def embedding(model: PocketSAM) -> Embedding:
    found: Embedding = model.encoder(picture())
    return found


def picture(side: int = SIDE, seed: int = 0, batch: int = 1) -> Tensor:
    """Soft shapes on noise, normalised, (B, 3, S, S)."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(batch, 3, 6, 6, generator=generator) * 2 - 1
    soft = F.interpolate(rough, (side, side), mode="bicubic")
    return soft + 0.05 * torch.randn(batch, 3, side, side, generator=generator)


def prompts(n: int, points: int, seed: int = 0, *, side: int = SIDE) -> Prompts:
    """Points and boxes at random, no earlier mask."""
    generator = torch.Generator().manual_seed(seed)
    coords = torch.rand(1, n, points, 2, generator=generator)
    labels = torch.randint(0, 2, (1, n, points), generator=generator).float()
    labels[..., 0] = 1
    if points >= 3:
        labels[:, ::2, -2:] = torch.tensor([2.0, 3.0])
        coords[:, ::2, -2] *= 0.4
        coords[:, ::2, -1] = 0.5 + 0.5 * coords[:, ::2, -1]
    cells = side // 4
    return Prompts(coords, labels, torch.zeros(1, 1, cells, cells), torch.zeros(1, n, 1))


def one_of(p: Prompts, i: int) -> Prompts:
    own = p.mask[:, i : i + 1] if p.mask.shape[1] > 1 else p.mask
    at = slice(i, i + 1)
    return Prompts(p.coords[:, at], p.labels[:, at], own, p.has_mask[:, at])


def padded(p: Prompts, more: int) -> Prompts:
    """The same prompts with padding points behind, at places that would matter."""
    b, n, _ = p.labels.shape
    coords = torch.cat([p.coords, torch.full((b, n, more, 2), 0.7)], 2)
    labels = torch.cat([p.labels, torch.full((b, n, more), -1.0)], 2)
    return Prompts(coords, labels, p.mask, p.has_mask)


def assert_close(a: tuple[Tensor, ...], b: tuple[Tensor, ...], atol: float = 1e-4) -> None:
    for left, right in zip(a, b, strict=True):
        torch.testing.assert_close(left, right, atol=atol, rtol=1e-4)


# Rearranged for integer kernels


@pytest.mark.parametrize("side", [32, 64, 96])
def test_the_packed_stem_is_the_plain_stem(side: int) -> None:
    torch.manual_seed(side)
    stem = ConvNorm(3, 32, 3, 2).eval()
    stem.fold()
    x = torch.randn(1, 3, side, side)
    plain = stem.conv(F.pad(x, (0, 1, 0, 1)))
    grouped = x.permute(0, 2, 3, 1).reshape(1, side, side // (2 * PACK), 6 * PACK)
    packed = packed_stem(stem.conv)(F.pad(grouped.permute(0, 3, 1, 2), (0, 1, 0, 1)))
    half = side // 2
    packed = packed.permute(0, 2, 3, 1).reshape(1, half, half, 32).permute(0, 3, 1, 2)
    torch.testing.assert_close(packed, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 5, 3, 4), (1, 96, 12, 12)])
def test_adding_what_is_doubled_is_nearest_upsampling_and_a_sum(shape: tuple[int, ...]) -> None:
    coarse = torch.randn(shape)
    fine = torch.randn(*shape[:2], 2 * shape[2], 2 * shape[3])
    expected = fine + F.interpolate(coarse, scale_factor=2.0, mode="nearest")
    assert torch.equal(add_doubled(fine, coarse), expected)


def test_two_pointwise_convolutions_in_a_row_are_one() -> None:
    first, second = nn.Conv2d(5, 7, 1), nn.Conv2d(7, 6, 1)
    x = torch.randn(1, 5, 3, 4)
    expected = second(first(x))
    torch.testing.assert_close(in_one(first, second)(x), expected, atol=1e-5, rtol=0)
    some = in_one(first, second, slice(2, 5))(x)
    torch.testing.assert_close(some, expected[:, 2:5], atol=1e-5, rtol=0)


def test_the_packed_encoder_is_the_plain_encoder(model: PocketSAM) -> None:
    x = picture()
    grouped = x.permute(0, 2, 3, 1).reshape(1, SIDE, SIDE // (2 * PACK), 6 * PACK)
    packed = PackedEncoder(model.encoder)(grouped.permute(0, 3, 1, 2))
    assert_close(packed, PlainEncoder(model.encoder)(x))


def test_folding_the_norms_changes_no_value_and_can_be_repeated() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(ConvNorm(3, 8, 3, 2), ConvNorm(8, 8, 5, groups=8), ConvNorm(8, 4)).eval()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 2)
            nn.init.normal_(layer.bias)
            layer.running_mean = torch.randn(layer.num_features)
            layer.running_var = torch.rand(layer.num_features) + 0.5
    x = torch.randn(1, 3, 12, 12)
    before = net(x)
    for _ in range(2):
        fold_norms(net)
        torch.testing.assert_close(net(x), before, atol=1e-5, rtol=1e-5)
    assert not [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]


# The model


@pytest.mark.parametrize("side", [64, 96, 160])
def test_an_embedding_has_the_sizes_that_belong_to_the_side(model: PocketSAM, side: int) -> None:
    e: Embedding = model.encoder(picture(side))
    w, cells16, cells8, cells4 = model.widths, side // 16, side // 8, side // 4
    head, cells32 = w.dim // w.heads, side // 32
    assert e.keys.shape == (1, w.layers, w.heads, head, cells32**2)
    assert e.values.shape == (1, w.layers, w.heads, cells32**2, head)
    assert e.grid16.shape == (1, cells16**2, w.dim)
    assert e.grid8.shape == (1, cells8, cells8, w.dim)
    assert e.pixels.shape == (1, w.pixel, cells4, cells4)


@pytest.mark.parametrize("inner_wh", [(96, 60), (33, 96), (96, 96)])
def test_a_cut_embedding_has_the_pictures_cells(
    model: PocketSAM, inner_wh: tuple[int, int]
) -> None:
    whole: Embedding = model.encoder(picture(96))
    part = whole.cut(inner_wh)
    w, h = (-(-n // 32) for n in inner_wh)
    assert part.pixels.shape[2:] == (8 * h, 8 * w)
    assert part.grid8.shape[1:3] == (4 * h, 4 * w)
    kept = whole.keys.unflatten(-1, (3, 3))[..., :h, :w]
    assert torch.equal(part.keys.unflatten(-1, (h, w)), kept)
    kept = whole.grid16.unflatten(1, (6, 6))[:, : 2 * h, : 2 * w]
    assert torch.equal(part.grid16.unflatten(1, (2 * h, 2 * w)), kept)


def test_what_is_cut_off_below_changes_places_of_nothing(model: PocketSAM) -> None:
    """Masks of a cut embedding lie where those of the whole one do: coordinates are the side's."""
    e: Embedding = model.encoder(picture(96))
    part = e.cut((96, 60))
    head, tokens = model.mask_head, model.scorer(e, prompts(2, 1))[1][:, :, 0]
    low = prompts(2, 1)._replace(mask=torch.zeros(1, 2, 24, 24))
    cut = low._replace(mask=torch.zeros(1, 2, 16, 24))
    torch.testing.assert_close(
        head(part.pixels, tokens, cut), head(e.pixels, tokens, low)[:, :, :16], atol=1e-4, rtol=1e-4
    )


def test_pictures_of_a_batch_do_not_see_each_other(model: PocketSAM) -> None:
    both = model.encoder(picture(batch=2))
    for i in range(2):
        alone = model.encoder(picture(batch=2)[i : i + 1])
        assert_close(tuple(t[i : i + 1] for t in both), tuple(alone))


@pytest.mark.parametrize("points", [1, 2, 5])
def test_prompts_of_a_batch_do_not_see_each_other(
    model: PocketSAM, embedding: Embedding, points: int
) -> None:
    many = prompts(7, points)
    logits, iou = model.decode(embedding, many)
    assert logits.shape == (1, 7, MASKS, SIDE // 4, SIDE // 4)
    for i in range(7):
        alone = model.decode(embedding, one_of(many, i))
        assert_close(alone, (logits[:, i : i + 1], iou[:, i : i + 1]))


@pytest.mark.parametrize("points", [1, 2, 3])
def test_padding_points_change_no_answer(
    model: PocketSAM, embedding: Embedding, points: int
) -> None:
    p = prompts(4, points)
    assert_close(model.decode(embedding, padded(p, 5 - points)), model.decode(embedding, p))


def test_an_earlier_mask_that_does_not_count_changes_no_answer(
    model: PocketSAM, embedding: Embedding
) -> None:
    p = prompts(3, 2)
    cells = SIDE // 4
    other = Prompts(p.coords, p.labels, 9 * torch.randn(1, 3, cells, cells), p.has_mask)
    assert_close(model.decode(embedding, other), model.decode(embedding, p))


def test_an_earlier_mask_that_counts_changes_its_own_answer_only(
    model: PocketSAM, embedding: Embedding
) -> None:
    p = prompts(3, 2)
    cells = SIDE // 4
    has = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1)
    mask = torch.zeros(1, 3, cells, cells)
    mask[:, 1] = 6.0
    with_mask = model.decode(embedding, Prompts(p.coords, p.labels, mask, has))[0]
    without = model.decode(embedding, p)[0]
    assert_close((with_mask[:, [0, 2]],), (without[:, [0, 2]],))
    assert (with_mask[:, 1] - without[:, 1]).abs().max() > 0.1


def test_asking_for_some_masks_gives_those(model: PocketSAM, embedding: Embedding) -> None:
    p = prompts(3, 1)
    logits, iou = model.decode(embedding, p)
    some = model.decode(embedding, p, slice(1, 3))
    assert_close(some, (logits[:, :, 1:3], iou[:, :, 1:3]))


def test_sampling_is_that_of_torch() -> None:
    grid = torch.randn(2, 7, 9, 5)
    xy = torch.rand(2, 4, 3, 2) * 1.2 - 0.1
    own = xy * torch.tensor([1, 9 / 7])  # the longest side is 1 long
    expected = F.grid_sample(
        grid.permute(0, 3, 1, 2), 2 * own - 1, align_corners=False, padding_mode="zeros"
    )
    got = sample_bilinear(grid, xy)
    torch.testing.assert_close(got, expected.permute(0, 2, 3, 1), atol=1e-5, rtol=1e-5)


def test_the_planes_behind_the_pixels_are_x_y_and_one() -> None:
    planes = ground_planes(torch.zeros(1, 2, 4, 8))[0, 2:]
    torch.testing.assert_close(planes[0, 0], (torch.arange(8) + 0.5) / 8)
    torch.testing.assert_close(planes[1, :, 0], (torch.arange(4) + 0.5) / 8)
    assert (planes[2] == 1).all()


@pytest.mark.parametrize("side", [0, 100, 500])
def test_a_side_that_cannot_be_halved_five_times_is_refused(
    family: PocketSamFamily, model: PocketSAM, side: int
) -> None:
    with pytest.raises(ConfigError, match=rf"{side}.* 32"):
        family.encoder_graph(model, side, for_int8=True)


def test_a_click_is_a_bump_where_it_was_set_and_boxes_and_padding_are_none() -> None:
    labels = torch.tensor([[[FOREGROUND, BACKGROUND, BOX_TOP_LEFT, PAD_LABEL]]]).float()
    coords = torch.tensor([[[[0.25, 0.75], [0.75, 0.25], [0.1, 0.1], [0.9, 0.9]]]])
    p = Prompts(coords, labels, torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 1))
    plane = bumps(p, torch.full((1, 1, 2), 0.25), (32, 32), 0.5)[0, 0]
    y, x = divmod(int(plane.argmax()), 32)
    assert (x, y) in {(7, 23), (8, 23), (7, 24), (8, 24)}
    y, x = divmod(int(plane.argmin()), 32)
    assert (x, y) in {(23, 7), (24, 7), (23, 8), (24, 8)}
    assert plane.max() == pytest.approx(1, abs=0.05)
    assert plane.min() == pytest.approx(-1, abs=0.05)
    assert plane[3, 3].abs() < 1e-3
    assert plane[28, 28].abs() < 1e-3


def test_a_frame_without_training_is_the_prompts_own(model: PocketSAM) -> None:
    torch.manual_seed(0)
    scorer = PocketSAM().eval().scorer
    p = prompts(2, 3)
    tail = scorer(model.encoder(picture()), p)[1][0, 0, :, -TAIL:]
    low, high = p.coords[0, 0, 1], p.coords[0, 0, 2]
    expected = torch.cat([(low + high) / 2, (high - low) / 2]).expand(MASKS, 4)
    torch.testing.assert_close(tail[:, :4], expected)


# The graphs


def feed(**tensors: Tensor) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return {name: np.ascontiguousarray(t.numpy()) for name, t in tensors.items()}


@pytest.mark.parametrize("for_int8", [False, True], ids=["plain", "packed"])
def test_the_encoders_graph_gives_what_torch_gives(
    family: PocketSamFamily, model: PocketSAM, for_int8: bool
) -> None:
    spec = family.encoder_graph(model, SIDE, for_int8=for_int8)
    graph = simplify(to_onnx(spec))
    assert tuple(o.name for o in graph.graph.output) == EMBEDDING
    x = picture()
    grouped = x.permute(0, 2, 3, 1).reshape(1, SIDE, SIDE // 4, 12).permute(0, 3, 1, 2)
    outputs = run(graph, **feed(pixels_in=grouped if for_int8 else x))
    for name, got, expected in zip(EMBEDDING, outputs, PlainEncoder(model.encoder)(x), strict=True):
        np.testing.assert_allclose(got, expected.numpy(), atol=1e-3, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize(("n", "points", "side"), [(1, 1, 96), (5, 5, 96), (9, 2, 64)])
def test_the_decoders_graphs_take_any_number_of_prompts_points_and_cells(
    family: PocketSamFamily, model: PocketSAM, n: int, points: int, side: int
) -> None:
    graphs = {part: to_onnx(s) for part, s in family.decoder_graphs(model, SIDE).items()}
    names = dict(zip(EMBEDDING, PlainEncoder(model.encoder)(picture(side)), strict=True))
    p = prompts(n, points, side=side)
    asked = {
        "point_coords": p.coords[0],
        "point_labels": p.labels[0],
        "mask_input": p.mask.transpose(0, 1),
        "has_mask_input": p.has_mask[0],
    }
    pixels = names.pop("pixels")
    first, tokens, *_ = run(graphs["scorer"], **feed(**names, **asked))
    embedding = model.encoder(picture(side))
    expected_first, _ = model.scorer(embedding, p)
    np.testing.assert_allclose(first, expected_first[0].sigmoid().numpy(), atol=1e-4)
    expected_logits, expected_iou = model.decode(embedding, p)
    expected_iou = expected_iou[0].sigmoid().numpy()
    for answer in range(MASKS):
        masks, judged = run(
            graphs["mask_head"],
            mask_tokens=np.ascontiguousarray(tokens[:, answer]),
            **feed(pixels=pixels, grid16=names["grid16"], **asked),
        )
        np.testing.assert_allclose(masks[:, 0], expected_logits[0, :, answer].numpy(), atol=2e-3)
        np.testing.assert_allclose(judged[:, 0], expected_iou[:, answer], atol=1e-4)


def test_an_export_gives_the_same_bytes_again(family: PocketSamFamily, model: PocketSAM) -> None:
    spec = family.decoder_graphs(model, SIDE)["mask_head"]
    one, two = (to_onnx(spec).SerializeToString(deterministic=True) for _ in range(2))
    assert one == two


def test_an_export_says_nothing_on_the_way(
    family: PocketSamFamily, model: PocketSAM, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    to_onnx(family.decoder_graphs(model, SIDE)["mask_head"])
    assert capfd.readouterr().out == ""
