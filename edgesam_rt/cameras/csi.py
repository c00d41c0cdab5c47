"""`csi:`: a ribbon camera of a Jetson, through NVIDIA's Argus source for GStreamer.

Written from NVIDIA's documentation: the pipeline's text is tested, no Jetson has run it yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgesam_rt.cameras.base import SourceSpec
from edgesam_rt.cameras.feed import Feed
from edgesam_rt.cameras.gst_feed import open_pipeline
from edgesam_rt.cameras.options import patience_of, read_options
from edgesam_rt.cameras.reconnect import LiveCamera
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.errors import ConfigError

# The picture processor scales and turns; only the small picture reaches the CPU's memory.
PIPELINE = (
    "nvarguscamerasrc sensor-id={sensor_id} "
    "! video/x-raw(memory:NVMM),format=NV12,width={mode[0]},height={mode[1]}{rate} "
    "! nvvidconv flip-method={flip} "
    "! video/x-raw,format=BGRx,width={size[0]},height={size[1]}"
)
FLIP_METHOD = {"0": 0, "90": 3, "180": 2, "270": 1}  # nvvidconv counts against the clock


def open_source(spec: SourceSpec, clock: Clock = CLOCK) -> LiveCamera:
    """Open `csi:NUMBER`; nothing is camera 0."""
    values = read_options(spec, SOURCES["csi"].options)
    name = spec.text or f"csi:{spec.target}"
    pipeline = pipeline_text(spec.target, values, name)

    def open_feed() -> Feed:
        return open_pipeline(pipeline, clock, name=name)

    return LiveCamera(name, open_feed, patience=patience_of(values), clock=clock)


def pipeline_text(target: str, values: Mapping[str, Any], name: str) -> str:
    """Return the pipeline of a camera, up to its sink."""
    if target and not target.isdecimal():
        raise ConfigError(f"source {name!r}: expected a camera's number, as csi:0.")
    return PIPELINE.format(
        sensor_id=int(target or 0),
        mode=values["mode"],
        rate=f",framerate={round(values['fps'])}/1" if values["fps"] else "",
        flip=FLIP_METHOD[values["rotation"]],
        size=values["size"],
    )
