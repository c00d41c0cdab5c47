"""Attention within windows against the plain way: pad, norm, project, attend, cut."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="families need torch")

import torch
from torch import Tensor
from torch.nn import functional

from edgesam_engines.families.sam_vit import Attention
from edgesam_engines.families.tiny_vit import HEAD, WindowAttention

pytestmark = pytest.mark.torch
WINDOW = 7


def seeded(module: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for values in module.parameters():
            values.copy_(torch.randn(values.shape, generator=generator) * 0.3)
    return module.eval()


def in_windows(x: Tensor, h: int, w: int) -> list[tuple[int, int, Tensor]]:
    """Padded with zeros and cut: (first row, first column, (49, C)) of every window."""
    padded = functional.pad(x, (0, 0, 0, -w % WINDOW, 0, -h % WINDOW))
    return [
        (r, c, padded[r : r + WINDOW, c : c + WINDOW].flatten(0, 1))
        for r in range(0, padded.shape[0], WINDOW)
        for c in range(0, padded.shape[1], WINDOW)
    ]


def put_back(parts: list[tuple[int, int, Tensor]], h: int, w: int) -> Tensor:
    rows = max(r for r, _, _ in parts) + WINDOW
    columns = max(c for _, c, _ in parts) + WINDOW
    whole = torch.zeros(rows, columns, parts[0][2].shape[-1])
    for r, c, values in parts:
        whole[r : r + WINDOW, c : c + WINDOW] = values.unflatten(0, (WINDOW, WINDOW))
    return whole[:h, :w]


@pytest.mark.parametrize(("h", "w"), [(14, 7), (10, 12), (8, 8)])
def test_tiny_vits_padding_counts_behind_the_norm(h: int, w: int) -> None:
    layer = seeded(WindowAttention(2 * HEAD, WINDOW))
    x = torch.randn(h, w, 2 * HEAD, generator=torch.Generator().manual_seed(1))

    def attend(cells: Tensor) -> Tensor:
        qkv = layer.qkv(layer.norm(cells)).view(len(cells), 2, 3, HEAD)  # stored head by head
        q, k, v = (qkv[:, :, i].transpose(0, 1) for i in range(3))
        scores = q @ k.transpose(1, 2) * HEAD**-0.5 + layer.attention_biases[:, layer.offsets]
        return layer.proj((scores.softmax(-1) @ v).transpose(0, 1).flatten(1))

    with torch.no_grad():
        plain = put_back([(r, c, attend(p)) for r, c, p in in_windows(x, h, w)], h, w)
        torch.testing.assert_close(layer(x), plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("h", "w"), [(14, 21), (10, 12)])
def test_sams_padding_counts_before_the_projection(h: int, w: int) -> None:
    layer = seeded(Attention(12 * 8, WINDOW))
    x = torch.randn(h, w, 12 * 8, generator=torch.Generator().manual_seed(1))

    def attend(cells: Tensor) -> Tensor:
        q, k, v = layer.qkv(cells).view(len(cells), 3, 12, 8).permute(1, 2, 0, 3)
        at = torch.arange(WINDOW)
        rows, columns = (
            table[at[:, None] - at + WINDOW - 1] for table in (layer.rel_pos_h, layer.rel_pos_w)
        )
        grid = q.unflatten(1, (WINDOW, WINDOW))
        of_rows = torch.einsum("nrchd,rkd->nrck", grid.unsqueeze(3).expand(-1, -1, -1, 1, -1), rows)
        of_columns = torch.einsum("nrchd,ckd->nrck", grid.unsqueeze(3), columns)
        bias = of_rows[..., :, None] + of_columns[..., None, :]
        scores = q @ k.transpose(1, 2) * 8**-0.5 + bias.flatten(3).flatten(1, 2)
        return layer.proj((scores.softmax(-1) @ v).transpose(0, 1).flatten(1))

    with torch.no_grad():
        plain = put_back([(r, c, attend(p)) for r, c, p in in_windows(x, h, w)], h, w)
        torch.testing.assert_close(layer(x), plain, atol=1e-5, rtol=1e-4)


def test_global_attention_in_bands_is_the_whole_attention() -> None:
    layer = seeded(Attention(12 * 4, 24))
    x = torch.randn(24, 24, 12 * 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        q, k, v = layer.qkv(x.flatten(0, 1)).view(576, 3, 12, 4).permute(1, 2, 0, 3).unsqueeze(1)
        whole = layer._attend(q, k, v, 0)[0].transpose(0, 1).flatten(1)
        torch.testing.assert_close(layer(x).flatten(0, 1), layer.proj(whole), atol=1e-5, rtol=1e-4)
