"""`gst:`: any GStreamer pipeline that ends in raw video."""

from __future__ import annotations

from edgesam_rt.cameras.base import SourceSpec
from edgesam_rt.cameras.feed import Feed
from edgesam_rt.cameras.gst_feed import open_pipeline
from edgesam_rt.cameras.options import patience_of, read_options
from edgesam_rt.cameras.reconnect import LiveCamera
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.errors import ConfigError
from edgesam_rt.secrets import redact


def open_source(spec: SourceSpec, clock: Clock = CLOCK) -> LiveCamera:
    """Open `gst:PIPELINE`."""
    values = read_options(spec, SOURCES["gst"].options)
    pipeline = (spec.secret or spec.target).strip().rstrip("!").rstrip()
    name = redact(spec.text or f"gst:{pipeline}")
    if "appsink" in pipeline:
        raise ConfigError(f"{name}: leave the appsink away; this program puts its own at the end.")

    def open_feed() -> Feed:
        return open_pipeline(pipeline, clock, name=name)

    return LiveCamera(name, open_feed, patience=patience_of(values), clock=clock)
