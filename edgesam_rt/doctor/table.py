"""All checks, as data: in this order, under these headings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgesam_rt.doctor.checks import (
    board,
    cameras,
    engines,
    heat,
    jetson,
    memory,
    processor,
    software,
)
from edgesam_rt.doctor.findings import Finding
from edgesam_rt.doctor.patient import Patient


@dataclass(frozen=True)
class CheckRow:
    """One check.

    Attributes:
        group: heading it stands under.
        name: for people and programs.
        look: the check itself.
        patience_s: after this time it has failed.
    """

    group: str
    name: str
    look: Callable[[Patient], Iterator[Finding]]
    patience_s: float = 20.0


CHECKS = (
    CheckRow("Board", "board", board.board),
    CheckRow("Board", "system", board.system),
    CheckRow("Board", "processor", processor.processor),
    CheckRow("Board", "memory", memory.memory),
    CheckRow("Board", "disk", memory.disk),
    CheckRow("Heat and power", "temperature", heat.temperature),
    CheckRow("Heat and power", "throttling", heat.throttling),
    CheckRow("Heat and power", "power mode", heat.power_mode),
    CheckRow("Heat and power", "power sensor", heat.power_sensor),
    CheckRow("Cameras", "cameras", cameras.cameras),
    CheckRow("Cameras", "rights", cameras.rights),
    CheckRow("Software", "python", board.python),
    CheckRow("Software", "libraries", software.libraries),
    CheckRow("Software", "backends", software.backends),
    CheckRow("Software", "tflite", software.numpy_of_tflite),
    CheckRow("Software", "jetpack", jetson.jetpack),
    CheckRow("Software", "tensorrt", jetson.tensorrt),
    CheckRow("Engines", "bundle", engines.bundle_files),
    CheckRow("Engines", "engines", engines.engines, 600.0),
)
