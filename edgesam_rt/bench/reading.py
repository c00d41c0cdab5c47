"""One reading of all sensors, for a report."""

from __future__ import annotations

from pathlib import Path

from edgesam_rt.bench.report import Reading
from edgesam_rt.system import sensors
from edgesam_rt.system.files import said_by


def read(at_s: float, root: Path = Path("/"), command: sensors.Command = said_by) -> Reading:
    """Ask all sensors once.

    Args:
        at_s: since the run began.
        root: where /sys is looked for; tests put a folder of their own here.
        command: runs the firmware's tool.
    """
    return Reading(
        at_s=round(at_s, 1),
        temperatures_c=sensors.temperatures(root),
        clocks_mhz=sensors.clocks(root),
        governors=sensors.governors(root),
        throttling=sensors.throttling(root, command),
    )
