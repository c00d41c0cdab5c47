"""Files of a run, each replaced as a whole so that a crash leaves the old one."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

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


def replace_bytes(path: Path, content: bytes) -> None:
    """`replace_file` by what is in memory.

    Raises:
        OSError: it cannot be written; the old file stays.
    """
    replace_file(path, lambda p: _put(p, content))


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


class Parts(NamedTuple):
    """What a run changes from step to step; `heads` are those of a distillation."""

    model: PocketSAM
    ema: Ema
    optimizer: torch.optim.Optimizer
    heads: nn.Module | None = None


def save_checkpoint(path: Path, parts: Parts, step: int, digest: str) -> None:
    """Everything that the next step depends on; `step` is the number of steps done.

    Random numbers need no state: each step seeds its own from the recipe's seed.
    """
    state = {
        "format": _FORMAT,
        "step": step,
        "recipe": digest,
        "model": parts.model.state_dict(),
        "ema": parts.ema.model.state_dict(),
        "optimizer": parts.optimizer.state_dict(),
        "heads": parts.heads.state_dict() if parts.heads is not None else {},
    }
    # By way of memory: on a full disk torch's own writer fails in words of its own.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    replace_bytes(path, buffer.getvalue())


def load_checkpoint(path: Path, parts: Parts, digest: str) -> int:
    """Restore all parts and give the number of steps done.

    Raises:
        CheckpointError: the file is of another format, or another training's.
    """
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: format {state.get('format')}, this code reads {_FORMAT}")
    if state["recipe"] != digest:
        log.warning("the recipe changed since %s: %s then, %s now", path, state["recipe"], digest)
    model, ema, optimizer, heads = parts
    scales = [group["scale"] for group in optimizer.param_groups]
    try:
        model.load_state_dict(state["model"])
        ema.model.load_state_dict(state["ema"])
        if heads is not None:
            heads.load_state_dict(state["heads"])
        optimizer.load_state_dict(state["optimizer"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: of another training (with a teacher and without one cannot be mixed): "
            f"{str(error).splitlines()[0]}. Start in another folder."
        ) from error
    for group, scale in zip(optimizer.param_groups, scales, strict=True):
        group["scale"] = scale  # the recipe's, should it have changed
    return int(state["step"])


def export_weights(path: Path, model: PocketSAM, notes: dict[str, str]) -> None:
    """fp16 safetensors of a model whose trunk is folded; the notes go into the header."""
    from safetensors.torch import save

    def half(t: Tensor) -> Tensor:
        return (t.half() if t.dtype.is_floating_point else t).contiguous().cpu()

    # The position code is shared by encoder and scorer: both keys are written, each its own copy.
    tensors = {k: half(v).clone() for k, v in model.state_dict().items()}
    replace_bytes(path, save(tensors, metadata=notes))
