"""Weights made up from a seed, tensor by tensor: the same for one name and shape everywhere.

They depend on nothing but the tensor's name, its shape and the seed, so upstream's model and ours
get the same ones without either knowing the other. No norm is the identity, no bias is zero: a
conversion that leaves something out shows.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

# What stands in a name, how its values are spread: (offset, width) of a uniform or of a normal one.
_UNIFORM = {"running_var": (0.5, 1.0), "norm_weight": (0.6, 0.8), "branch_end": (0.2, 0.2)}
# RepViT's branches beside an identity, 54 of them twice, would grow to infinity, and its gates, if
# they open and close at a touch, make of rounding errors whatever they like.
_BRANCH_END, _BESIDE_IDENTITY = ".m.2.bn.weight", 0.2
_BRANCHES = (".token_mixer.0.conv", ".token_mixer.1.fc")
_NORMAL = {
    "running_mean": 0.1,
    "bias": 0.1,
    "attention_biases": 0.5,
    "pos_embed": 0.1,
    "pos_embedding": 0.1,
    "rel_pos_h": 0.1,
    "rel_pos_w": 0.1,
    "positional_encoding_gaussian_matrix": 1.0,
}
_TOKEN = 0.5  # learned vectors of prompts and of the decoder
SPREAD = 1.4  # of a product's output, when its input is normal: makes up for what GELU takes


def weights_for(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """Made-up weights by name; counters (`num_batches_tracked`) are zero."""
    return {name: _tensor(name, shape, seed) for name, shape in shapes.items()}


def shapes_of(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a state dict."""
    return {name: tuple(value.shape) for name, value in weights.items()}


def layout_digest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Of names and shapes: says that two models take the same files."""
    rows = "\n".join(f"{name} {tuple(shape)}" for name, shape in sorted(shapes.items()))
    return hashlib.sha256(rows.encode()).hexdigest()[:16]


def _tensor(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    last = name.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    kind = "norm_weight" if last == "weight" and len(shape) == 1 else last
    kind = "branch_end" if name.endswith(_BRANCH_END) else kind
    if kind in _UNIFORM:
        low, width = _UNIFORM[kind]
        values = low + width * random.random(shape)
    else:
        values = random.standard_normal(shape) * _NORMAL.get(kind, _of_product(name, shape))
    return torch.from_numpy(np.asarray(values, np.float32))


def _of_product(name: str, shape: tuple[int, ...]) -> float:
    """The deviation of a weight, so that what it makes is neither tiny nor huge."""
    if "embed" in name or "token" in name.split(".")[-2]:
        return _TOKEN
    spread = _BESIDE_IDENTITY if any(b in name for b in _BRANCHES) else SPREAD
    return spread / math.sqrt(math.prod(shape[1:]))
