"""A seeded network in torch with the signature of a YOLOv8-seg export, and its export by torch.

Nothing in it is learned and nothing is copied: what matters is what exporters make of such
networks: BatchNorm, SiLU, halves split off and joined again, pooling, nearest resizing, a
transposed convolution, and a head with a softmax over distances.
"""

from __future__ import annotations

import io
import warnings

import onnx
import torch
from torch import Tensor, nn

STRIDES, BINS, DEPTH = (8, 16, 32), 16, 32


def block(channels: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm, SiLU."""
    layers = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layers, nn.BatchNorm2d(out), nn.SiLU())


class Halves(nn.Module):
    """One half goes through a residual block; all are joined."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(block(width // 2, width // 2), block(width // 2, width // 2))
        self.join = block(width + width // 2, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, 1)
        joined: Tensor = self.join(torch.cat([first, second, second + self.inner(second)], 1))
        return joined


class Head(nn.Module):
    """Distances, class logits and coefficients of one grid."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        outs = (4 * BINS, classes, DEPTH)
        self.branches = nn.ModuleList(
            nn.Sequential(block(width, width), nn.Conv2d(width, out, 1)) for out in outs
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        return [branch(x).flatten(2) for branch in self.branches]


class SeededNet(nn.Module):
    """(1, 3, S, S) to (1, 4 + classes + 32, cells) and (1, 32, S / 4, S / 4)."""

    def __init__(self, width: int = 16, classes: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(3, width, 3, 2), block(width, width, 3, 2))
        self.down = nn.ModuleList(
            nn.Sequential(block(width, width, 3, 2), Halves(width)) for _ in STRIDES
        )
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.mix = nn.ModuleList(block(2 * width, width, 1) for _ in STRIDES)
        self.heads = nn.ModuleList(Head(width, classes) for _ in STRIDES)
        self.grow = nn.ConvTranspose2d(width, width, 2, 2)
        self.prototypes = block(width, DEPTH, 1)
        self.bins = nn.Conv2d(BINS, 1, 1, bias=False)
        with torch.no_grad():
            self.bins.weight.copy_(torch.arange(BINS, dtype=torch.float32).view(1, BINS, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        maps = []
        for down in self.down:
            x = down(x)
            maps.append(x)
        maps[2] = self.mix[2](torch.cat([maps[2], self.pool(maps[2])], 1))
        for i in (1, 0):
            maps[i] = self.mix[i](torch.cat([maps[i], self.up(maps[i + 1])], 1))
        levels = [head(m) for head, m in zip(self.heads, maps, strict=True)]
        distances, scores, coefficients = (torch.cat(p, 2) for p in zip(*levels, strict=True))
        apart = distances.view(1, 4, BINS, -1).transpose(1, 2).softmax(1)
        before, behind = self.bins(apart).view(1, 4, -1).chunk(2, 1)
        anchors, strides = self._anchors(maps)
        low, high = anchors - before, anchors + behind
        boxes = torch.cat([(low + high) / 2, high - low], 1) * strides
        answers = torch.cat([boxes, scores.sigmoid(), coefficients], 1)
        return answers, self.prototypes(self.grow(maps[0]))

    def _anchors(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Of all cells: centre in cells (2, N), x first, and stride (1, N)."""
        centres, strides = [], []
        for m, stride in zip(maps, STRIDES, strict=True):
            y, x = (torch.arange(n, dtype=torch.float32) + 0.5 for n in m.shape[2:])
            rows, columns = torch.meshgrid(y, x, indexing="ij")
            centres.append(torch.stack([columns.flatten(), rows.flatten()]))
            strides.append(torch.full_like(columns.flatten(), stride))
        return torch.cat(centres, 1), torch.cat(strides)[None]


def seeded(seed: int = 0, classes: int = 1) -> SeededNet:
    """The network with norms that do something; a few percent of its cells are sure."""
    torch.manual_seed(seed)
    net = SeededNet(classes=classes).eval()
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.3, 0.6)
                layer.weight.uniform_(0.8, 1.6)
                layer.bias.normal_(0, 0.3)
        noise = torch.rand(1, 3, 256, 256)
        for head in net.heads:
            head.branches[1][-1].weight.mul_(20)
        chances = net(noise)[0][:, 4 : 4 + classes]
        usual = torch.logit(chances.double()).quantile(0.97)
        for head in net.heads:
            head.branches[1][-1].bias.sub_(usual)
    return net


def exported(net: SeededNet, side: int, *, is_free: bool = False) -> onnx.ModelProto:
    """As a user's program exports it; with `is_free`, batch, height and width are free."""
    axes = {0: "batch", 2: "height", 3: "width"}
    buffer = io.BytesIO()
    free = {"images": axes, "output0": {0: "batch", 2: "cells"}, "output1": axes}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.zeros(1, 3, side, side),),
            buffer,  # type: ignore[arg-type]
            input_names=["images"],
            output_names=["output0", "output1"],
            opset_version=17,
            dynamic_axes=free if is_free else {},
            dynamo=False,
        )
    return onnx.load_from_string(buffer.getvalue())
