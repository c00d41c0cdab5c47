"""Weights from and to files; no pickles, so nothing in a file can run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edgesam_engines.errors import CheckpointError

_SHOWN = 3


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read weights as fp32.

    Raises:
        CheckpointError: no such file, or not a safetensors file.
    """
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path}: no such file.")
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"checkpoint {path}: not a complete safetensors file: {error}."
        ) from error
    return {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}


def write_fp16(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write weights as fp16 safetensors."""
    halves = {k: v.detach().half().contiguous() for k, v in weights.items()}
    save_file(halves, path)


def _first_few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def load_strictly(model: nn.Module, weights: Mapping[str, Tensor], path: Path, family: str) -> None:
    """Load weights whose names and shapes must all fit.

    Raises:
        CheckpointError: some do not; the first few are named.
    """
    wanted = model.state_dict()
    optional = {k for k in wanted if k.endswith("num_batches_tracked")}
    missing = sorted(wanted.keys() - weights.keys() - optional)
    extra = sorted(weights.keys() - wanted.keys())
    wrong = sorted(k for k in weights.keys() & wanted.keys() if weights[k].shape != wanted[k].shape)
    if missing or extra or wrong:
        found = ", ".join(
            f"{len(names)} {what} ({_first_few(names)})"
            for what, names in (("missing", missing), ("unknown", extra), ("of other shape", wrong))
            if names
        )
        raise CheckpointError(f"checkpoint {path}: not {family}: {found}.")
    broken = sorted(k for k, v in weights.items() if not torch.isfinite(v).all())
    if broken:
        raise CheckpointError(
            f"checkpoint {path}: {len(broken)} tensors have values that are not finite numbers "
            f"({_first_few(broken)})."
        )
    with torch.no_grad():
        model.load_state_dict(dict(weights), strict=False)
