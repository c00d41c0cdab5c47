"""Stand-ins for what published code imports beside torch, where it is not installed."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np
from torch import nn

from edgesam_rt.imaging.resample import pil_bilinear


def install() -> None:
    """Put stand-ins where torchvision and timm are missing; what is there stays."""
    for name, make in (("torchvision", _torchvision), ("timm", _timm)):
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            sys.modules.update(make())


def _modules(*names: str) -> dict[str, Any]:
    """Empty modules, each an attribute of its parent."""
    made: dict[str, Any] = {name: ModuleType(name) for name in names}
    for name in names:
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(made[parent], last, made[name])
    return made


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
    made["torchvision.ops.boxes"].batched_nms = None
    made["torchvision.ops.boxes"].box_area = None
    return made


class _DropPath(nn.Identity):
    def __init__(self, *given: object, **named: object) -> None:
        del given, named
        super().__init__()


def _timm() -> dict[str, Any]:
    made = _modules("timm", "timm.models", "timm.models.layers", "timm.models.registry")
    layers = made["timm.models.layers"]
    layers.DropPath = _DropPath
    layers.to_2tuple = lambda n: n if isinstance(n, tuple) else (n, n)
    layers.trunc_normal_ = nn.init.trunc_normal_
    made["timm.models.registry"].register_model = lambda function: function
    return made
