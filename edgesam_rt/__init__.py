"""Segment Anything on edge boards: prebuilt INT8 engines, cameras and a latency budget; no torch.

    import edgesam_rt as es

    with es.open() as seg:
        embedding = seg.encode(es.read_image("photo.jpg"))
        cat = seg.predict(embedding, es.Prompt.point(420, 310))

Importing this package is quick: what a name needs is loaded when the name is first used, and OpenCV
and the runtime libraries only when a picture is read or an engine opened.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edgesam_rt.errors import (
    BackendError,
    BackendMissing,
    BundleError,
    CameraError,
    ConfigError,
    EdgeSamError,
    ImageError,
    PipelineError,
    PromptError,
    SelfTestError,
    ShapeError,
    SinkError,
)

if TYPE_CHECKING:
    from edgesam_rt.api import Segmenter, open
    from edgesam_rt.imaging.files import read_image
    from edgesam_rt.records import Embedding, Frame, MaskSet, Prompt, Result, Timings

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "BackendMissing",
    "BundleError",
    "CameraError",
    "ConfigError",
    "EdgeSamError",
    "Embedding",
    "Frame",
    "ImageError",
    "MaskSet",
    "PipelineError",
    "Prompt",
    "PromptError",
    "Result",
    "Segmenter",
    "SelfTestError",
    "ShapeError",
    "SinkError",
    "Timings",
    "open",
    "read_image",
]

_HOME = {
    "Embedding": "edgesam_rt.records",
    "Frame": "edgesam_rt.records",
    "MaskSet": "edgesam_rt.records",
    "Prompt": "edgesam_rt.records",
    "Result": "edgesam_rt.records",
    "Segmenter": "edgesam_rt.api",
    "Timings": "edgesam_rt.records",
    "open": "edgesam_rt.api",
    "read_image": "edgesam_rt.imaging.files",
}


def __getattr__(name: str) -> object:
    """Load a public name's module when the name is first used (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted({*globals(), *__all__})
