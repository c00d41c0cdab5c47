"""Quantization-aware fine-tuning: the encoder computes as its INT8 engine will.

Rounding is simulated (Jacob et al. 2018, "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference") in the formats of `edgesam_engines.quantize`: int8
kernels per output channel, uint8 activations per tensor. Gradients pass straight through the
rounding. Ranges of activations are running extremes, as a min-max calibration will find them.

Layers keep their parameters and names, so checkpoints and the average of the weights stay the same.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesam_engines.families.lite0 import ConvNorm, MBConv
from edgesam_engines.families.pocketsam_encoder import Encoder, Separable

_KERNEL_MAX, _ACTIVATION_MAX = 127, 255
_MOMENTUM = 0.05  # of the ranges
_FLOOR = 1e-8


class Range(nn.Module):
    """The running range of one tensor; rounds it to 256 steps of that range."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = 0.0, 0.0
        self._seen = False

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape."""
        if self.training or not self._seen:
            self._follow(x.detach())
        scale = max(self.high - self.low, _FLOOR) / _ACTIVATION_MAX
        zero = min(max(round(-self.low / scale), 0), _ACTIVATION_MAX)
        out: Tensor = torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, _ACTIVATION_MAX)
        return out

    def _follow(self, x: Tensor) -> None:
        low, high = (float(v) for v in torch.aminmax(x))
        low, high = min(low, 0.0), max(high, 0.0)
        share = _MOMENTUM if self._seen else 1.0
        self.low += share * (low - self.low)
        self.high += share * (high - self.high)
        self._seen = True


def round_kernel(weight: Tensor) -> Tensor:
    """(O, I, h, w) rounded to int8 steps, a scale for each of the O."""
    peak = weight.detach().abs().amax((1, 2, 3)).clamp(min=_FLOOR)
    zero = torch.zeros_like(peak, dtype=torch.int32)
    out: Tensor = torch.fake_quantize_per_channel_affine(
        weight, peak / _KERNEL_MAX, zero, 0, -_KERNEL_MAX, _KERNEL_MAX
    )
    return out


class IntegerConvNorm(ConvNorm):
    """A ConvNorm whose folded kernel is rounded."""

    def forward(self, x: Tensor) -> Tensor:
        """As ConvNorm."""
        weight, bias = self.folded()
        conv = self.conv
        padding = cast("tuple[int, int]", conv.padding)
        stride = cast("tuple[int, int]", conv.stride)
        y = functional.conv2d(
            self.pad(x), round_kernel(weight), bias, stride, padding, groups=conv.groups
        )
        return cast(Tensor, self.act(y))


class IntegerConv(nn.Conv2d):
    """A convolution whose kernel is rounded."""

    def forward(self, x: Tensor) -> Tensor:
        """As Conv2d."""
        out: Tensor = self._conv_forward(x, round_kernel(self.weight), self.bias)
        return out


def round_encoder(encoder: Encoder) -> None:
    """Make an encoder compute with rounded kernels and activations, from now on.

    Its BatchNorms must be held (`network.hold_norms`): what is rounded is the folded kernel.
    """
    inner = {id(m.conv) for m in encoder.modules() if isinstance(m, ConvNorm)}
    rounded: list[nn.Module] = []
    for layer in encoder.modules():
        if isinstance(layer, ConvNorm):
            layer.__class__ = IntegerConvNorm
            rounded.append(layer)
        elif isinstance(layer, nn.Conv2d) and id(layer) not in inner:
            layer.__class__ = IntegerConv
            rounded.append(layer)
        elif isinstance(layer, Separable) or (isinstance(layer, MBConv) and layer.shortcut):
            rounded.append(layer)
    for layer in rounded:
        if layer is not encoder.to_pixels:  # its output stays in float in the engine
            limit = Range()
            layer.register_forward_hook(lambda _layer, _given, made, limit=limit: limit(made))
