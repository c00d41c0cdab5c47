"""Every family against what upstream's own code said of the same seeded weights and photos.

The golden files are made by `python -m edgesam_engines.parity` (docs/families.md); none of
upstream's code is needed here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="families need torch")

import torch

from edgesam_engines.families.sam_graphs import EncoderGraph
from edgesam_engines.families.table import TABLE
from edgesam_engines.parity import compare, seeded, upstream
from edgesam_engines.parity.cli import pictures
from edgesam_rt.preprocess import fit_for, normalised, to_square
from edgesam_rt.prompt_feeds import from_prompts
from edgesam_rt.records import MaskSet
from edgesam_rt.types import F32, AnyArray
from tests.engines.families.family_doubles import (
    GOLDEN,
    family_of,
    golden,
    saved,
    shapes,
    telling,
)

pytestmark = [pytest.mark.torch, pytest.mark.timeout(900)]
PHOTOS = Path(__file__).resolve().parents[3] / "demo" / "photos"
ROWS = sorted(p.stem for p in GOLDEN.glob("*.json"))
OWN_DECODER = "efficient-sam"  # see test_efficient_sam.py
SAM_ROWS = [row for row in ROWS if not row.startswith(OWN_DECODER)]


def near(got: AnyArray, known: dict[str, object]) -> None:
    """The values kept of a tensor, within the share of its range that conversion may cost."""
    wanted = np.array(known["values"])
    spread = known["range"]
    assert isinstance(spread, float)
    np.testing.assert_allclose(compare.sampled(got), wanted, rtol=0, atol=1e-3 * spread)


def scores(kept: dict[str, Any]) -> F32:
    """All that upstream predicted of a prompt: the values kept name each several times."""
    count = len(kept["mask_share"])
    places = compare.sampled(np.arange(count)).tolist()
    values = kept["iou_predictions"]["values"]
    return np.array([values[places.index(i)] for i in range(count)], np.float32)


def test_every_published_model_was_compared_and_has_a_file() -> None:
    assert sorted(upstream.TABLE) == ROWS
    compared = {row.family or name for name, row in upstream.TABLE.items()}
    assert compared == TABLE.keys() - {"fastsam", "pocketsam"}  # which have no upstream here


@pytest.mark.parametrize("row", ROWS)
def test_the_page_has_the_figures_of_the_golden_file(row: str) -> None:
    page = (PHOTOS.parents[1] / "docs" / "families.md").read_text(encoding="utf-8")
    assert compare.summary(golden(row)) in page.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("row", SAM_ROWS)
def test_a_family_says_what_upstreams_code_said(row: str, tmp_path: Path) -> None:
    known, family = golden(row), family_of(row)
    weights = upstream.TABLE[row].weights(shapes(family, telling(row)), known["seed"])
    model = family.load(stored(row, weights, tmp_path))
    photo = known["photos"][1]  # the one on its side
    (_, pixels) = list(pictures([PHOTOS / each["photo"] for each in known["photos"]]))[1]
    fit = fit_for(pixels.shape[:2], family.side, family.preprocess)
    fit = replace(fit, mask_side=family.decoder.mask_side)
    square = to_square(pixels, fit, family.preprocess)
    x = normalised(square, fit, family.preprocess).transpose(2, 0, 1)[None]
    with torch.no_grad():
        sides = EncoderGraph(model)(torch.from_numpy(x.copy()))  # type: ignore[arg-type]
    near(sides[0].T.numpy(), photo["embedding"])

    prompts = compare.prompts_for(pixels.shape[:2], np.zeros((256, 256), np.float32))
    kinds = [kind for kind in photo["prompts"] if "mask" not in kind]
    batch = from_prompts([prompts[kind] for kind in kinds], fit, family.decoder)
    feeds = (batch.point_coords, batch.point_labels, batch.mask_input, batch.has_mask_input)
    decoder = family.decoder_graphs(model, family.side)["decoder"].module
    with torch.no_grad():
        low_res, iou = decoder(*sides, *(torch.from_numpy(t) for t in feeds))
    for i, kind in enumerate(kinds):
        kept = photo["prompts"][kind]
        answers = slice(-len(kept["mask_share"]), None)
        near(low_res[i, answers].numpy(), kept["low_res_masks"])
        near(iou[i, answers].numpy(), kept["iou_predictions"])
        masks = MaskSet(low_res[i].numpy(), iou[i].numpy(), fit).masks
        shares = masks[answers].mean((1, 2))
        np.testing.assert_allclose(shares, kept["mask_share"], atol=1e-3)

    choices = np.array(family.decoder.ambiguous_answers)
    theirs = scores(photo["prompts"]["point"])
    best = theirs[choices - family.decoder.masks].argmax()
    assert iou[kinds.index("point"), choices].argmax() == best


def stored(row: str, weights: dict[str, torch.Tensor], folder: Path) -> Path:
    """As official files are: one, or NanoSAM's two."""
    if row != "nanosam":
        return saved(weights, folder / "seeded.pt")
    head = "image_encoder."
    own = {k.removeprefix(head): v for k, v in weights.items() if k.startswith(head)}
    mobile = {k: v for k, v in weights.items() if not k.startswith(head)}
    marker = f"{head}layers.1.blocks.0.attn.attention_biases"  # of MobileSAM's own encoder
    saved({"model": own}, folder / "resnet18.pth")
    saved({**mobile, marker: torch.zeros(4, 49)}, folder / "mobile_sam.pt")
    return folder


@pytest.mark.parametrize("row", SAM_ROWS)
def test_a_familys_files_are_laid_out_as_upstreams(row: str) -> None:
    made = shapes(family_of(row), telling(row))
    assert seeded.layout_digest(made) == golden(row)["layout"]
