"""Sources of frames: `open_camera(parse_source("clip.mp4"))`."""

from __future__ import annotations

from edgesam_rt.cameras.base import Camera, SourceSpec
from edgesam_rt.cameras.open import open_camera
from edgesam_rt.cameras.spec import parse_source

__all__ = ["Camera", "SourceSpec", "open_camera", "parse_source"]
