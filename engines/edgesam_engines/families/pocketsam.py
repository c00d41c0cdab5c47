"""PocketSAM: a small promptable segmenter made for 8-bit integers.

Encoder: EfficientNet-Lite0 and a feature pyramid. All that does not depend on a prompt is computed
here, once per image: keys and values for every attention layer, two feature grids to sample
prompts from, and stride-4 pixel features.

Scorer: the prompt's tokens attend to each other and to the image, and out come four predicted IoUs
and four mask tokens. No mask is made yet.

Mask head: one mask token becomes the weights of a tiny three-layer network (a dynamic mask head:
Tian et al. 2020, "Conditional Convolutions for Instance Segmentation") that runs on the shared
pixel features and on coordinates relative to the prompt. So a mask costs about 5 million
multiply-adds, and only those that somebody wants are made.

Shapes use B images, N prompts per image, P points per prompt, T tokens, D channels,
(h, w) the stride-16 grid, (h8, w8) the stride-8 grid, (h4, w4) the stride-4 grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgesam_engines.families.lite0 import TAP_CHANNELS, ConvNorm, Trunk

MASKS = 4  # token 0 answers clear prompts, tokens 1 to 3 an ambiguous point
TRAINED_TOKENS = 5  # points and box corners per prompt in training
PAD_LABEL, BACKGROUND, FOREGROUND, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT = -1, 0, 1, 2, 3

_POINT_EXTENT = 0.25  # half-size, in image sides, assumed of an object known by a point alone
_MIN_BOX_HALF = 0.01
_POINT_SIGMA = 0.08  # width, in image sides, of the pooling window around a point
_BOX_EDGE_SHARPNESS = 2.0  # sigmoid slope of the pooling window at a box edge, per grid cell
_MASK_CLAMP = 8.0  # logits of an earlier mask are clamped to this before they are used again
PLANES = 3  # x, y and 1 behind the pixel features
_MASKED_OUT = -1e4  # additive attention bias of padding; fits into fp16


@dataclass(frozen=True)
class Widths:
    """The sizes that define one member of the family."""

    dim: int = 128
    pyramid: int = 96
    pixel: int = 32
    layers: int = 3
    heads: int = 4
    mask_hidden: int = 8


class Embedding(NamedTuple):
    """What the encoder makes of B images; all that a prompt needs."""

    keys: Tensor  # (B, L, H, D/H, h*w)
    values: Tensor  # (B, L, H, h*w, D/H)
    grid16: Tensor  # (B, h*w, D)
    grid8: Tensor  # (B, h8, w8, D)
    pixels: Tensor  # (B, C, h4, w4)


class Prompts(NamedTuple):
    """N prompts for each of B images."""

    coords: Tensor  # (B, N, P, 2) x, y in image sides, [0, 1]
    labels: Tensor  # (B, N, P) float; the constants above
    mask: Tensor  # (B, N or 1, h4, w4) logits of an earlier round
    has_mask: Tensor  # (B, N, 1) 1.0 where `mask` counts


class Frame(NamedTuple):
    """Where a prompt's own coordinate system lies, in image sides."""

    centre: Tensor  # (B, N, 2)
    half: Tensor  # (B, N, 2)


class Separable(nn.Module):
    """Residual depthwise-separable block that ends in ReLU6."""

    def __init__(self, channels: int, kernel: int = 5) -> None:
        super().__init__()
        self.depthwise = ConvNorm(channels, channels, kernel, groups=channels)
        self.pointwise = ConvNorm(channels, channels, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return F.relu6(x + self.pointwise(self.depthwise(x)))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def cell_centres(n: int, like: Tensor) -> Tensor:
    """(n,) centres of n equal cells of [0, 1]."""
    return (torch.arange(n, device=like.device, dtype=torch.float32) + 0.5) / n


class PositionCode(nn.Module):
    """Random Fourier features of positions (Tancik et al. 2020), one matrix for the whole model."""

    frequencies: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(2, dim // 2))

    def forward(self, xy: Tensor) -> Tensor:
        """(..., 2) in [0, 1] to (..., dim)."""
        angle = (2 * xy - 1) @ self.frequencies * (2 * math.pi)
        return torch.cat([angle.sin(), angle.cos()], -1)


class Encoder(nn.Module):
    """Image to everything that no prompt changes."""

    def __init__(self, widths: Widths, position: PositionCode) -> None:
        super().__init__()
        w = widths
        self.widths = w
        self.position = position
        self.trunk = Trunk()
        sides = (64, w.pyramid, w.pyramid, w.pyramid)
        self.lateral = nn.ModuleList(
            ConvNorm(c, out, act=False) for c, out in zip(TAP_CHANNELS, sides, strict=True)
        )
        self.context = nn.Conv2d(w.pyramid, w.pyramid, 1)
        self.mix32 = nn.Sequential(Separable(w.pyramid), Separable(w.pyramid))
        self.mix16 = nn.Sequential(Separable(w.pyramid), Separable(w.pyramid))
        self.mix8 = nn.Sequential(Separable(w.pyramid), Separable(w.pyramid))
        self.narrow = ConvNorm(w.pyramid, 64, act=False)
        self.mix4 = nn.Sequential(Separable(64), Separable(64, 3))
        self.to_grid16 = ConvNorm(w.pyramid, w.dim, act=False)
        self.to_grid8 = ConvNorm(w.pyramid, w.dim, act=False)
        self.to_pixels = nn.Conv2d(64, w.pixel, 1)
        self.keys_values = nn.Conv2d(w.dim, 2 * w.dim * w.layers, 1)
        self.key_position = nn.Linear(w.dim, w.dim * w.layers, bias=False)

    def forward(self, x: Tensor) -> Embedding:
        """(B, 3, S, S) float, RGB, (value - 127) / 128, S a multiple of 32, to an Embedding."""
        return self.pyramid(self.trunk(x))

    def pyramid(
        self, taps: list[Tensor], double: Callable[[Tensor], Tensor] = _double
    ) -> Embedding:
        """The trunk's four maps to an Embedding.

        Apart from `forward` so that training can freeze early blocks, and export can double sizes
        in the way that a board's kernels like (`double` repeats each value 2x2).
        """
        c4, c8, c16, c32 = taps
        p32 = self.lateral[3](c32)
        p32 = self.mix32(p32 + self.context(p32.mean((2, 3), keepdim=True)))
        p16 = self.mix16(self.lateral[2](c16) + double(p32))
        p8 = self.mix8(self.lateral[1](c8) + double(p16))
        p4 = self.mix4(self.lateral[0](c4) + double(self.narrow(p8)))
        grid16 = self.to_grid16(p16)
        grid8 = self.to_grid8(p8)
        w = self.widths
        n_l, n_h, d = w.layers, w.heads, w.dim // w.heads
        batch, _, h, wd = grid16.shape
        keys, values = self.keys_values(grid16).chunk(2, 1)
        keys = keys + self._key_position(h, wd, x=grid16)
        return Embedding(
            keys=keys.reshape(batch, n_l, n_h, d, h * wd),
            values=values.reshape(batch, n_l, n_h, d, h * wd).transpose(-1, -2),
            grid16=grid16.flatten(2).transpose(1, 2),
            grid8=grid8.permute(0, 2, 3, 1),
            pixels=self.to_pixels(p4),
        )

    def _key_position(self, h: int, w: int, x: Tensor) -> Tensor:
        ys, xs = torch.meshgrid(cell_centres(h, x), cell_centres(w, x), indexing="ij")
        code = self.key_position(self.position(torch.stack([xs, ys], -1)))
        return cast(Tensor, code.permute(2, 0, 1))


class TokenLayer(nn.Module):
    """Pre-norm layer: tokens attend to their own prompt's tokens, then to the image, then a MLP."""

    def __init__(self, dim: int, heads: int, mlp: int = 256) -> None:
        super().__init__()
        self.norm_self, self.norm_image, self.norm_mlp = (nn.LayerNorm(dim) for _ in range(3))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out_self = nn.Linear(dim, dim)
        self.query = nn.Linear(dim, dim)
        self.out_image = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp), nn.ReLU(), nn.Linear(mlp, dim))
        self.heads = heads

    def forward(self, x: Tensor, bias: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Update the tokens.

        x (B, N, T, D); bias (B, N, 1, 1, T) added to self-attention scores; keys (B, H, d, S) and
        values (B, H, S, d) of the images, shared by their prompts.
        """
        b, n, t, dim = x.shape
        heads, d = self.heads, dim // self.heads
        q, k, v = self.qkv(self.norm_self(x)).view(b, n, t, 3, heads, d).permute(3, 0, 1, 4, 2, 5)
        weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(d) + bias, -1)
        x = x + self.out_self((weights @ v).transpose(2, 3).reshape(b, n, t, dim))
        q = self.query(self.norm_image(x)).view(b, n * t, heads, d).transpose(1, 2)
        weights = torch.softmax((q / math.sqrt(d)) @ keys, -1)
        x = x + self.out_image((weights @ values).transpose(1, 2).reshape(b, n, t, dim))
        return cast(Tensor, x + self.mlp(self.norm_mlp(x)))


class Scorer(nn.Module):
    """Prompts to predicted IoUs and mask tokens; makes no mask."""

    def __init__(self, widths: Widths, position: PositionCode) -> None:
        super().__init__()
        dim = widths.dim
        self.position = position
        self.layers = nn.ModuleList(TokenLayer(dim, widths.heads) for _ in range(widths.layers))
        self.mask_tokens = nn.Parameter(torch.randn(MASKS, dim) * 0.5)
        self.label = nn.Embedding(5, dim)  # row = label + 1
        self.region_kind = nn.Embedding(3, dim)  # point, box, earlier mask
        self.local = nn.Linear(dim, dim)
        self.region = nn.Linear(dim, dim)
        self.anchor = nn.Linear(dim + 2, dim)
        self.norm = nn.LayerNorm(dim)
        self.iou = nn.Sequential(nn.Linear(dim, 128), nn.ReLU(), nn.Linear(128, 1))

    def forward(self, e: Embedding, prompts: Prompts) -> tuple[Tensor, Tensor]:
        """Score the answers to every prompt.

        Returns:
            iou_logits (B, N, MASKS), before the sigmoid, and tokens (B, N, MASKS, D + 4): the mask
            token, then centre and half-size of the prompt's frame.
        """
        memory = [(e.keys[:, i], e.values[:, i]) for i in range(len(self.layers))]
        return self.score(memory, e.grid16, e.grid8, prompts)

    def score(
        self,
        memory: Sequence[tuple[Tensor, Tensor]],
        grid16: Tensor,
        grid8: Tensor,
        prompts: Prompts,
    ) -> tuple[Tensor, Tensor]:
        """The same with keys and values already taken apart by layer, as boards want them."""
        centre, half, window = self._frame_and_window(prompts, grid8)
        valid = (prompts.labels >= 0).float()
        points = self._point_tokens(prompts, valid, grid8)
        has_box = (prompts.labels == BOX_TOP_LEFT).float().amax(-1)
        kind = 2 * prompts.has_mask.squeeze(-1) + (1 - prompts.has_mask.squeeze(-1)) * has_box
        at = self.position(centre)
        region = self.region(window @ grid16) + self.region_kind(kind.long()) + at
        anchor = self.anchor(torch.cat([at, half * 4], -1)) + region
        x = torch.cat([self.mask_tokens + anchor.unsqueeze(2), region.unsqueeze(2), points], 2)
        seen = torch.cat([torch.ones_like(x[..., : MASKS + 1, 0]), valid], -1)
        bias = ((1 - seen) * _MASKED_OUT)[:, :, None, None, :]
        for layer, (keys, values) in zip(self.layers, memory, strict=True):
            x = layer(x, bias, keys, values)
        tokens = self.norm(x[:, :, :MASKS])
        place = torch.cat([centre, half], -1).unsqueeze(2)
        place = place + torch.zeros_like(tokens[..., :1])  # one copy per mask token
        return self.iou(tokens).squeeze(-1), torch.cat([tokens, place], -1)

    def _point_tokens(self, prompts: Prompts, valid: Tensor, grid8: Tensor) -> Tensor:
        local = self.local(sample_bilinear(grid8, prompts.coords))
        found = (self.position(prompts.coords) + local) * valid.unsqueeze(-1)
        return cast(Tensor, found + self.label((prompts.labels + 1).long()))

    def _frame_and_window(self, prompts: Prompts, grid8: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The prompt's frame, and its pooling window (B, N, h*w) on the stride-16 grid, sum 1."""
        xy, labels = prompts.coords, prompts.labels
        corner0 = (labels == BOX_TOP_LEFT).float()
        corner1 = (labels == BOX_BOTTOM_RIGHT).float()
        p0 = (xy * corner0.unsqueeze(-1)).sum(2)
        p1 = (xy * corner1.unsqueeze(-1)).sum(2)
        has_box = corner0.amax(-1, keepdim=True)
        foreground = (labels == FOREGROUND).float()
        first = foreground * (foreground.cumsum(-1) == 1).float()
        has_point = foreground.amax(-1, keepdim=True)
        point = (xy * first.unsqueeze(-1)).sum(2) * has_point + 0.5 * (1 - has_point)
        centre = has_box * (p0 + p1) / 2 + (1 - has_box) * point
        half = has_box * ((p1 - p0) / 2).clamp(min=_MIN_BOX_HALF) + (1 - has_box) * _POINT_EXTENT

        h, w = (n // 2 for n in grid8.shape[1:3])
        ys, xs = cell_centres(h, xy), cell_centres(w, xy)

        def inside(cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
            slope = cells.shape[0] * _BOX_EDGE_SHARPNESS
            return torch.sigmoid((cells - low) * slope) * torch.sigmoid((high - cells) * slope)

        def near(cells: Tensor, middle: Tensor) -> Tensor:
            return torch.exp(-(((cells - middle) / _POINT_SIGMA) ** 2))

        x_window = has_box * inside(xs, p0[..., :1], p1[..., :1])
        x_window = x_window + (1 - has_box) * near(xs, point[..., :1])
        y_window = has_box * inside(ys, p0[..., 1:], p1[..., 1:])
        y_window = y_window + (1 - has_box) * near(ys, point[..., 1:])
        window = y_window.unsqueeze(-1) * x_window.unsqueeze(-2)
        earlier = F.avg_pool2d(torch.sigmoid(prompts.mask), 4)
        use = prompts.has_mask.unsqueeze(-1)
        window = (use * earlier + (1 - use) * window).flatten(2)
        return centre, half, window / (window.sum(-1, keepdim=True) + 1e-4)


def sample_bilinear(grid: Tensor, xy: Tensor) -> Tensor:
    """Features at positions, zero outside: (B, h, w, D) at (B, N, P, 2) in [0, 1] to (B, N, P, D).

    Written as four gathers because every board's runtime has that op, and few have grid sampling.
    """
    b, h, w, dim = grid.shape
    flat = grid.reshape(b * h * w, dim)
    image = torch.arange(b, device=grid.device).view(b, 1, 1) * (h * w)
    x, y = xy[..., 0] * w - 0.5, xy[..., 1] * h - 0.5
    x0, y0 = x.floor(), y.floor()
    total = torch.zeros((), device=grid.device, dtype=grid.dtype)
    for dy in (0, 1):
        for dx in (0, 1):
            cx, cy = x0 + dx, y0 + dy
            inside = ((cx >= 0) & (cx <= w - 1) & (cy >= 0) & (cy <= h - 1)).float()
            weight = (1 - (x - cx).abs()) * (1 - (y - cy).abs()) * inside
            index = cy.clamp(0, h - 1).long() * w + cx.clamp(0, w - 1).long() + image
            total = total + flat[index.flatten()].view(*xy.shape[:-1], dim) * weight.unsqueeze(-1)
    return total


class MaskHead(nn.Module):
    """Mask tokens to low-resolution logits.

    Per pixel: hidden = relu(W1 [features, dx, dy, r, earlier, 1]), hidden = relu(W2 hidden), and
    logit = w3 hidden + w4 features, all W made from the token. The part of W1 that is linear in the
    shared features, x, y and 1 is one matrix product for all masks; only the radius r and the
    earlier mask are planes of their own per prompt.
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.pixel, self.hidden, self.dim = widths.pixel, widths.mask_hidden, widths.dim
        h, c = self.hidden, self.pixel
        self.sizes = [h * (c + 5), h * (h + 1), h + 1, c]
        self.kernel = nn.Sequential(
            nn.Linear(widths.dim, 256), nn.ReLU(), nn.Linear(256, sum(self.sizes))
        )
        last = cast(nn.Linear, self.kernel[2])
        nn.init.normal_(last.weight, std=0.01)
        nn.init.normal_(last.bias, std=0.1)

    def forward(self, pixels: Tensor, tokens: Tensor, mask: Tensor, has_mask: Tensor) -> Tensor:
        """Make masks.

        Args:
            pixels: (B, C, h4, w4).
            tokens: (B, K, D + 4) as the scorer gives them, already chosen.
            mask: (B, K or 1, h4, w4) logits of an earlier round.
            has_mask: (B, K, 1).

        Returns:
            (B, K, h4, w4) logits, unbounded.
        """
        return self.paint(ground_planes(pixels), tokens, mask, has_mask)

    def paint(self, ground: Tensor, tokens: Tensor, mask: Tensor, has_mask: Tensor) -> Tensor:
        """The same on pixel features that already have their planes, (B, C + 3, h4, w4)."""
        b, k = tokens.shape[:2]
        c, hid = self.pixel, self.hidden
        h, w = ground.shape[-2:]
        ground = ground.flatten(2)
        token, centre, half = torch.split(tokens, [self.dim, 2, 2], -1)
        first, second, third, skip = torch.split(self.kernel(token), self.sizes, -1)
        first = first.view(b, k, hid, c + 5)
        features, slope, radial, bias = torch.split(first, [c, 2, 2, 1], -1)
        slope = slope / half.unsqueeze(2)
        bias = bias - (slope * centre.unsqueeze(2)).sum(-1, keepdim=True)
        shared = torch.cat([features, slope, bias], -1).view(b, k * hid, c + PLANES)

        dx = (cell_centres(w, ground) - centre[..., :1]) / half[..., :1]
        dy = (cell_centres(h, ground) - centre[..., 1:]) / half[..., 1:]
        radius = ((dy * dy).unsqueeze(-1) + (dx * dx + 1e-4).unsqueeze(-2)).sqrt()
        earlier = mask.clamp(-_MASK_CLAMP, _MASK_CLAMP) * (has_mask / 4).unsqueeze(-1)
        own = torch.stack([radius, earlier], 2).flatten(3)

        x = (shared @ ground).view(b, k, hid, h * w)
        x = F.relu(x + radial @ own)
        second = second.view(b, k, hid, hid + 1)
        x = F.relu(second[..., :hid] @ x + second[..., hid:])
        third = third.unsqueeze(2)
        x = third[..., :hid] @ x + third[..., hid:]
        y: Tensor = x.squeeze(2) + F.pad(skip, (0, PLANES)) @ ground
        return y.view(b, k, h, w)


def ground_planes(pixels: Tensor) -> Tensor:
    """Pixel features with the planes x, y and 1 behind them: (B, C, h, w) to (B, C + 3, h, w)."""
    b, _, h, w = pixels.shape
    xs, ys = cell_centres(w, pixels), cell_centres(h, pixels)
    planes = [xs.expand(h, w), ys.unsqueeze(-1).expand(h, w), torch.ones_like(pixels[0, 0])]
    return torch.cat([pixels, torch.stack(planes).expand(b, PLANES, h, w)], 1)


class PocketSAM(nn.Module):
    """Encoder, scorer and mask head, sharing one position code."""

    def __init__(self, widths: Widths | None = None) -> None:
        super().__init__()
        widths = widths or Widths()
        self.widths = widths
        position = PositionCode(widths.dim)
        self.encoder = Encoder(widths, position)
        self.scorer = Scorer(widths, position)
        self.mask_head = MaskHead(widths)

    def decode(
        self, e: Embedding, prompts: Prompts, keep: slice = slice(None)
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, N, M, h4, w4) of the kept mask tokens, and their IoU logits (B, N, M)."""
        iou, tokens = self.scorer(e, prompts)
        iou, tokens = iou[:, :, keep], tokens[:, :, keep]
        b, n, m, width = tokens.shape

        def per_mask(t: Tensor) -> Tensor:
            return t.unsqueeze(2).expand(b, n, m, *t.shape[2:]).flatten(1, 2)

        mask = prompts.mask.expand(b, n, -1, -1)
        logits = self.mask_head(
            e.pixels, tokens.reshape(b, n * m, width), per_mask(mask), per_mask(prompts.has_mask)
        )
        return logits.view(b, n, m, *logits.shape[-2:]), iou
