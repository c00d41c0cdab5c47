"""Take channels out of the trunk's blocks that others can stand in for; no training needed.

    python -m edgesam_engines.slim --checkpoint FILE --photos FOLDER --share 0.1 --out FILE

Inside each block (expand, depthwise, project) hidden channels are removed few by few: those whose
loss changes the block's output least over the photos once the projection is fitted anew to
those that stay (Hassibi and Stork 1993, "Optimal brain surgeon", by channels). Channels that no
photo ever uses cost nothing, and late blocks have many. Which blocks give how many is decided by
the error added per time saved. Training can go on from the result.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgesam_engines import calibrate
from edgesam_engines.families.lite0 import ConvNorm, MBConv, fold_norms
from edgesam_engines.families.pocketsam import PocketSAM
from edgesam_engines.families.pocketsam_family import PocketSamFamily, read_model

STEP = 16  # channels at once: runtimes compute depthwise layers in vectors of 16
SIDE = 512
_LEAST = 0.35  # part of a block's channels that stays
_DAMPING = 1e-4  # of the fit, in mean variances
_ROUNDS = 144  # of removal: a block of more channels gives several at once
_SAMPLES = 2048  # positions of each photo
# Nanoseconds on one core with VNNI (docs/encoder-speed.md); only their ratios matter.
_DENSE, _DEPTHWISE, _OUTPUT = 1 / 240, 1 / 31, 0.14


@dataclass
class Statistics:
    """What a block's hidden channels hold over the photos, and how much its output varies."""

    positions: int = 0
    pictures: int = 0
    total: Tensor | float = 0.0
    products: Tensor | float = 0.0
    output: float = 0.0
    cost: float = 0.0  # of one hidden channel, ns

    @property
    def mean(self) -> Tensor:
        """Of each channel."""
        return torch.as_tensor(self.total / self.positions)

    @property
    def covariance(self) -> Tensor:
        """Between channels, a little of the identity added so that it can be inverted."""
        plain = torch.as_tensor(self.products / self.positions) - torch.outer(self.mean, self.mean)
        return plain + torch.eye(len(plain), dtype=plain.dtype) * plain.diagonal().mean() * _DAMPING


def gather(model: PocketSAM, inputs: Iterable[Tensor]) -> dict[int, Statistics]:
    """Run pictures, (1, 3, S, S) as the model takes them, and watch all blocks but the first."""
    found: dict[int, Statistics] = {}
    hooks = []
    for i, block in _blocks(model):
        seen = found[i] = Statistics()
        hooks.append(block.depthwise.register_forward_hook(_watch_hidden(seen)))
        hooks.append(block.register_forward_hook(_watch_output(seen, block)))
    with torch.inference_mode():
        for x in inputs:
            model.encoder.trunk(x)
    for hook in hooks:
        hook.remove()
    return found


def _watch_hidden(seen: Statistics) -> Callable[[nn.Module, object, Tensor], None]:
    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        values = output[0].flatten(1)
        every = max(values.shape[1] // _SAMPLES, 1)
        values = values[:, ::every].double()
        seen.positions += values.shape[1]
        seen.total = seen.total + values.sum(1)
        seen.products = seen.products + values @ values.T

    return hook


def _watch_output(
    seen: Statistics, block: MBConv
) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
    def hook(_module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        seen.pictures += 1
        seen.output += float(output.double().var((0, 2, 3), unbiased=False).sum())
        before, after = (t.shape[2] * t.shape[3] for t in (inputs[0], output))
        expand, depthwise, project = (layer.conv for layer in _layers(block))
        seen.cost = (
            before * (expand.in_channels * _DENSE + _OUTPUT)
            + after * (depthwise.weight[0].numel() * _DEPTHWISE + _OUTPUT)
            + after * project.out_channels * _DENSE
        )

    return hook


def removal_order(weight: Tensor, covariance: Tensor) -> tuple[list[int], list[float]]:
    """Channels in the order of their removal, and the squared error of the output after each.

    Args:
        weight: of the projection, (outputs, channels).
        covariance: of the channels.
    """
    w, inverse = weight.double().clone(), torch.linalg.inv(covariance)
    at_once = max(w.shape[1] // _ROUNDS, 1)
    left = torch.arange(w.shape[1])
    order: list[int] = []
    errors: list[float] = []
    while len(order) < weight.shape[1] * (1 - _LEAST):
        loss = w.square().sum(0) / inverse.diagonal()
        go = loss.argsort(stable=True)[:at_once]
        stay = torch.ones(len(left), dtype=torch.bool)
        stay[go] = False
        update = torch.linalg.solve(inverse[go][:, go], inverse[go][:, stay])
        own = torch.linalg.solve(inverse[go][:, go], w[:, go].T)
        error = float((own * w[:, go].T).sum())
        before = errors[-1] if errors else 0.0
        errors += [before + error * (n + 1) / len(go) for n in range(len(go))]
        order += left[go].tolist()
        w = w[:, stay] - w[:, go] @ update
        inverse = inverse[stay][:, stay] - inverse[stay][:, go] @ update
        left = left[stay]
    return order, errors


def plan(
    errors: Mapping[int, Sequence[float]], statistics: Mapping[int, Statistics], saved: float
) -> dict[int, int]:
    """How many channels each block gives, so that `saved` ns of one picture's time are gained."""
    gone = dict.fromkeys(errors, 0)
    gained = 0.0
    while gained < saved:
        choices = []
        for i, sums in errors.items():
            n = gone[i]
            if n + STEP <= len(sums):
                more = sums[n + STEP - 1] - (sums[n - 1] if n else 0.0)
                seen = statistics[i]
                choices.append((more * seen.pictures / seen.output / seen.cost, i))
        if not choices:
            break
        _, best = min(choices)
        gone[best] += STEP
        gained += STEP * statistics[best].cost
    return gone


def slimmed(model: PocketSAM, statistics: Mapping[int, Statistics], share: float) -> PocketSAM:
    """A copy with `share` less of the blocks' time; the model's norms are folded in the trunk."""
    orders, errors = {}, {}
    for i, block in _blocks(model):
        weight = block.project.conv.weight.detach()[:, :, 0, 0]
        orders[i], errors[i] = removal_order(weight, statistics[i].covariance)
    hidden = list(model.widths.trunk)
    whole = sum(s.cost * hidden[i] for i, s in statistics.items())
    weights = model.state_dict()
    for i, gone in plan(errors, statistics, share * whole).items():
        dropped = set(orders[i][:gone])
        keep = torch.tensor([c for c in range(hidden[i]) if c not in dropped])
        hidden[i] = len(keep)
        at = f"encoder.trunk.blocks.{i}"
        for layer in ("expand", "depthwise"):
            for kind in ("weight", "bias"):
                name = f"{at}.{layer}.conv.{kind}"
                weights[name] = weights[name][keep]
        weight, bias = (weights[f"{at}.project.conv.{kind}"] for kind in ("weight", "bias"))
        fitted, shift = _fit(weight[:, :, 0, 0].double(), statistics[i], keep)
        weights[f"{at}.project.conv.weight"] = fitted.float()[:, :, None, None]
        weights[f"{at}.project.conv.bias"] = (bias.double() + shift).float()
    slim = PocketSAM(replace(model.widths, trunk=tuple(hidden)))
    fold_norms(slim.encoder.trunk)
    slim.load_state_dict(weights)
    return slim.eval()


def _fit(weight: Tensor, seen: Statistics, keep: Tensor) -> tuple[Tensor, Tensor]:
    """The projection of kept channels that comes nearest to that of all, and the bias to add."""
    both = seen.covariance
    fitted = torch.linalg.solve(both[keep][:, keep], both[keep] @ weight.T).T
    return fitted, weight @ seen.mean - fitted @ seen.mean[keep]


def _blocks(model: PocketSAM) -> Iterator[tuple[int, MBConv]]:
    for i, block in enumerate(model.encoder.trunk.blocks):
        assert isinstance(block, MBConv)
        if isinstance(block.expand, ConvNorm):
            yield i, block


def _layers(block: MBConv) -> tuple[ConvNorm, ConvNorm, ConvNorm]:
    assert isinstance(block.expand, ConvNorm)
    return block.expand, block.depthwise, block.project


def _inputs(paths: Sequence[Path]) -> Iterator[Tensor]:
    shape = (1, 3, SIDE, SIDE)
    for x in calibrate.encoder_feeds(paths, SIDE, PocketSamFamily.preprocess, shape):
        yield torch.from_numpy(x)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m edgesam_engines.slim", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos to watch")
    parser.add_argument("--count", type=int, default=64, help="how many of them")
    parser.add_argument("--share", type=float, required=True, help="of the trunk's time to save")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    model = read_model(args.checkpoint)
    fold_norms(model.encoder.trunk)
    model.eval()
    paths = calibrate.spread(calibrate.photos(args.photos), args.count)
    slim = slimmed(model, gather(model, _inputs(paths)), args.share)
    save_file({k: v.clone() for k, v in slim.state_dict().items()}, args.out)
    sys.stdout.write(" ".join(str(n) for n in slim.widths.trunk) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
