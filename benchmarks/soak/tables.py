"""What a soak run found, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.markdown import markdown

Row = Mapping[str, Any]


def make(figures: Row) -> Iterator[tuple[str, str]]:
    """Yield the table's name and text."""
    grown, run = figures["growth"], figures["summary"]
    low, middle, high = grown["anonymous_mib"]
    breaks = sum(run["camera_breaks"].values())
    rows = [
        ("results", f"{run['results']:,} in {run['wall_s'] / 60:.0f} min"),
        (
            "camera failures, and how often it came back",
            f"{breaks}, {run['reconnects']}",
        ),
        ("times the MQTT broker was killed", str(figures["broker_kills"])),
        (
            "live page: stream read, connections",
            f"{figures['viewer']['mib']:,.0f} MiB, {figures['viewer']['connections']}",
        ),
        ("memory by results, MiB per 50,000", f"{grown['mib_per_50000']:+.2f}"),
        ("memory: least, median, most, MiB", f"{low:.1f}, {middle:.1f}, {high:.1f}"),
        ("threads, first and last quarter", _pair(grown["threads"])),
        ("descriptors, first and last quarter", _pair(grown["descriptors"])),
        *_outputs(figures),
    ]
    yield "soak", markdown(["measured", "found"], [list(row) for row in rows])


def _outputs(figures: Row) -> Iterator[tuple[str, str]]:
    """Per output, what arrived and what was counted as lost; together that is all."""
    arrived = {"mqtt": figures["mqtt_received"], "jsonl": figures["file_lines"]}
    for kind, count in arrived.items():
        losses = figures["summary"]["sink_dropped"]
        lost = sum(number for name, number in losses.items() if name.startswith(kind))
        made = figures["summary"]["results"]
        yield (
            f"{kind}: arrived, counted as lost, neither",
            f"{count:,}, {lost}, {made - count - lost}",
        )


def _pair(ends: tuple[float, float]) -> str:
    return f"{ends[0]:g}, {ends[1]:g}"
