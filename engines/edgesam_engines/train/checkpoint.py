"""Files of a run, each replaced as a whole so that a crash leaves the old one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgesam_engines.errors import CheckpointError
from edgesam_engines.families.pocketsam import PocketSAM
from edgesam_engines.train.network import Ema

CHECKPOINT, BEFORE_DECAY, WEIGHTS = "checkpoint.pt", "before-decay.pt", "ema.safetensors"
_FORMAT = 1
log = logging.getLogger(__name__)


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Write beside the file, flush to disk, then put it in the file's place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb+") as f:
            os.fsync(f.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_checkpoint(
    path: Path, model: PocketSAM, ema: Ema, optimizer: torch.optim.Optimizer, step: int, digest: str
) -> None:
    """Everything that the next step depends on; `step` is the number of steps done.

    Random numbers need no state: each step seeds its own from the recipe's seed.
    """
    state = {
        "format": _FORMAT,
        "step": step,
        "recipe": digest,
        "model": model.state_dict(),
        "ema": ema.model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    replace_file(path, lambda p: torch.save(state, p))


def load_checkpoint(
    path: Path, model: PocketSAM, ema: Ema, optimizer: torch.optim.Optimizer, digest: str
) -> int:
    """Restore all parts and give the number of steps done.

    Raises:
        CheckpointError: the file is of another format.
    """
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: format {state.get('format')}, this code reads {_FORMAT}")
    if state["recipe"] != digest:
        log.warning("the recipe changed since %s: %s then, %s now", path, state["recipe"], digest)
    model.load_state_dict(state["model"])
    ema.model.load_state_dict(state["ema"])
    scales = [group["scale"] for group in optimizer.param_groups]
    optimizer.load_state_dict(state["optimizer"])
    for group, scale in zip(optimizer.param_groups, scales, strict=True):
        group["scale"] = scale  # the recipe's, should it have changed
    return int(state["step"])


def export_weights(path: Path, model: PocketSAM, notes: dict[str, str]) -> None:
    """fp16 safetensors of a model whose trunk is folded; the notes go into the header."""
    from safetensors.torch import save_file

    def half(t: Tensor) -> Tensor:
        return (t.half() if t.dtype.is_floating_point else t).contiguous().cpu()

    # The position code is shared by encoder and scorer: both keys are written, each its own copy.
    tensors = {k: half(v).clone() for k, v in model.state_dict().items()}
    replace_file(path, lambda p: save_file(tensors, p, metadata=notes))
