"""Seeded weights, settled on photos: what runs through the network is of the size training gives.

`seeded.py` makes each tensor up from its name alone. That proves a conversion, but activations then
grow from block to block as those of no trained network do, and INT8 figures say nothing. Here some
photos are sent through, side by side, and each layer that training fits to its inputs is fitted
before the next one reads it:

- a BatchNorm's statistics are those of what it gets;
- the linear layer that ends a residual branch is centred, and scaled to a share of the stream, so
  that the stream grows as in trained transformers;
- neighbours are alike: a convolution's taps have much in common (`smooth`);
- where no shortcut goes around a layer, its weights read the directions in which their input varies
  (`aligned`): layers of chance make small errors larger one after the other, trained ones do not;
- see `settled_decoder.py` for the decoder.

Everything is missed by a seeded tenth, as training misses it: no norm is the identity. What these
weights still lack are the few outlier channels that large trained transformers have.
"""

from __future__ import annotations

import math
import re
import threading
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

SHARE = 0.4  # of the stream's deviation: what a branch adds to it
MISS = 0.1  # how far off settled values are
ENDS = ("proj", "fc2", "lin2")  # names of the linear layers that end residual branches
# What each tap of a convolution has for itself, of its weights' deviation.
OWN: dict[type[nn.Module], float] = {nn.Conv2d: 0.8, nn.ConvTranspose2d: 0.1}
# TinyViT's depthwise 3x3 convolutions that no shortcut goes around.
STREAM = re.compile(r"\b(local_conv|downsample\.conv2)\.c$")
CENTRE = 6.0  # what their middle taps have more, in deviations
# Norms that end residual branches and are not made small by `seeded.py`.
NORM_ENDS = re.compile(r"\blayers\.0\.blocks\.\d+\.conv3\.bn$")
ALIGNED = 0.1  # power of that covariance; more makes all cells alike
MANY, MOST = 16, 800  # inputs of layers that are aligned: fewer tell nothing, more take long
ROWS = 2048  # cells of a picture that a covariance is measured on
Settle = Callable[[Sequence[Any]], object]


class Meeting:
    """Calls that run side by side, one per picture, and meet at every layer that is settled."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count)
        self._brought: list[Any] = [None] * count
        self._place = threading.local()

    def run(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """What each of `count` calls returns; if one fails, all end, and its error is raised."""
        with ThreadPoolExecutor(len(calls)) as pool:
            made = [pool.submit(self._run_one, place, call) for place, call in enumerate(calls)]
        errors = [future.exception() for future in made]
        for error in errors:
            if error is not None and not isinstance(error, threading.BrokenBarrierError):
                raise error
        return [future.result() for future in made]

    @torch.no_grad()
    def _run_one(self, place: int, call: Callable[[], Any]) -> Any:
        self._place.index = place
        try:
            return call()
        except BaseException:
            self._barrier.abort()
            raise

    def settle(self, brought: Any, once: Settle) -> None:
        """Wait for all; one of them calls `once` with what each brought, in the calls' order."""
        self._brought[self._place.index] = brought
        if self._barrier.wait() == 0:
            with torch.no_grad():
                once(self._brought)
        self._barrier.wait()


@torch.no_grad()
def smooth(model: nn.Module) -> None:
    """Give the taps of every convolution something in common, in place.

    Taps made up one by one let fine patterns through and take coarse ones out; maps are then noise
    from cell to cell, and so are masks. Where the stream itself goes through a depthwise
    convolution (STREAM), a cell stays mostly what it is; else small errors double layer by layer.
    """
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            part, each = OWN[type(module)], module.weight
            shared = each.mean((2, 3), keepdim=True) * math.sqrt(each[0, 0].numel())
            module.weight.copy_(math.sqrt(1 - part**2) * shared + part * each)
            if STREAM.search(name):
                middle = module.weight[:, 0, 1, 1]
                middle.add_(CENTRE * each.std() * shared[:, 0, 0, 0].sign())
        elif NORM_ENDS.search(name) and isinstance(module, nn.BatchNorm2d):
            module.weight.mul_(SHARE)


def settle_encoder(
    encoder: nn.Module, calls: Sequence[Callable[[], Any]], seed: int, *, aligned: bool = False
) -> list[Any]:
    """Fit an encoder's layers, in place, while each of `calls` sends a picture through it.

    Args:
        encoder: with its norms not folded, in eval mode.
        calls: use it, alone or as part of a graph, each with another picture.
        seed: of what is missed.
        aligned: let layers read the directions in which their inputs vary.

    Returns:
        What the calls return: the outputs of the settled encoder.
    """
    meeting, handles = Meeting(len(calls)), []
    for name, module in encoder.named_modules():
        random = np.random.default_rng([seed, zlib.crc32(name.encode())])
        if isinstance(module, nn.BatchNorm2d):
            handles.append(module.register_forward_pre_hook(partial(_before_norm, meeting, random)))
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            if aligned and MANY <= module.weight.shape[1] <= MOST:
                handles.append(module.register_forward_pre_hook(partial(_before_layer, meeting)))
        elif (end := _end_of(module)) is not None:
            block = encoder.get_submodule(name.rpartition(".")[0])
            branch = _Branch(meeting, random, end)
            handles.append(block.register_forward_pre_hook(branch.note_stream))
            if aligned and isinstance(getattr(module, "qkv", None), nn.Linear):
                handles.append(module.register_forward_pre_hook(partial(_before_qkv, meeting)))
            handles.append(module.register_forward_hook(branch.settle))
    try:
        return meeting.run(calls)
    finally:
        for handle in handles:
            handle.remove()


def missed(random: np.random.Generator, shape: Sequence[int]) -> Tensor:
    """By how much each settled value is off, in parts of its size."""
    return torch.from_numpy(random.uniform(-MISS, MISS, tuple(shape)).astype(np.float32))


def _before_layer(meeting: Meeting, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Let a layer with weights read the directions in which its input varies."""
    weight = cast(nn.Linear, layer).weight
    x = inputs[0]
    rows = x.flatten(0, -2) if isinstance(layer, nn.Linear) else x[0].flatten(1).T
    meeting.settle(_some(rows), lambda parts: weight.copy_(_aligned(weight, parts)))


def _before_qkv(meeting: Meeting, attention: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """The same for an attention's stacked projections, which are no calls of their layer."""
    parts = cast(Any, attention)
    x = parts.norm(inputs[0]) if hasattr(parts, "norm") else inputs[0]
    weight: Tensor = parts.qkv.weight
    meeting.settle(_some(x.flatten(0, -2)), lambda found: weight.copy_(_aligned(weight, found)))


def _some(rows: Tensor) -> Tensor:
    """At most ROWS of them, evenly spread."""
    return rows[:: max(1, len(rows) // ROWS)]


def _aligned(weight: Tensor, parts: Sequence[Tensor]) -> Tensor:
    """Weights (out, in, ...) times a power of the covariance of what they read, as wide as before.

    Training moves weights within the span of what they read, most where that varies most; so small
    errors, which lie anywhere, mostly fall away. Weights of chance keep them all.
    """
    rows = torch.cat([part - part.mean(0) for part in parts])
    covariance = rows.T @ rows / len(rows)
    if not covariance.any():
        return weight  # one cell per picture, as in squeeze-excite, does not vary
    sizes, axes = torch.linalg.eigh(covariance)
    turned = (axes * sizes.clamp(min=0).pow(ALIGNED)) @ axes.T
    made = torch.einsum("oi...,ij->oj...", weight, turned)

    def power(of: Tensor) -> Tensor:
        taps = of.flatten(2).sum(2) if of.ndim > 2 else of
        return ((taps @ covariance) * taps).sum()

    return made * (power(weight) / power(made)).sqrt()


def _before_norm(
    meeting: Meeting, random: np.random.Generator, norm: nn.Module, inputs: tuple[Tensor, ...]
) -> None:
    """Take the statistics of what a BatchNorm gets, (1, C, H, W) each, for its own."""
    assert isinstance(norm, nn.BatchNorm2d)
    means, variances = norm.running_mean, norm.running_var
    assert means is not None
    assert variances is not None

    def once(maps: Sequence[Tensor]) -> None:
        variance, mean = _moments([x[0].flatten(1).T for x in maps])
        means.copy_(mean + variance.sqrt() * missed(random, mean.shape))
        variances.copy_(variance * (1 + missed(random, mean.shape)).square())

    meeting.settle(inputs[0], once)


class _Branch:
    """A residual branch that ends in a linear layer: it is centred, and scaled to its share."""

    def __init__(self, meeting: Meeting, random: np.random.Generator, end: nn.Linear) -> None:
        self._meeting, self._random, self._end = meeting, random, end
        self._stream = threading.local()
        self._centre, self._scale = torch.zeros(0), 1.0

    def note_stream(self, block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """What the branch's block gets: the stream."""
        del block
        self._stream.power = float(inputs[0].var())

    def settle(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """What the settled branch gives for what it gave, (..., C)."""
        del module, inputs
        self._meeting.settle((self._stream.power, output.flatten(0, -2)), self._once)
        return (output - self._centre) * self._scale

    def _once(self, brought: Sequence[tuple[float, Tensor]]) -> None:
        variance, mean = _moments([cells for _, cells in brought])
        spread = variance.mean().sqrt()
        wanted = SHARE * math.sqrt(sum(power for power, _ in brought) / len(brought))
        self._centre = mean + spread * missed(self._random, mean.shape)
        self._scale = float(wanted / spread * (1 + missed(self._random, (1,))))
        self._end.weight.mul_(self._scale)
        self._end.bias.sub_(self._centre).mul_(self._scale)


def _end_of(module: nn.Module) -> nn.Linear | None:
    """The linear layer that ends a branch, if a module is one."""
    found = (getattr(module, name, None) for name in ENDS)
    return next((end for end in found if isinstance(end, nn.Linear)), None)


def _moments(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Variance and mean of each channel over the rows of all parts, (rows, C)."""
    each = [torch.var_mean(part, 0, correction=0) for part in parts]
    mean = torch.stack([m for _, m in each]).mean(0)
    variance = torch.stack([v + (m - mean).square() for v, m in each]).mean(0)
    return variance, mean
