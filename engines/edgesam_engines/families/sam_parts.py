"""Small modules that the networks of the SAM family share, with upstream's parameter names."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import fuse_conv_bn_eval

LAYER_NORM_2D_EPS = 1e-6


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of (N, C, H, W).

    Computed with channels last: that is one fused operation in every runtime, and the transposes
    around it cancel with those of what lies next to it.
    """

    def __init__(self, channels: int, eps: float = LAYER_NORM_2D_EPS) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        last = x.permute(0, 2, 3, 1)
        normed = functional.layer_norm(last, self.weight.shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)


class _Reshape(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        del ctx
        return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape)])

    @staticmethod
    def symbolic(g: Any, x: Any, shape: tuple[int, ...]) -> Any:
        return g.op("Reshape", x, g.op("Constant", value_t=torch.tensor(shape)))


def reshape(x: Tensor, *shape: int) -> Tensor:
    """Reshape as ONNX means it: 0 keeps an axis as it is, -1 (once) is what is left.

    With several free axes torch's own forms are exported as arithmetic on shapes, which is one more
    thing for a runtime to get wrong.
    """
    made: Tensor = _Reshape.apply(x, tuple(int(n) for n in shape))  # type: ignore[no-untyped-call]
    return made


class Mlp(nn.Module):
    """Linear layers with a ReLU between them; they are named by number."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """(..., first width) to (..., last width)."""
        for layer in list(self.layers)[:-1]:
            x = functional.relu(layer(x))
        made: Tensor = self.layers[-1](x)
        return made


def neck(channels: int, out: int) -> nn.Sequential:
    """What ends SAM's image encoders: 1x1, norm, 3x3, norm, to `out` channels."""
    return nn.Sequential(
        nn.Conv2d(channels, out, 1, bias=False),
        LayerNorm2d(out),
        nn.Conv2d(out, out, 3, padding=1, bias=False),
        LayerNorm2d(out),
    )


class ConvNorm(nn.Sequential):
    """A convolution `c` without bias and a BatchNorm `bn`."""

    c: nn.Conv2d
    bn: nn.BatchNorm2d

    def __init__(
        self, channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        same = kernel // 2
        self.add_module(
            "c", nn.Conv2d(channels, out, kernel, stride, same, groups=groups, bias=False)
        )
        self.add_module("bn", nn.BatchNorm2d(out))


def fold_norms(module: nn.Module) -> None:
    """Put every BatchNorm of a ConvNorm below a module into its convolution, in place."""
    for name, child in module.named_children():
        if isinstance(child, ConvNorm):
            setattr(module, name, fuse_conv_bn_eval(child.c, child.bn))
        else:
            fold_norms(child)


def fold_neighbours(module: nn.Module) -> None:
    """Put every BatchNorm into the convolution that stands before it among its siblings, in place.

    For networks that name the two apart (`conv1`, `bn1`) and run them one behind the other.
    """
    before: tuple[str, nn.Module] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and before and isinstance(before[1], nn.Conv2d):
            setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
            setattr(module, name, nn.Identity())
        else:
            fold_neighbours(child)
        before = name, child
