"""Segment Anything on edge boards: prebuilt INT8 engines, cameras and a latency budget; no torch.

    import edgesam_rt as es

    with es.open() as seg:
        embedding = seg.encode(es.read_image("photo.jpg"))
        cat = seg.predict(embedding, es.Prompt.point(420, 310))

Importing this package loads numpy, and neither OpenCV nor any runtime library.
"""

from __future__ import annotations

from edgesam_rt.api import Segmenter, open
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
