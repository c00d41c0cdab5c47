"""From a SourceSpec to an open camera."""

from __future__ import annotations

import importlib

from edgesam_rt.cameras.base import Camera, SourceSpec
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.errors import CameraMissing, ConfigError, unknown_name


def open_camera(spec: SourceSpec, clock: Clock = CLOCK) -> Camera:
    """Open a source; call it in the thread that will read it.

    Args:
        spec: what `parse_source` returned.
        clock: what stamps the frames and paces a live source.

    Raises:
        ConfigError: unknown scheme or option, a value that cannot be, no pictures.
        CameraMissing: no such device, no permission, or a library is not installed.
        CameraError: it cannot be read at all.
    """
    row = SOURCES.get(spec.scheme)
    if row is None:
        raise ConfigError(unknown_name("source", spec.scheme, SOURCES))
    try:
        camera: Camera = importlib.import_module(row.module).open_source(spec, clock)
    except ImportError as error:
        raise CameraMissing(f"source {spec.text or spec.scheme!r}: {row.missing}.") from error
    return camera
