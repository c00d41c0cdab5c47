"""EfficientSAM: one point that is none stands for all, and what it never learned is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch", reason="families need torch")

import torch
from torch import Tensor

from edgesam_engines.families.efficient_sam import (
    DecoderGraph,
    EfficientSam,
    EfficientSamModel,
    EncoderGraph,
)
from edgesam_engines.families.efficient_sam_decoder import (
    NOWHERE,
    POINTS,
    MaskDecoder,
    PromptEncoder,
)
from edgesam_engines.families.efficient_sam_vit import EfficientSamEncoder, PlainVitShape
from edgesam_engines.parity import compare, seeded
from edgesam_engines.parity.cli import pictures
from edgesam_rt.errors import PromptError
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.preprocess import fit_for, normalised, to_square
from edgesam_rt.prompt_feeds import from_prompts
from edgesam_rt.records import Prompt
from tests.engines.families.family_doubles import golden, saved
from tests.engines.families.test_golden import PHOTOS, near

pytestmark = [pytest.mark.torch, pytest.mark.timeout(120)]
GRID, SIDE = 4, 64
DIMS = {"ti": 192, "s": 384}
FIT = Fit.squash((480, 640), 1024)


@pytest.fixture(scope="module")
def decoder() -> tuple[PromptEncoder, MaskDecoder]:
    made = PromptEncoder(SIDE), MaskDecoder(GRID)
    for module in made:
        shapes = seeded.shapes_of(module.state_dict())
        module.load_state_dict(seeded.weights_for(shapes, 1))
        module.eval().requires_grad_(False)
    return made


def image() -> Tensor:
    return torch.randn((GRID**2, 256), generator=torch.Generator().manual_seed(0))


def answers(
    decoder: tuple[PromptEncoder, MaskDecoder], tokens: Tensor, counts: Tensor
) -> tuple[Tensor, Tensor]:
    prompts, masks = decoder
    positions = prompts.image_positions(GRID)
    low_res, iou = masks(tokens, counts, image(), positions)
    return low_res, iou


@pytest.mark.parametrize("given", [1, 2, 5, 6])
def test_one_point_that_is_none_counts_for_all_that_upstream_fills_up_with(
    decoder: tuple[PromptEncoder, MaskDecoder], given: int
) -> None:
    prompts, _ = decoder
    coords = torch.rand((1, given, 2), generator=torch.Generator().manual_seed(given)) * SIDE
    labels = torch.ones(1, given)
    ours = answers(decoder, *prompts(coords, labels))

    tokens, _ = prompts(coords, labels)
    nowhere = prompts.pe_layer((torch.full((1, 1, 2), NOWHERE) + 0.5) / SIDE)
    nowhere = nowhere + prompts.invalid_points.weight
    filled = torch.cat([tokens[:, :given], nowhere.expand(1, POINTS - given, -1)], 1)
    upstreams = answers(decoder, filled, torch.zeros(1, POINTS))
    for own, wanted in zip(ours, upstreams, strict=True):
        torch.testing.assert_close(own, wanted, rtol=0, atol=1e-4)


def test_rows_may_be_filled_up_and_give_the_same(
    decoder: tuple[PromptEncoder, MaskDecoder],
) -> None:
    prompts, _ = decoder
    coords, labels = torch.tensor([[[10.0, 20.0]]]), torch.ones(1, 1)
    alone = answers(decoder, *prompts(coords, labels))
    longer = prompts(
        torch.cat([coords, torch.zeros(1, 3, 2)], 1), torch.tensor([[1.0, -1.0, -1.0, -1.0]])
    )
    for own, wanted in zip(answers(decoder, *longer), alone, strict=True):
        torch.testing.assert_close(own, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("dim", DIMS.values())
def test_the_weights_tell_tiny_from_small(dim: int) -> None:
    with torch.device("meta"):
        weights = EfficientSamEncoder(PlainVitShape(dim, 12)).state_dict()
    shape = PlainVitShape.of({f"image_encoder.{k}": v for k, v in weights.items()})
    assert shape == PlainVitShape(dim, 12)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (Prompt.points([[10, 10], [20, 20]], [1, 0]), "background point"),
        (Prompt.point(10, 10).with_mask(np.zeros((256, 256), np.float32)), "earlier mask"),
        (Prompt.points([[i, i] for i in range(1, 8)], [1] * 7), "takes 6"),
    ],
)
def test_prompts_that_mean_nothing_to_it_are_refused(prompt: Prompt, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        from_prompts([prompt], FIT, EfficientSam.decoder)


def test_points_are_scaled_by_width_and_height_each() -> None:
    batch = from_prompts([Prompt.point(319.5, 120)], FIT, EfficientSam.decoder)
    np.testing.assert_allclose(batch.point_coords[0, 0], [319.5 * 1024 / 640, 120 * 1024 / 480])


def test_pictures_are_squashed_as_upstream_does_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 451, 3), np.uint8)
    rule = EfficientSam.preprocess
    fit = fit_for((300, 451), 1024, rule)
    own = normalised(to_square(pixels, fit, rule), fit, rule)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    square = torch.nn.functional.interpolate(x, (1024, 1024), mode="bilinear")
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    wanted = (square[0].permute(1, 2, 0) - mean) / std
    np.testing.assert_allclose(own, wanted.numpy(), atol=1e-3)


def test_pictures_with_padding_cannot_be_left_unrounded() -> None:
    with pytest.raises(ValueError, match='needs resize "squash"'):
        msgspec.structs.replace(EfficientSam.preprocess, resize="longest_side")


def shapes(size: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return seeded.shapes_of(EfficientSamModel(PlainVitShape(DIMS[size], 12)).state_dict())


@pytest.mark.parametrize("size", DIMS)
def test_its_files_are_laid_out_as_upstreams(size: str) -> None:
    assert seeded.layout_digest(shapes(size)) == golden(f"efficient-sam-{size}")["layout"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("size", DIMS)
def test_it_says_what_upstreams_code_said(size: str, tmp_path: Path) -> None:
    known, family = golden(f"efficient-sam-{size}"), EfficientSam()
    weights = seeded.weights_for(shapes(size), known["seed"])
    model = family.load(saved({"model": weights}, tmp_path / "seeded.pt"))
    row = known["photos"][1]  # the one on its side
    (_, pixels) = list(pictures([PHOTOS / each["photo"] for each in known["photos"]]))[1]
    fit = fit_for(pixels.shape[:2], 1024, family.preprocess)
    x = normalised(to_square(pixels, fit, family.preprocess), fit, family.preprocess)
    with torch.no_grad():
        embedding = EncoderGraph(model)(torch.from_numpy(x.transpose(2, 0, 1)[None].copy()))
    near(embedding.T.numpy(), row["embedding"])
    prompts = compare.prompts_for(pixels.shape[:2], np.zeros((256, 256), np.float32))
    batch = from_prompts([prompts[kind] for kind in row["prompts"]], fit, family.decoder)
    feeds = (batch.point_coords, batch.point_labels, batch.mask_input, batch.has_mask_input)
    with torch.no_grad():
        low_res, iou = DecoderGraph(model)(embedding, *(torch.from_numpy(t) for t in feeds))
    for i, kept in enumerate(row["prompts"].values()):
        near(low_res[i, 1:].numpy(), kept["low_res_masks"])
        near(iou[i, 1:].numpy(), kept["iou_predictions"])
