"""Stand-ins for what published code imports beside torch, where it is not installed."""

from __future__ import annotations

import enum
import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgesam_rt.imaging.resample import pil_bilinear

_Filter = enum.Enum("_Filter", "NEAREST BILINEAR BICUBIC BOX HAMMING LANCZOS")


def install(unneeded: Iterable[str] = ()) -> None:
    """Put stand-ins where torchvision and timm are missing; what is there stays.

    Args:
        unneeded: further modules; whatever is asked of them is an empty class.
    """
    for name, make in (("torchvision", _torchvision), ("timm", _timm)):
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            sys.modules.update(make())
    for name in unneeded:
        if name not in sys.modules:
            sys.modules.update(_empty(name))


def _modules(*names: str) -> dict[str, Any]:
    """Empty modules, each an attribute of its parent."""
    made: dict[str, Any] = {name: ModuleType(name) for name in names}
    for name in names:
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(made[parent], last, made[name])
    return made


class _Empty(ModuleType):
    """A module where every name is an empty class."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (dict,), {})


def _empty(name: str) -> dict[str, ModuleType]:
    """A module, and those it is in unless the outermost is there."""
    parts = name.split(".")
    if parts[0] in sys.modules or importlib.util.find_spec(parts[0]) is not None:
        return {name: _Empty(name)}
    above = (".".join(parts[: i + 1]) for i in range(len(parts)))
    return {n: _Empty(n) for n in above}


class _Compose:
    """torchvision's chain of transforms."""

    def __init__(self, steps: Sequence[Callable[[Any], Any]]) -> None:
        self.steps = steps

    def __call__(self, x: Any) -> Any:
        for step in self.steps:
            x = step(x)
        return x


def _to_tensor() -> Callable[[Any], Tensor]:
    return lambda pixels: torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float().div(255)


def _normalize(mean: Sequence[float], std: Sequence[float]) -> Callable[[Tensor], Tensor]:
    middle, spread = torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)
    return lambda x: (x - middle) / spread


def _torchvision() -> dict[str, Any]:
    made = _modules(
        "torchvision",
        "torchvision.models",
        "torchvision.ops",
        "torchvision.ops.boxes",
        "torchvision.transforms",
        "torchvision.transforms.functional",
    )
    functional = made["torchvision.transforms.functional"]
    functional.to_pil_image = np.asarray
    functional.resize = lambda pixels, size: pil_bilinear(pixels, tuple(size))
    functional.InterpolationMode = _Filter
    transforms = made["torchvision.transforms"]
    transforms.Compose, transforms.ToTensor = _Compose, _to_tensor
    transforms.Normalize = _normalize
    made["torchvision.ops.boxes"].batched_nms = None
    made["torchvision.ops.boxes"].box_area = None
    return made


class _DropPath(nn.Identity):
    def __init__(self, *given: object, **named: object) -> None:
        del given, named
        super().__init__()


class _SqueezeExcite(nn.Module):
    """timm's, as far as it is used: a quarter of the channels to the nearest multiple of 8."""

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        inside = max(8, int(channels * ratio + 4) // 8 * 8)
        self.fc1, self.fc2 = nn.Conv2d(channels, inside, 1), nn.Conv2d(inside, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(means))))


def _timm() -> dict[str, Any]:
    made = _modules(
        *("timm", "timm.models", "timm.models.layers", "timm.models.registry"),
        "timm.models.vision_transformer",
    )
    registered: dict[str, Callable[..., nn.Module]] = {}

    def register_model(function: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        registered[function.__name__] = function
        return function

    layers = made["timm.models.layers"]
    layers.DropPath = _DropPath
    layers.to_2tuple = lambda n: n if isinstance(n, tuple) else (n, n)
    layers.trunc_normal_ = nn.init.trunc_normal_
    layers.SqueezeExcite = _SqueezeExcite
    made["timm.models.vision_transformer"].trunc_normal_ = nn.init.trunc_normal_
    for module in (made["timm.models.registry"], made["timm.models"]):
        module.register_model = register_model
    made["timm.models"].create_model = lambda name: registered[name]()
    return made
