"""Seeded checkpoints of the published families, as their official files are laid out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgesam_engines.families.efficientvit import XL, Depths, EfficientVitEncoder, L, Variant
from edgesam_engines.families.sam_family import GRID, SamFamily
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.families.table import open_family
from edgesam_engines.parity import seeded
from edgesam_engines.parity.upstream import TABLE

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "families"
EFFICIENTVIT: dict[str, tuple[Variant, Depths]] = {
    "l0": (L, Depths((1, 1, 1, 4, 4), 4)),
    "l1": (L, Depths((1, 1, 1, 6, 6), 8)),
    "l2": (L, Depths((1, 2, 2, 8, 8), 12)),
    "xl0": (XL, Depths((0, 1, 1, 2, 3, 3), 6)),
    "xl1": (XL, Depths((1, 2, 2, 4, 6, 6), 12)),
}
SLIM = {"50": (384, 1536), "77": (168, 696)}  # channels, and those inside feed-forward layers


def golden(row: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"{row}.json").read_text(encoding="utf-8"))
    return found


def family_of(row: str) -> SamFamily:
    """Ours, for a row of the table of upstream's models."""
    family = open_family(TABLE[row].family or row)
    assert isinstance(family, SamFamily)
    return family


def telling(row: str) -> dict[str, Tensor]:
    """Weights that tell the size of a model; without values. Nothing where there is one size."""
    name, _, size = row.rpartition("-")
    with torch.device("meta"):
        if name == "slimsam":
            dim, mlp = SLIM[size]
            shapes = {"pos_embed": (1, GRID, GRID, dim), "blocks.0.mlp.lin1.bias": (mlp,)}
            found: Mapping[str, Tensor] = {k: torch.zeros(v) for k, v in shapes.items()}
        elif name.startswith("efficientvit-sam"):
            found = EfficientVitEncoder(*EFFICIENTVIT[size]).state_dict()
        else:
            found = {}
    return {f"image_encoder.{k}": v for k, v in found.items()}


def shapes(family: SamFamily, like: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Of everything that the family's model loads; `like` tells the size."""
    with torch.device("meta" if like else "cpu"):  # TinyViT reads its tables when it is made
        model = SamModel(family.image_encoder(like), GRID, family.decoder.prompt_side)
    return seeded.shapes_of(model.state_dict())


def weights(family: str, seed: int = 1) -> dict[str, Tensor]:
    """Everything that the family's model loads, in its smallest size."""
    opened = open_family(family)
    assert isinstance(opened, SamFamily)
    return seeded.weights_for(shapes(opened, {}), seed)


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path
