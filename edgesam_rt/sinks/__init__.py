"""Consumers of results. `table.py` lists them; `open_sink` opens one by its spec."""

from edgesam_rt.sinks.spec import SinkSpec, open_sink, parse_sink

__all__ = ["SinkSpec", "open_sink", "parse_sink"]
