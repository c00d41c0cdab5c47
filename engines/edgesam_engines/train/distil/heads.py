"""The losses of a distillation, and the layers that only they need.

A published teacher's embedding has 256 channels at stride 16 of 1024 px, PocketSAM's two grids have
128 at strides 8 and 16 of what it looks at; so light projections stand between them. They are part
of a training and of nothing that ships.
"""

from __future__ import annotations

import dataclasses

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesam_engines.families.pocketsam import Embedding, Widths
from edgesam_engines.train.config import Distil
from edgesam_engines.train.rounds import First, Game, Stats, run_rounds, without_mask
from edgesam_engines.train.samples import TeacherView

_FLOOR = 1e-6  # of a mean absolute value that is divided by


class Shape(msgspec.Struct, frozen=True):
    """What a teacher gives: channels of its embedding, width of its tokens (0: it shows none)."""

    channels: int
    token: int


class Heads(nn.Module):
    """Projections from PocketSAM's embedding and mask tokens to a teacher's."""

    def __init__(self, shape: Shape, rules: Distil, widths: Widths | None = None) -> None:
        super().__init__()
        dim = (widths or Widths()).dim
        self.rules = rules
        self.from8 = nn.Conv2d(dim, shape.channels, 1)
        self.from16 = nn.Conv2d(dim, shape.channels, 1, bias=False)
        self.token = nn.Linear(dim, shape.token) if shape.token else None

    def project(self, e: Embedding) -> Tensor:
        """PocketSAM's embedding of whole squares as the teacher's: (B, C, S / 8, S / 8)."""
        b, h, w, d = e.grid8.shape
        fine: Tensor = self.from8(e.grid8.permute(0, 3, 1, 2).float())
        coarse = e.grid16.float().view(b, h // 2, w // 2, d).permute(0, 3, 1, 2)
        return fine + functional.interpolate(self.from16(coarse), size=(h, w), mode="bilinear")

    def loss(self, game: Game, view: TeacherView, step: int) -> tuple[Tensor, Stats]:
        """The full-stage loss of a step, in its first steps that of the encoder alone.

        MobileSAM trains the encoder by itself, on the teacher's embeddings and without prompts
        ("decoupled distillation": Zhang et al. 2023, "Faster Segment Anything", section 3.2), and
        keeps the teacher's decoder. PocketSAM's decoder is another one; so after `encoder_steps`
        all of it learns, by TinySAM's full-stage loss (Shu et al. 2023, "TinySAM", section 3.1):

            a L1(embedding) + b L1(tokens) + sum_i H_i L(mask_i)

        L(mask) is the training's own loss on the teacher's probabilities; H_i is `losses.
        hard_weight`; the clicks of later rounds fall where the student misses the teacher's mask
        ("hard prompt sampling": `prompts.error_clicks`). Predicted IoUs learn the achieved IoU
        times the one the teacher predicts for itself.

        Source: the papers named, and for a and b this project: they are not stated there, so both
        distances are relative (`relative_l1`) and one pair of weights suits every teacher.
        """
        made = self.project(game.embedding)
        apart = relative_l1(made, view.embedding.to(made.device).float(), view.seen.to(made.device))
        stats = {"embedding": float(apart.detach())}
        loss = self.rules.embedding * apart
        if step >= self.rules.encoder_steps:
            answers, more = run_rounds(self._asked(game, view, stats))
            loss, stats = loss + answers, {**stats, **more}
        return loss, {**stats, "loss": float(loss.detach())}

    def _asked(self, game: Game, view: TeacherView, stats: Stats) -> Game:
        """The game with the teacher's prompts, its trust in its masks, and its tokens."""
        device, targets = game.targets.coarse.device, game.targets
        coords, labels = view.coords.to(device), view.labels.to(device)
        first = First(without_mask(coords, labels, targets.coarse), view.boxes)
        wanted = view.tokens.to(device).float()

        def token_loss(tokens: Tensor) -> Tensor:
            assert self.token is not None
            apart = relative_l1(self.token(tokens), wanted, torch.ones_like(wanted[..., :1]))
            stats["tokens"] = float(apart.detach())
            return self.rules.tokens * apart

        return dataclasses.replace(
            game,
            targets=targets._replace(trust=view.trust.to(device)),
            first=first,
            token_loss=token_loss if self.token is not None else None,
        )


def relative_l1(made: Tensor, wanted: Tensor, counted: Tensor) -> Tensor:
    """Mean absolute difference in parts of what is wanted; 1 for an answer of zeros.

    Args:
        made: any shape.
        wanted: the same.
        counted: 1.0 where it counts, 0.0 elsewhere; of a shape that broadcasts.
    """
    size = (wanted.abs() * counted).sum()
    return ((made - wanted).abs() * counted).sum() / size.clamp(min=_FLOOR)
