"""NanoSAM's encoder from its ONNX export: the weights are found in the graph.

NVIDIA ships `resnet18_image_encoder.onnx`, not the checkpoint. The exporter puts each BatchNorm
into the convolution before it and gives the result a name of its own; the order of the convolutions
and their shapes stay. So they become a checkpoint again, under upstream's names, with norms that
only shift. That the graph is this network is then tried: both have to say the same of noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from edgesam_engines import onnx_files
from edgesam_engines.errors import CheckpointError
from edgesam_engines.export import simplify
from edgesam_engines.families.nanosam_encoder import NanoEncoder
from edgesam_engines.families.sam_family import GRID, SIDE
from edgesam_engines.families.sam_prompts import DIM
from edgesam_engines.ptq.graphs import constants, session
from edgesam_rt.types import F32, AnyArray

PICTURE, EMBEDDING = (3, SIDE, SIDE), (DIM, GRID, GRID)
POSITIONS = "pos_embedding"
NEAR = 1e-2  # of the range of what the graph says; another network is off by all of it
_CONVOLUTIONS = {nn.Conv2d: "Conv", nn.ConvTranspose2d: "ConvTranspose"}


class Convolution(NamedTuple):
    """One of a graph: the kind of its node, its weight as torch has it, its bias (C,)."""

    kind: str
    weight: F32
    bias: F32


def read(path: Path) -> dict[str, Tensor]:
    """The weights of an ONNX file as those of upstream's checkpoint.

    Raises:
        CheckpointError: not an ONNX file, or not NanoSAM's encoder with ResNet-18.
    """
    given = onnx_files.read(path)
    _check_ends(path, given.graph)
    graph = _folded(path, given)
    held = constants(graph)
    found = _named(path, list(_convolutions(path, graph.graph, held)))
    positions = [v for v in held.values() if v.shape == (1, *EMBEDDING)]
    found[POSITIONS] = positions[0] if positions else np.zeros((1, *EMBEDDING), np.float32)
    weights = {name: torch.from_numpy(np.array(v, np.float32)) for name, v in found.items()}
    _check_same(path, given, weights)
    return weights


def _folded(path: Path, given: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its constants in one place, and norms that were left in the convolutions."""
    try:
        return simplify(given)
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        said = onnx_files.first_line(error)
        raise CheckpointError(f"checkpoint {path}: ONNX Runtime cannot open it: {said}.") from error


def _check_ends(path: Path, graph: onnx.GraphProto) -> None:
    """Refuse what takes or gives something else."""
    made = {i.name for i in graph.initializer}
    inputs = [v for v in graph.input if v.name not in made]
    ends = [(_shape(v)[-3:], v.type.tensor_type.elem_type) for v in (*inputs, *graph.output)]
    wanted = [(shape, onnx.TensorProto.FLOAT) for shape in (PICTURE, EMBEDDING)]
    if len(inputs) != 1 or ends != wanted:
        got = ", ".join(f"{v.name} {_shape(v)}" for v in (*inputs, *graph.output))
        raise CheckpointError(
            f"checkpoint {path}: not NanoSAM's encoder: expected float32 pictures "
            f"{(1, *PICTURE)} in and embeddings {(1, *EMBEDDING)} out, got {got}."
        )


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)


def _convolutions(
    path: Path, graph: onnx.GraphProto, held: Mapping[str, AnyArray]
) -> Iterator[Convolution]:
    """All of them, in the order in which they are computed."""
    for node in graph.node:
        if node.op_type not in _CONVOLUTIONS.values():
            continue
        if not all(name in held for name in node.input[1:]):
            raise CheckpointError(
                f"checkpoint {path}: the weights of {node.name or node.output[0]} are computed, as "
                "in a quantized file. Give the float one."
            )
        weight, *bias = (held[name] for name in node.input[1:])
        channels = weight.shape[1 if node.op_type == "ConvTranspose" else 0]
        yield Convolution(node.op_type, weight, *(bias or [np.zeros(channels, np.float32)]))


def _named(path: Path, left: list[Convolution]) -> dict[str, F32]:
    """Upstream's names for what the convolutions hold, the first that fits for each place."""
    count, found = len(left), dict[str, F32]()
    for name, layer, norm in _places():
        kind, shape = _CONVOLUTIONS[type(layer)], tuple(layer.weight.shape)
        fits = [c for c in left if c.kind == kind and c.weight.shape == shape]
        if not fits:
            raise _other_network(path, f"no {kind} of shape {shape} for {name}")
        left = [c for c in left if c is not fits[0]]
        found |= _as_checkpoint(name, norm, fits[0])
    if left:
        raise _other_network(path, f"{count} convolutions, {len(left)} too many")
    return found


def _places() -> Iterator[tuple[str, nn.Conv2d | nn.ConvTranspose2d, str | None]]:
    """Each convolution of the network with its name and that of its norm."""
    with torch.device("meta"):
        modules = list(NanoEncoder().named_modules())
    for (name, layer), (after, norm) in zip(modules, [*modules[1:], ("", None)], strict=True):
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            yield name, layer, after if isinstance(norm, nn.BatchNorm2d) else None


def _as_checkpoint(name: str, norm: str | None, found: Convolution) -> dict[str, F32]:
    """A convolution under its name; where the checkpoint has a norm, with one that only shifts."""
    if norm is None:
        return {f"{name}.weight": found.weight, f"{name}.bias": found.bias}
    ones = np.ones_like(found.bias)
    return {
        f"{name}.weight": found.weight,
        f"{norm}.weight": ones * math.sqrt(1 + nn.BatchNorm2d(1).eps),
        f"{norm}.bias": found.bias,
        f"{norm}.running_mean": 0 * ones,
        f"{norm}.running_var": ones,
    }


def _check_same(path: Path, given: onnx.ModelProto, weights: dict[str, Tensor]) -> None:
    """Refuse a graph that says something else than the network with its weights."""
    noise = np.random.default_rng(0).standard_normal((1, *PICTURE), np.float32)
    runner = session(given)
    (wanted,) = runner.run(None, {runner.get_inputs()[0].name: noise})
    model = NanoEncoder().eval()
    model.load_state_dict(weights, strict=False)  # it has no counters of batches
    with torch.no_grad():
        made = model(torch.from_numpy(noise)).numpy()
    off = float(np.abs(made - wanted).max() / np.ptp(wanted))
    if not off <= NEAR:
        raise _other_network(path, f"with these weights ours is off by {off:.2g} of the range")


def _other_network(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"checkpoint {path}: not NanoSAM's encoder with ResNet-18: {reason}. Other trunks are not "
        "built."
    )
