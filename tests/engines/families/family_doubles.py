"""Seeded checkpoints of the published families, as their official files are laid out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgesam_engines.families.sam_family import GRID, SamFamily
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.families.table import open_family
from edgesam_engines.parity import seeded

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "families"


def golden(family: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"{family}.json").read_text(encoding="utf-8"))
    return found


def weights(family: str, seed: int = 1, like: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Everything that the family's model loads; `like` tells widths where there are several."""
    opened = open_family(family)
    assert isinstance(opened, SamFamily)
    model = SamModel(opened.image_encoder(like or {}), GRID, opened.decoder.prompt_side)
    return seeded.weights_for(seeded.shapes_of(model.state_dict()), seed)


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path
