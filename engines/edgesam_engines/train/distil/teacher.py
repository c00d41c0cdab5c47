"""A family's float model in torch, asked as the runtime asks its engines.

Everything comes from the family's graphs and facts, so any row of `families/table.py` can teach.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from edgesam_engines.families.base import Family, GraphSpec
from edgesam_engines.families.pocketsam import TAIL
from edgesam_engines.families.table import TABLE, open_family
from edgesam_rt.cutting import for_squares
from edgesam_rt.errors import ConfigError
from edgesam_rt.imaging.files import no_such_file
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.manifest import COVERED
from edgesam_rt.paths import user_path
from edgesam_rt.preprocess import fit_for, normalised, to_square
from edgesam_rt.prompt_feeds import PromptBatch
from edgesam_rt.types import U8

ANY_SIDE = 512  # of the encoder, for families that take any
EMBEDDINGS = ("image_embeddings", "grid8")  # what is distilled; the first that a family has
_CHUNK = 16  # prompts a call, where a family does not say


class Seen(NamedTuple):
    """A photo that was encoded: the encoder's outputs by name, and where it lies in the square."""

    tensors: Mapping[str, Tensor]
    fit: Fit


class Reply(NamedTuple):
    """Answers to N prompts, M each."""

    logits: Tensor  # (N, M, h, w) of the square
    iou: Tensor  # (N, M)
    tokens: Tensor  # (N, M, D); D = 0 where the family shows none


@dataclass(frozen=True)
class Named:
    """What `--teacher FAMILY:CHECKPOINT` says."""

    family: str
    checkpoint: Path

    def __str__(self) -> str:
        return f"{self.family}:{self.checkpoint}"

    @classmethod
    def parse(cls, text: str) -> Named:
        """Take it apart.

        Raises:
            ConfigError: no family, or no file.
        """
        family, colon, path = text.partition(":")
        if not colon or not path:
            raise ConfigError(
                f"--teacher {text!r}: expected FAMILY:CHECKPOINT, such as "
                f"mobilesam:mobile_sam.pt. Families: {', '.join(TABLE)}."
            )
        open_family(family)
        checkpoint = user_path(path).absolute()
        if not checkpoint.is_file():
            raise ConfigError(f"--teacher: {no_such_file(checkpoint)}")
        return cls(family, checkpoint)

    def sha256(self) -> str:
        """Of the checkpoint, first digits."""
        return hashlib.sha256(self.checkpoint.read_bytes()).hexdigest()[:16]


class Teacher:
    """A loaded model; `token` shows the decoder's mask tokens where the family has them."""

    def __init__(self, family: Family, model: nn.Module, side: int | None = None) -> None:
        self.facts, self._rule = family.decoder, family.preprocess
        self._side = side or int(getattr(family, "side", ANY_SIDE))
        self._encoder = family.encoder_graph(model, self._side, for_int8=False)
        self._parts = dict(family.decoder_graphs(model, self._side, whole=True))
        self._tokens: list[Tensor] = []
        transformer = getattr(getattr(model, "mask_decoder", None), "transformer", None)
        self._watched = isinstance(transformer, nn.Module)
        if isinstance(transformer, nn.Module):
            transformer.register_forward_hook(lambda _m, _x, out: self._tokens.append(out[0]))

    @classmethod
    def load(cls, named: Named) -> Teacher:
        """Read the checkpoint.

        Raises:
            CheckpointError: it is not one of the family.
        """
        family = open_family(named.family)
        return cls(family, family.load(named.checkpoint))

    @torch.no_grad()
    def encode(self, pixels: U8) -> Seen:
        """A photo (H, W, 3) uint8 RGB."""
        fit = fit_for((pixels.shape[0], pixels.shape[1]), self._side, self._rule)
        x = normalised(to_square(pixels, fit, self._rule), fit, self._rule)
        x = x[..., ::-1] if self._rule.colour == "bgr" else x
        made = self._encoder.module(torch.from_numpy(x.transpose(2, 0, 1)[None].copy()))
        return Seen(dict(zip(self._encoder.outputs, made, strict=True)), fit)

    def embedding(self, seen: Seen) -> Tensor:
        """(C, gh, gw): the cells that the photo covers."""
        name = next((n for n in EMBEDDINGS if n in seen.tensors), None)
        if name is None:
            raise ConfigError(
                f"--teacher: this family's encoder gives {', '.join(seen.tensors)}; none of "
                f"{', '.join(EMBEDDINGS)} to learn from."
            )
        cells = seen.tensors[name]
        if cells.ndim == 4:
            planes = cells[0]
        elif cells.ndim == 3:  # rows, columns, channels
            planes = cells.permute(2, 0, 1)
        else:
            grid = round(len(cells) ** 0.5)
            planes = cells.T.reshape(-1, grid, grid)
        return covered(planes, seen.fit)

    @torch.no_grad()
    def ask(self, seen: Seen, batch: PromptBatch) -> Reply:
        """Answers to prompts, some at a time."""
        step = self.facts.prompts_per_call or _CHUNK
        replies = [self._ask(seen, batch[slice(i, i + step)]) for i in range(0, len(batch), step)]
        logits, iou, tokens = (torch.cat(column) for column in zip(*replies, strict=True))
        return Reply(logits, iou, tokens)

    def _ask(self, seen: Seen, batch: PromptBatch) -> Reply:
        squares = for_squares(batch.mask_input, seen.fit, self.facts)
        feeds = {
            **seen.tensors,
            "point_coords": torch.from_numpy(batch.point_coords),
            "point_labels": torch.from_numpy(batch.point_labels),
            "mask_input": torch.from_numpy(np.ascontiguousarray(squares["mask_input"])),
            "has_mask_input": torch.from_numpy(batch.has_mask_input),
            COVERED: torch.from_numpy(np.ascontiguousarray(squares[COVERED])),
        }
        if "decoder" not in self._parts:
            return self._ask_in_two(feeds, len(batch))
        self._tokens.clear()
        logits, iou = _call(self._parts["decoder"], feeds)
        n, m = iou.shape
        tokens = self._tokens[0][:, 1 : 1 + m] if self._watched else logits.new_zeros(n, m, 0)
        return Reply(logits, iou, tokens)

    def _ask_in_two(self, feeds: dict[str, Tensor], n: int) -> Reply:
        """A scorer and a mask head: every mask is made."""
        _, tokens, _ = _call(self._parts["scorer"], feeds)
        m = tokens.shape[1]
        each = {k: v.repeat_interleave(m, 0) for k, v in feeds.items() if _per_prompt(k, v, n)}
        head = {**feeds, **each, "mask_tokens": tokens.flatten(0, 1)}
        logits, iou = _call(self._parts["mask_head"], head)
        planes = logits.view(n, m, *logits.shape[-2:])
        return Reply(planes, iou.view(n, m), tokens[..., :-TAIL])


def _per_prompt(name: str, value: Tensor, n: int) -> bool:
    prompts = ("point_coords", "point_labels", "mask_input", "has_mask_input")
    return name in prompts and len(value) == n


def _call(graph: GraphSpec, feeds: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    made: tuple[Tensor, ...] = graph.module(*(feeds[name] for name in graph.inputs))
    return made


def covered(planes: Tensor, fit: Fit) -> Tensor:
    """(..., h, w) of a whole square to the cells that the photo covers, at least one."""
    h, w = (
        max(1, round(cells * part / fit.side))
        for cells, part in zip(planes.shape[-2:], fit.scaled_hw, strict=True)
    )
    return planes[..., :h, :w]
