"""Attention within square windows of a map, without work on the windows' padding.

Published encoders pad a map to whole windows, norm included, before they project it; padding then
counts as keys and values. Here the map is projected first, and the same answer comes out for less:

- what all keys have in common changes no softmax, so keys need no bias, and a padded key is zero;
- weights of values sum to one, so a bias of the values can wait until after the attention (here: in
  the bias of the projection behind it), and a padded value is zero;
- a padded query is cut off again, whatever it is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Projections(NamedTuple):
    """Weights of an attention arranged for windows.

    Attributes:
        query, key, value: (C, C) each.
        query_bias: (C,).
        out_bias: (C,), of the projection behind the attention.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    query_bias: Tensor
    out_bias: Tensor


def arranged(weight: Tensor, bias: Tensor, proj: nn.Linear, scale: float) -> Projections:
    """From stacked projections; the scores' scale goes into the queries.

    Args:
        weight: (3 C, C), all queries first, then keys, then values.
        bias: (3 C,), what a padded token is projected to.
        proj: the projection behind the attention.
        scale: of the scores.
    """
    query, key, value = weight.chunk(3)
    query_bias, _, value_bias = bias.chunk(3)
    out_bias = proj.bias + proj.weight @ value_bias
    return Projections(query * scale, key, value, query_bias * scale, out_bias)


def divided(x: Tensor, window: int, head: int) -> Tensor:
    """(H, W, C) to (windows, heads, cells, head), padded with zeros to whole windows."""
    h, w = (int(n) for n in x.shape[:2])  # int: the trace takes it as a constant
    bottom, right = -h % window, -w % window
    if right:
        x = torch.cat([x, torch.zeros(h, right, int(x.shape[2]))], 1)
    if bottom:
        x = torch.cat([x, torch.zeros(bottom, w + right, int(x.shape[2]))])
    x = x.view((h + bottom) // window, window, (w + right) // window, window, -1, head)
    return x.permute(0, 2, 4, 1, 3, 5).flatten(3, 4).flatten(0, 1)


def joined(x: Tensor, h: int, w: int, window: int) -> Tensor:
    """The way back: (windows, heads, cells, head) to (H, W, C) without padding."""
    rows, columns = -(-h // window), -(-w // window)
    heads, head = int(x.shape[1]), int(x.shape[3])
    x = x.view(rows, columns, heads, window, window, head).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(rows * window, columns * window, heads * head)[:h, :w]
