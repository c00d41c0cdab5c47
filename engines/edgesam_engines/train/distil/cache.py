"""A teacher's answers on disk: a file per photo, resumable, no larger than allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from edgesam_engines.errors import CheckpointError
from edgesam_engines.train.checkpoint import replace_bytes
from edgesam_engines.train.distil.heads import Shape
from edgesam_engines.train.sources import Entry
from edgesam_rt.sinks.files import write_whole

MAKER, SUFFIX = "maker.json", ".safetensors"


class Answers(NamedTuple):
    """What a teacher says of one photo of (h, w).

    K objects were found; about each it was asked twice, by a box (row 0) and by a point (row 1).
    Positions are in photo sides, [0, 1] in x and y.
    """

    embedding: Tensor  # (C, gh, gw) fp16, the cells that the photo covers
    corners: Tensor  # (K, 2, 2) of the boxes
    points: Tensor  # (K, 2)
    masks: Tensor  # (2, K, mh, mw) uint8, probability of 255, of the photo alone
    trust: Tensor  # (2, K) predicted IoUs
    tokens: Tensor  # (2, K, D) fp16; D = 0 for a teacher that shows none


class AnswerCache:
    """The answers of one teacher, asked by one set of rules."""

    def __init__(self, folder: Path, maker: dict[str, Any], limit_mib: int) -> None:
        """Open or begin a folder.

        Raises:
            CheckpointError: another teacher, or other rules, began it.
        """
        self._folder, self._limit = folder, limit_mib << 20
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / MAKER
        found = msgspec.json.decode(path.read_bytes()) if path.exists() else maker
        if found != maker:
            raise CheckpointError(
                f"{folder}: holds the answers of another teacher, or to other questions: {found}. "
                "Name another --out, or remove this folder."
            )
        if not path.exists():
            write_whole(path, msgspec.json.encode(maker))
        self._held = sum(p.stat().st_size for p in folder.glob(f"*{SUFFIX}"))

    def path(self, entry: Entry) -> Path:
        """Where a photo's answers lie, or will."""
        return self._folder / f"{entry.photo.stem}{SUFFIX}"

    def has(self, entry: Entry) -> bool:
        """Whether they are there; files appear whole or not at all."""
        return self.path(entry).exists()

    def has_room(self) -> bool:
        """Whether another photo's answers may be added."""
        return self._held < self._limit

    def put(self, entry: Entry, answers: Answers) -> None:
        """Write a photo's answers.

        Raises:
            OSError: the disk is full; nothing is left behind.
        """
        tensors = {k: v.contiguous() for k, v in answers._asdict().items()}
        replace_bytes(self.path(entry), save(tensors))
        self._held += self.path(entry).stat().st_size

    def get(self, entry: Entry) -> Answers:
        """Read a photo's answers.

        Raises:
            CheckpointError: the file was damaged.
        """
        try:
            return Answers(**load_file(self.path(entry)))
        except (SafetensorError, OSError, TypeError) as error:
            raise CheckpointError(
                f"{self.path(entry)}: not whole: {error}. Remove it and run again."
            ) from error

    def objects(self, entry: Entry) -> int:
        """How many objects a photo has answers about, without reading all of them."""
        with safe_open(self.path(entry), "pt") as f:
            return int(f.get_slice("points").get_shape()[0])

    def shape(self, entry: Entry) -> Shape:
        """What this teacher gives."""
        answers = self.get(entry)
        return Shape(answers.embedding.shape[0], answers.tokens.shape[-1])


def as_bytes(logits: Tensor) -> Tensor:
    """Logits to probabilities in 255 steps, uint8."""
    return (torch.sigmoid(logits) * 255).round().to(torch.uint8)
