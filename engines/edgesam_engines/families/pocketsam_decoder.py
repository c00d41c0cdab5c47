"""PocketSAM's decoder: a scorer that makes no mask, a mask head that makes chosen ones, a judge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgesam_engines.families.pocketsam_parts import (
    BACKGROUND,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND,
    MASKS,
    Covered,
    Embedding,
    PositionCode,
    Prompts,
    Widths,
    cell_centres,
    longest,
)

_POINT_EXTENT = 0.25  # half-size, in image sides, assumed of an object known by a point alone
_MIN_BOX_HALF = 0.01
_MIN_FRAME_HALF = 0.004
_FRAME_REACH = 4.0  # a frame moves by at most this many half-sizes, and scales by exp of it
_POINT_SIGMA = 0.08  # width, in image sides, of the pooling window around a point
_BOX_EDGE_SHARPNESS = 2.0  # sigmoid slope of the pooling window at a box edge, per grid cell
_MASK_CLAMP = 8.0  # logits of an earlier mask are clamped to this before they are used again
PLANES = 3  # x, y and 1 behind the pixel features
OWN_PLANES = 4  # per prompt: radius, earlier mask, nearness of clicks at two widths
_BUMP_WIDTHS = (0.25, 0.75)  # of the bump at a click, in half-sizes of the frame
TAIL = 5  # behind a mask token: centre x, y and half-size x, y of its frame, IoU logit
_TAIL = (
    20.0  # windows end at exp(-20) per axis: smaller numbers are denormal when multiplied, and slow
)
_MASKED_OUT = -1e4  # additive attention bias of padding; fits into fp16


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

    def forward(
        self,
        x: Tensor,
        bias: Tensor,
        keys: Tensor,
        values: Tensor,
        wanted: int | None = None,
        unseen: Tensor | None = None,
    ) -> Tensor:
        """Update the tokens, or the first `wanted` of them when the others are not needed again.

        x (B, N, T, D); bias (B, N, 1, 1, T) added to self-attention scores; keys (B, H, d, S) and
        values (B, H, S, d) of the images, shared by their prompts; `unseen` (S,), if any, is added
        to their attention scores.
        """
        b, n, t, dim = x.shape
        heads, d = self.heads, dim // self.heads
        q, k, v = self.qkv(self.norm_self(x)).view(b, n, t, 3, heads, d).permute(3, 0, 1, 4, 2, 5)
        if wanted is not None:
            x, q, t = x[:, :, :wanted], q[..., :wanted, :], wanted
        weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(d) + bias, -1)
        x = x + self.out_self((weights @ v).transpose(2, 3).reshape(b, n, t, dim))
        q = self.query(self.norm_image(x)).view(b, n * t, heads, d).transpose(1, 2)
        scores = (q / math.sqrt(d)) @ keys
        weights = torch.softmax(scores if unseen is None else scores + unseen, -1)
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
        self.frame = nn.Linear(dim, 4)
        nn.init.zeros_(self.frame.weight)
        nn.init.zeros_(self.frame.bias)

    def forward(self, e: Embedding, prompts: Prompts) -> tuple[Tensor, Tensor]:
        """Score the answers to every prompt.

        Returns:
            iou_logits (B, N, MASKS), before the sigmoid, and tokens (B, N, MASKS, D + TAIL): the
            mask token; centre and half-size of the box that the answer is expected to fill, in
            image sides; the IoU logit again.
        """
        memory = [(e.keys[:, i], e.values[:, i]) for i in range(len(self.layers))]
        return self.score(memory, e.grid16, e.grid8, prompts)

    def score(
        self,
        memory: Sequence[tuple[Tensor, Tensor]],
        grid16: Tensor,
        grid8: Tensor,
        prompts: Prompts,
        covered: Covered | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The same with keys and values already taken apart by layer, as boards want them.

        The embedding is cut to the picture, or whole and `covered` says where the picture is.
        """
        centre, half, window = self._frame_and_window(prompts, grid8, covered)
        valid = (prompts.labels >= 0).float()
        points = self._point_tokens(prompts, valid, grid8, covered)
        has_box = (prompts.labels == BOX_TOP_LEFT).float().amax(-1)
        kind = 2 * prompts.has_mask.squeeze(-1) + (1 - prompts.has_mask.squeeze(-1)) * has_box
        at = self.position(centre)
        region = self.region(window @ grid16) + self.region_kind(kind.long()) + at
        anchor = self.anchor(torch.cat([at, half * 4], -1)) + region
        x = torch.cat([self.mask_tokens + anchor.unsqueeze(2), region.unsqueeze(2), points], 2)
        seen = torch.cat([torch.ones_like(x[..., : MASKS + 1, 0]), valid], -1)
        bias = ((1 - seen) * _MASKED_OUT)[:, :, None, None, :]
        unseen = None
        if covered is not None:
            h, w = (n // 4 for n in grid8.shape[1:3])
            unseen = (1 - covered.cells(h, w).flatten()) * _MASKED_OUT
        for layer, (keys, values) in zip(self.layers[:-1], memory[:-1], strict=True):
            x = layer(x, bias, keys, values, unseen=unseen)
        tokens = self.norm(self.layers[-1](x, bias, *memory[-1], wanted=MASKS, unseen=unseen))
        iou_logits = self.iou(tokens)
        place = self._expected_frame(tokens, centre.unsqueeze(2), half.unsqueeze(2))
        return iou_logits.squeeze(-1), torch.cat([tokens, place, iou_logits], -1)

    def _expected_frame(self, tokens: Tensor, centre: Tensor, half: Tensor) -> Tensor:
        """The prompt's frame, moved and scaled to what each answer is expected to fill."""
        shift, scale = torch.split(
            _FRAME_REACH * torch.tanh(self.frame(tokens) / _FRAME_REACH), [2, 2], -1
        )
        size = (half * torch.exp(scale)).clamp(_MIN_FRAME_HALF, 2.0)
        return torch.cat([centre + half * shift, size], -1)

    def _point_tokens(
        self, prompts: Prompts, valid: Tensor, grid8: Tensor, covered: Covered | None
    ) -> Tensor:
        local = self.local(sample_bilinear(grid8, prompts.coords, covered))
        found = (self.position(prompts.coords) + local) * valid.unsqueeze(-1)
        return cast(Tensor, found + self.label((prompts.labels + 1).long()))

    def _frame_and_window(
        self, prompts: Prompts, grid8: Tensor, covered: Covered | None
    ) -> tuple[Tensor, Tensor, Tensor]:
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
        side = longest(h, w)
        ys, xs = cell_centres(h, side, xy), cell_centres(w, side, xy)

        def inside(cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
            slope = side * _BOX_EDGE_SHARPNESS
            left = torch.sigmoid(((cells - low) * slope).clamp(min=-_TAIL))
            return left * torch.sigmoid(((high - cells) * slope).clamp(min=-_TAIL))

        def near(cells: Tensor, middle: Tensor) -> Tensor:
            return torch.exp(-(((cells - middle) / _POINT_SIGMA) ** 2).clamp(max=_TAIL))

        x_window = has_box * inside(xs, p0[..., :1], p1[..., :1])
        x_window = x_window + (1 - has_box) * near(xs, point[..., :1])
        y_window = has_box * inside(ys, p0[..., 1:], p1[..., 1:])
        y_window = y_window + (1 - has_box) * near(ys, point[..., 1:])
        window = y_window.unsqueeze(-1) * x_window.unsqueeze(-2)
        earlier = F.avg_pool2d(torch.sigmoid(prompts.mask.clamp(min=-_TAIL)), 4)
        if covered is not None:
            seen = covered.cells(h, w)
            window, earlier = window * seen, earlier * seen
        alone = prompts.has_mask * (1 - has_box) * (1 - has_point)
        mask_centre, mask_half = _frame_of(earlier, xs, ys)
        centre = centre * (1 - alone) + mask_centre * alone
        half = half * (1 - alone) + mask_half * alone
        use = prompts.has_mask.unsqueeze(-1)
        window = (use * earlier + (1 - use) * window).flatten(2)
        return centre, half, window / (window.sum(-1, keepdim=True) + 1e-4)


def expected_boxes(tokens: Tensor) -> Tensor:
    """(..., 4) left, top, right, bottom, in image sides, of frames of tokens (..., D + TAIL)."""
    centre, half = tokens[..., -TAIL : 2 - TAIL], tokens[..., 2 - TAIL : 4 - TAIL]
    return torch.cat([centre - half, centre + half], -1)


def _frame_of(cover: Tensor, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and half-size, (B, N, 2) each, of the box that would be filled as (B, N, h, w) is."""
    total = cover.sum((-2, -1)) + 1e-4
    middles, halves = [], []
    for cells, line in ((xs, cover.sum(-2)), (ys, cover.sum(-1))):
        middle = (line * cells).sum(-1) / total
        spread = (line * (cells - middle.unsqueeze(-1)).square()).sum(-1) / total
        middles.append(middle)
        halves.append((3 * spread + 1e-4).sqrt())  # of a uniform line: sqrt(3) deviations
    return torch.stack(middles, -1), torch.stack(halves, -1)


def sample_bilinear(grid: Tensor, xy: Tensor, covered: Covered | None = None) -> Tensor:
    """Features at positions, zero outside: (B, h, w, D) at (B, N, P, 2) in [0, 1] to (B, N, P, D).

    Outside is what the grid lacks, or what the picture does not cover of it.

    Written as four gathers because every board's runtime has that op, and few have grid sampling.
    """
    b, h, w, dim = grid.shape
    side = longest(h, w)
    flat = grid.reshape(b * h * w, dim)
    image = torch.arange(b, device=grid.device).view(b, 1, 1) * (h * w)
    x, y = xy[..., 0] * side - 0.5, xy[..., 1] * side - 0.5
    x0, y0 = x.floor(), y.floor()
    rows, columns = (h, w) if covered is None else covered.counted(side)
    total = torch.zeros((), device=grid.device, dtype=grid.dtype)
    for dy in (0, 1):
        for dx in (0, 1):
            cx, cy = x0 + dx, y0 + dy
            inside = ((cx >= 0) & (cx <= columns - 1) & (cy >= 0) & (cy <= rows - 1)).float()
            weight = (1 - (x - cx).abs()) * (1 - (y - cy).abs()) * inside
            index = cy.clamp(0, h - 1).long() * w + cx.clamp(0, w - 1).long() + image
            total = total + flat[index.flatten()].view(*xy.shape[:-1], dim) * weight.unsqueeze(-1)
    return total


class MaskHead(nn.Module):
    """Mask tokens to low-resolution logits.

    Per pixel: hidden = relu(W1 [features, dx, dy, r, earlier, near, wide, 1]), hidden = relu(W2
    hidden), and logit = w3 hidden + w4 features, all W made from the token. The part of W1 that is
    linear in the shared features, x, y and 1 is one matrix product for all masks; only the radius
    r, the earlier mask and the nearness of clicks are planes of their own per prompt. Nearness is a
    bump at every click, up for foreground and down for background: so a click can change the mask
    where it was set, and nowhere else.
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.pixel, self.hidden, self.dim = widths.pixel, widths.mask_hidden, widths.dim
        h, c = self.hidden, self.pixel
        self.sizes = [h * (c + 3 + OWN_PLANES), h * (h + 1), h + 1, c]
        self.kernel = nn.Sequential(
            nn.Linear(widths.dim, 256), nn.ReLU(), nn.Linear(256, sum(self.sizes))
        )
        last = cast(nn.Linear, self.kernel[2])
        nn.init.normal_(last.weight, std=0.01)
        nn.init.normal_(last.bias, std=0.1)

    def forward(self, pixels: Tensor, tokens: Tensor, prompts: Prompts) -> Tensor:
        """Make masks.

        Args:
            pixels: (B, C, h4, w4).
            tokens: (B, K, D + TAIL) as the scorer gives them, already chosen.
            prompts: the K prompts that they belong to.

        Returns:
            (B, K, h4, w4) logits, unbounded.
        """
        return self.paint(ground_planes(pixels), tokens, prompts)

    def paint(self, ground: Tensor, tokens: Tensor, prompts: Prompts) -> Tensor:
        """The same on pixel features that already have their planes, (B, C + 3, h4, w4)."""
        b, k = tokens.shape[:2]
        c, hid = self.pixel, self.hidden
        h, w = ground.shape[-2:]
        ground = ground.flatten(2)
        token, centre, half, _ = torch.split(tokens, [self.dim, 2, 2, 1], -1)
        first, second, third, skip = torch.split(self.kernel(token), self.sizes, -1)
        first = first.view(b, k, hid, c + 3 + OWN_PLANES)
        features, slope, per_plane, bias = torch.split(first, [c, 2, OWN_PLANES, 1], -1)
        slope = slope / half.unsqueeze(2)
        bias = bias - (slope * centre.unsqueeze(2)).sum(-1, keepdim=True)
        shared = torch.cat([features, slope, bias], -1).view(b, k * hid, c + PLANES)

        side = longest(h, w)
        dx = (cell_centres(w, side, ground) - centre[..., :1]) / half[..., :1]
        dy = (cell_centres(h, side, ground) - centre[..., 1:]) / half[..., 1:]
        radius = ((dy * dy).unsqueeze(-1) + (dx * dx + 1e-4).unsqueeze(-2)).sqrt()
        bounded = prompts.mask.clamp(-_MASK_CLAMP, _MASK_CLAMP)
        earlier = bounded * (prompts.has_mask / 4).unsqueeze(-1)
        near, wide = (bumps(prompts, half, (h, w), width) for width in _BUMP_WIDTHS)
        own = torch.stack([radius, earlier, near, wide], 2).flatten(3)

        x = (shared @ ground).view(b, k, hid, h * w)
        x = F.relu(x + per_plane @ own)
        second = second.view(b, k, hid, hid + 1)
        x = F.relu(second[..., :hid] @ x + second[..., hid:])
        third = third.unsqueeze(2)
        x = third[..., :hid] @ x + third[..., hid:]
        y: Tensor = x.squeeze(2) + F.pad(skip, (0, PLANES)) @ ground
        return y.view(b, k, h, w)


def bumps(prompts: Prompts, half: Tensor, cells: tuple[int, int], width: float) -> Tensor:
    """A bump of height 1 at every foreground click, -1 at every background click: (B, K, h, w).

    `half` (B, K, 2) is the frame's half-size in image sides; `width` is in those half-sizes.
    """
    h, w = cells
    side = longest(h, w)
    sign = (prompts.labels == FOREGROUND).float() - (prompts.labels == BACKGROUND).float()

    def profile(n: int, axis: int) -> Tensor:
        away = cell_centres(n, side, half) - prompts.coords[..., axis : axis + 1]
        scaled = away / (width * half[..., axis : axis + 1]).unsqueeze(-1)
        return torch.exp(-(scaled * scaled).clamp(max=_TAIL))

    rows, columns = profile(h, 1) * sign.unsqueeze(-1), profile(w, 0)
    return rows.transpose(-1, -2) @ columns


class Judge(nn.Module):
    """Predicted IoU of masks that were made: the scorer's estimate, corrected by what they show.

    The correction is made from the mask token, the image features under the mask, and three facts:
    how large, how stable (Kirillov et al. 2023, section 5: the same mask at two thresholds) and how
    certain it is. What a network learns of tokens and features holds for photos like those it saw;
    the facts hold for others too, so they also have a direct way to the score, fitted last
    (`train/honest.py`).
    """

    FACTS = 3  # log share of the picture, stability, mean certainty inside

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.dim = widths.dim
        self.under = nn.Linear(widths.dim, widths.dim)
        self.hidden = nn.Linear(2 * widths.dim + self.FACTS, 128)
        self.out = nn.Linear(128, 1)
        self.direct = nn.Linear(self.FACTS, 1, bias=False)
        for layer in (self.out, self.direct):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, grid16: Tensor, tokens: Tensor, logits: Tensor, covered: Covered | None = None
    ) -> Tensor:
        """Judge masks.

        Args:
            grid16: (B, h*w, D) of the embedding.
            tokens: (B, K, D + TAIL) as the scorer gives them.
            logits: (B, K, h4, w4) masks made from these tokens.
            covered: where the picture is, if these are not cut to it.

        Returns:
            (B, K) IoU logits.
        """
        cover, facts = self.describe(logits, covered)
        under = self.under((cover / cover.sum(-1, keepdim=True)) @ grid16)
        token, _, scored = torch.split(tokens, [self.dim, TAIL - 1, 1], -1)
        found = F.relu(self.hidden(torch.cat([token, under, facts], -1)))
        return cast(Tensor, (scored + self.out(found) + self.direct(facts)).squeeze(-1))

    def describe(self, logits: Tensor, covered: Covered | None = None) -> tuple[Tensor, Tensor]:
        """What masks (B, K, h4, w4) cover of each cell, (B, K, h*w), and their facts (B, K, 3)."""
        bounded = logits.clamp(-_MASK_CLAMP, _MASK_CLAMP)
        cells = torch.sigmoid(F.avg_pool2d(bounded, 4))
        if covered is not None:
            cells = cells * covered.cells(*cells.shape[-2:])
        cover = cells.flatten(2)
        h, w = logits.shape[-2:]
        share = h * w / longest(h, w) ** 2  # of the square around the picture
        surely = logits.clamp(0, 1).mean((-2, -1)).unsqueeze(-1) * share
        perhaps = (logits.clamp(-1, 0).mean((-2, -1)).unsqueeze(-1) + 1) * share
        certain = (cover * cover).sum(-1, keepdim=True) / cover.sum(-1, keepdim=True)
        size = torch.log(cover.mean(-1, keepdim=True) * share + 1e-3)
        return cover, torch.cat([size, surely / (perhaps + 1e-4), certain], -1)


def ground_planes(pixels: Tensor) -> Tensor:
    """Pixel features with the planes x, y and 1 behind them: (B, C, h, w) to (B, C + 3, h, w)."""
    b, _, h, w = pixels.shape
    side = longest(h, w)
    xs, ys = cell_centres(w, side, pixels), cell_centres(h, side, pixels)
    planes = [xs.expand(h, w), ys.unsqueeze(-1).expand(h, w), torch.ones_like(pixels[0, 0])]
    return torch.cat([pixels, torch.stack(planes).expand(b, PLANES, h, w)], 1)
