"""Weights from and to files; nothing in a file is ever run."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edgesam_engines.errors import CheckpointError

_SHOWN = 3
_NAMED = re.compile(r"GLOBAL ([\w.]+)")  # how torch names what a pickle wants to call
_WRAPPERS = ("model", "state_dict")  # keys under which published files keep their weights


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read weights as fp32 from safetensors or from torch's own format, by the file's name.

    Raises:
        CheckpointError: no such file, incomplete, or it holds something else than weights.
    """
    return read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read weights as fp32.

    Raises:
        CheckpointError: no such file, or not a safetensors file.
    """
    _require_file(path)
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"checkpoint {path}: not a complete safetensors file: {error}."
        ) from error
    return _as_fp32(weights)


def read_torch(path: Path) -> dict[str, Tensor]:
    """Read a state dict as fp32, on the CPU wherever it was saved; also one inside a wrapper.

    Raises:
        CheckpointError: no such file, incomplete, a pickle that would run code, or no state dict.
    """
    _require_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles' old forms; what matters is raised
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, str(error))) from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError) as error:
        raise CheckpointError(
            f"checkpoint {path}: not a complete file of torch's: {_first_sentence(error)}. "
            "Download it again."
        ) from error
    for key in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found or not _all_tensors(found):
        raise CheckpointError(
            f"checkpoint {path}: expected a dict of tensors by name, got {_kind(found)}. "
            "Save the model's state_dict()."
        )
    return _as_fp32(found)


def _refusal(path: Path, reason: str) -> str:
    """Why a pickle was not read: it names code to run, or it is none."""
    named = _NAMED.search(reason)
    if named is None:
        return f"checkpoint {path}: not a file of torch's, or a damaged one. Download it again."
    return (
        f"checkpoint {path}: more than weights: reading it would run {named[1]}; refused. In the "
        "project it comes from, load it and save its state_dict()."
    )


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise CheckpointError(f"checkpoint {path}: a folder. Name the file in it.")
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path}: no such file.")


def _first_sentence(error: Exception) -> str:
    first = (str(error).splitlines() or ["its end is missing"])[0]
    return first.split(". ")[0].rstrip(".")


def _all_tensors(found: Mapping[Any, Any]) -> bool:
    return all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items())


def _kind(found: object) -> str:
    if not isinstance(found, dict):
        return type(found).__name__
    keys = [str(k) for k in found]
    return f"a dict of {len(keys)} ({first_few(keys)})" if keys else "an empty dict"


def _as_fp32(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}


def write_fp16(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write weights as fp16 safetensors."""
    halves = {k: v.detach().half().contiguous() for k, v in weights.items()}
    save_file(halves, path)


def first_few(names: list[str]) -> str:
    """The first names of a list, and a sign that there are more."""
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def load_strictly(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    path: Path,
    family: str,
    looks_like: str | None = None,
) -> None:
    """Load weights whose names and shapes must all fit.

    Args:
        model: takes them.
        weights: by name.
        path: of the file they come from, for messages.
        family: what they ought to be.
        looks_like: what they seem to be, for the message if they do not fit.

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
            f"{len(names)} {what} ({first_few(names)})"
            for what, names in (("missing", missing), ("unknown", extra), ("of other shape", wrong))
            if names
        )
        hint = f" It looks like {looks_like}." if looks_like else ""
        raise CheckpointError(f"checkpoint {path}: not {family}: {found}.{hint}")
    broken = sorted(k for k, v in weights.items() if not torch.isfinite(v).all())
    if broken:
        raise CheckpointError(
            f"checkpoint {path}: values that are not finite numbers in {len(broken)} of its "
            f"tensors ({first_few(broken)}). Download it again, or save it before it diverged."
        )
    with torch.no_grad():
        model.load_state_dict(dict(weights), strict=False)
