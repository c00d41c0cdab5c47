"""Attention between a few prompt tokens and the image, arranged so that the image side stays put.

With T tokens and 8 heads, T * 8 is less than the 128 columns of a projection as long as T < 17. So
the projections of the image (4096 x 256 x 128 multiply-adds each) are moved to the tokens' side:
`(keys W_k) . q = keys . (W_k q)`, and likewise for values. The results are the same numbers; bias
terms that are constant over what a softmax runs over fall away. In the first layer the image is the
same for all prompts, and its projections come out of the encoder instead.

Shapes: N prompts, T tokens, H heads of D, L cells of the image, C channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edgesam_engines.families.sam_parts import reshape

HEADS = 8


class Attention(nn.Module):
    """Projections of one attention, with upstream's names; `inner` is the width over all heads."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.head = inner // HEADS
        self.scale = 1 / math.sqrt(self.head)
        self.q_proj = nn.Linear(dim, inner)
        self.k_proj = nn.Linear(dim, inner)
        self.v_proj = nn.Linear(dim, inner)
        self.out_proj = nn.Linear(inner, dim)

    def split(self, x: Tensor) -> Tensor:
        """(N, T, H * D) to (N, H, T, D)."""
        return reshape(x, 0, 0, HEADS, -1).transpose(1, 2)

    def join(self, x: Tensor) -> Tensor:
        """(N, H, T, D) to (N, T, C): heads side by side, projected."""
        made: Tensor = self.out_proj(reshape(x.transpose(1, 2), 0, 0, -1))
        return made

    def by_head(self, projection: nn.Linear) -> Tensor:
        """A projection's weights as (H, D, C)."""
        return projection.weight.view(HEADS, self.head, -1)

    def out_by_head(self) -> Tensor:
        """The weights of `out_proj` as (H, D, C)."""
        return self.out_proj.weight.T.reshape(HEADS, self.head, -1)


def side_by_side(x: Tensor) -> Tensor:
    """(N, H, T, K) to (N, H * T, K)."""
    return reshape(x, 0, -1, x.shape[-1])


class SelfAttention(Attention):
    """Among the tokens of a prompt."""

    def forward(self, queries: Tensor, values: Tensor, absent: Tensor) -> Tensor:
        """(N, T, C) from what queries and keys are made of, and what values are.

        Args:
            queries: (N, T, C).
            values: (N, T, C).
            absent: (N, T), 0 or a very negative number for tokens that are not there.
        """
        q = self.split(self.q_proj(queries)) * self.scale
        k, v = self.split(self.k_proj(queries)), self.split(self.v_proj(values))
        scores = q @ k.transpose(-2, -1) + absent[:, None, None]
        return self.join(scores.softmax(-1) @ v)


class TokenToImage(Attention):
    """Tokens look at the image."""

    def forward(self, queries: Tensor, keys: Tensor, placed: Tensor) -> Tensor:
        """(N, T, C) from queries (N, T, C), the image (N, L, C), and it with positions added."""
        q = self.split(self.q_proj(queries)) * self.scale
        moved = side_by_side(q @ self.by_head(self.k_proj))
        weights = (moved @ placed.transpose(1, 2)).softmax(-1)
        seen = reshape(weights @ keys, 0, HEADS, -1, keys.shape[-1])
        values = seen @ self.by_head(self.v_proj).transpose(1, 2)
        return self.join(values + self.v_proj.bias.view(HEADS, 1, self.head))

    def of_image(self, image: Tensor, placed: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (H, D, L) and values (H, L, D) of an image (L, C), once for all prompts."""
        k = self.k_proj(placed).view(-1, HEADS, self.head)
        v = self.v_proj(image).view(-1, HEADS, self.head)
        return k.permute(1, 2, 0), v.transpose(0, 1)

    def shared(
        self, queries: Tensor, keys: Tensor, values: Tensor, planes: Tensor, added: Tensor
    ) -> Tensor:
        """As `forward`, with what `of_image` made, and a mask's planes (see `PromptEncoder`).

        Args:
            queries: (N, T, C).
            keys: (H, D, L), of the image.
            values: (H, L, D), of the image.
            planes: (N, L, 17).
            added: (17, C), what a plane adds to the image.
        """
        q = self.split(self.q_proj(queries)) * self.scale
        key_planes = self.by_head(self.k_proj) @ added.T
        scores = q @ keys + (q @ key_planes) @ planes.transpose(1, 2).unsqueeze(1)
        weights = scores.softmax(-1)
        value_planes = added @ self.by_head(self.v_proj).transpose(1, 2)
        return self.join(weights @ values + (weights @ planes.unsqueeze(1)) @ value_planes)


class ImageToToken(Attention):
    """The image looks at the tokens."""

    def forward(self, placed: Tensor, queries: Tensor, values: Tensor, absent: Tensor) -> Tensor:
        """(N, L, C) to add to the image.

        Args:
            placed: (N, L, C), the image with positions added.
            queries: (N, T, C), tokens with their codes added.
            values: (N, T, C), tokens.
            absent: (N, T), see `SelfAttention`.
        """
        k = self.split(self.k_proj(queries)) * self.scale
        moved = side_by_side(k @ self.by_head(self.q_proj))
        scores = placed @ moved.transpose(1, 2) + self._constant(k, absent)
        return self._weigh(scores) @ self.seen(values) + self.out_proj.bias

    def of_image(self, placed: Tensor) -> Tensor:
        """(L, H * D) of an image (L, C), once for all prompts; without the bias."""
        return placed @ self.q_proj.weight.T

    def shared_weights(
        self, image: Tensor, queries: Tensor, absent: Tensor, planes: Tensor, added: Tensor
    ) -> Tensor:
        """(N, L, H * T): how much each cell takes from each token, with what `of_image` made.

        Args:
            image: (L, H * D).
            queries: as in `forward`.
            absent: as in `forward`.
            planes: as in `TokenToImage.shared`.
            added: as in `TokenToImage.shared`.
        """
        k = self.split(self.k_proj(queries)) * self.scale
        apart = torch.eye(HEADS)[:, None, :, None] * k.transpose(-2, -1).unsqueeze(3)
        apart = reshape(apart, 0, HEADS * self.head, -1)
        of_planes = side_by_side(k @ (self.by_head(self.q_proj) @ added.T))
        scores = image @ apart + planes @ of_planes.transpose(1, 2)
        return self._weigh(scores + self._constant(k, absent))

    def seen(self, values: Tensor) -> Tensor:
        """(N, H * T, C): what each head of each token gives to a cell that takes it whole."""
        return side_by_side(self.split(self.v_proj(values)) @ self.out_by_head())

    def _constant(self, k: Tensor, absent: Tensor) -> Tensor:
        """(N, 1, H * T) that is the same for all cells."""
        bias = (k @ self.q_proj.bias.view(HEADS, self.head, 1)).squeeze(-1)
        return reshape(bias + absent.unsqueeze(1), 0, 1, -1)

    def _weigh(self, scores: Tensor) -> Tensor:
        """Softmax over the tokens of every head."""
        heads = reshape(scores, 0, 0, HEADS, -1).softmax(-1)
        return reshape(heads, 0, scores.shape[1], -1)
