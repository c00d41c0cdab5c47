"""Every family against what upstream's own code said of the same seeded weights and photos.

The golden files are made by `python -m edgesam_engines.parity` (docs/families.md); none of
upstream's code is needed here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="families need torch")

import torch

from edgesam_engines.families.sam_family import SamFamily
from edgesam_engines.families.sam_graphs import DecoderGraph, EncoderGraph
from edgesam_engines.families.table import open_family
from edgesam_engines.parity import compare, seeded
from edgesam_engines.parity.cli import pictures
from edgesam_rt.preprocess import fit_for, normalised, to_square
from edgesam_rt.prompt_feeds import from_prompts
from edgesam_rt.records import MaskSet
from edgesam_rt.types import AnyArray
from tests.engines.families.family_doubles import GOLDEN, golden, saved, weights

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(600)]
PHOTOS = Path(__file__).resolve().parents[3] / "demo" / "photos"
WIDTHS = {
    "slimsam": {
        "image_encoder.pos_embed": (1, 64, 64, 168),
        "image_encoder.blocks.0.mlp.lin1.bias": (696,),
    }
}
OURS = (
    *("edgesam", "efficientvit-sam", "mobilesam", "nanosam"),
    *("repvit-sam", "sam", "slimsam", "tinysam"),
)
FAMILIES = [name for name in OURS if (GOLDEN / f"{name}.json").is_file()]


def near(got: AnyArray, known: dict[str, object]) -> None:
    """The values kept of a tensor, within the share of its range that conversion may cost."""
    wanted = np.array(known["values"])
    spread = known["range"]
    assert isinstance(spread, float)
    np.testing.assert_allclose(compare.sampled(got), wanted, rtol=0, atol=1e-3 * spread)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_says_what_upstreams_code_said(name: str, tmp_path: Path) -> None:
    known, family = golden(name), open_family(name)
    assert isinstance(family, SamFamily)
    like = {k: torch.zeros(shape) for k, shape in WIDTHS.get(name, {}).items()}
    model = family.load(saved(weights(name, known["seed"], like), tmp_path / "seeded.pt"))
    row = known["photos"][1]  # the one on its side
    wanted = [PHOTOS / known["photos"][0]["photo"], PHOTOS / row["photo"]]
    (_, pixels) = list(pictures(wanted))[1]
    fit = fit_for(pixels.shape[:2], family.side, family.preprocess)
    fit = replace(fit, mask_side=family.decoder.mask_side)
    square = to_square(pixels, fit, family.preprocess)
    x = normalised(square, fit, family.preprocess).transpose(2, 0, 1)[None]
    with torch.no_grad():
        sides = EncoderGraph(model)(torch.from_numpy(x.copy()))
    near(sides[0].T.numpy(), row["embedding"])

    first = np.zeros((1024, 1024), np.float32)[:: fit.side // 256, :: fit.side // 256]
    prompts = compare.prompts_for(pixels.shape[:2], first)
    kinds = [kind for kind in row["prompts"] if "mask" not in kind]
    batch = from_prompts([prompts[kind] for kind in kinds], fit, family.decoder)
    feeds = (batch.point_coords, batch.point_labels, batch.mask_input, batch.has_mask_input)
    with torch.no_grad():
        low_res, iou = DecoderGraph(model)(*sides, *(torch.from_numpy(t) for t in feeds))
    for i, kind in enumerate(kinds):
        kept = row["prompts"][kind]
        answers = slice(-len(kept["mask_share"]), None)
        near(low_res[i, answers].numpy(), kept["low_res_masks"])
        near(iou[i, answers].numpy(), kept["iou_predictions"])
        masks = MaskSet(low_res[i].numpy(), iou[i].numpy(), fit).masks
        shares = masks[answers].mean((1, 2))
        np.testing.assert_allclose(shares, kept["mask_share"], atol=1e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_familys_files_are_laid_out_as_upstreams(name: str) -> None:
    known, family = golden(name), open_family(name)
    assert isinstance(family, SamFamily)
    like = {k: torch.zeros(shape) for k, shape in WIDTHS.get(name, {}).items()}
    shapes = seeded.shapes_of(weights(name, like=like))
    assert seeded.layout_digest(shapes) == known["layout"]
