"""How hot the board is and whether it is held back: what the ladder and the metrics read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from edgesam_rt.system import sensors, tegrastats
from edgesam_rt.system.files import said_by


class HeatFacts(Protocol):
    """What a board's file says of its heat; see `edgesam_rt.boards.schema.Heat`."""

    @property
    def zones(self) -> Sequence[str]:
        """Names of its thermal zones."""
        ...

    @property
    def hot_c(self) -> float | None:
        """From which temperature on it slows down."""
        ...

    @property
    def throttling(self) -> str:
        """Who tells of throttling."""
        ...


class HasHeat(Protocol):
    """A board."""

    @property
    def heat(self) -> HeatFacts:
        """What its file says of its heat."""
        ...


@dataclass(frozen=True)
class Readings:
    """What the sensors say at one moment.

    Attributes:
        temperatures_c: degrees Celsius by sensor; of the zones that the board names, else of all.
        near: sensors that are within 5 degrees of where the board slows down, or hotter.
        reasons: what holds the board back now: "throttled", "under-voltage", a cooling device, …
    """

    temperatures_c: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    near: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def temperature_c(self) -> float | None:
        """Of the hottest sensor; None where nothing tells."""
        return max(self.temperatures_c.values(), default=None)

    @property
    def throttled(self) -> bool:
        """Whether the board is slower than it could be, at this moment."""
        return bool(self.reasons)

    @property
    def may_rise(self) -> bool:
        """Whether quality may rise: neither held back nor nearly."""
        return not self.reasons and not self.near


class Probes:
    """Reads the sensors of a board. May start a tool: not for the threads that make results.

    Args:
        heat: what the board's file says.
        root: where /sys is looked for; tests put a folder of their own here.
        command: runs the firmware's tool.
        stats: first line of `tegrastats`.
    """

    def __init__(
        self,
        heat: HeatFacts,
        root: Path = Path("/"),
        command: sensors.Command = said_by,
        stats: Callable[[], str] = tegrastats.first_line,
    ) -> None:
        self._heat, self._root, self._stats = heat, root, stats
        asks_firmware = heat.throttling == "vcgencmd"
        self._command = command if asks_firmware else lambda _: None
        self._limits = sensors.limits(root)

    @classmethod
    def of(cls, board: HasHeat) -> Probes:
        """The probes of a board, on this machine."""
        return cls(board.heat)

    def read(self) -> Readings:
        """Ask all sensors once."""
        found = self._temperatures()
        limits = {n: self._heat.hot_c for n in found if self._heat.hot_c is not None} | self._limits
        near = [n for n, c in found.items() if n in limits and c >= limits[n] - sensors.MARGIN_C]
        told = sensors.throttling(self._root, self._command)
        tells = self._heat.throttling != "nobody"
        reasons = sensors.held_back_by(told) if tells else ()
        return Readings(MappingProxyType(found), tuple(near), reasons)

    def _temperatures(self) -> dict[str, float]:
        found = sensors.temperatures(self._root)
        if not found and self._heat.throttling == "cooling":
            found = tegrastats.temperatures(self._stats())
        own = {name: found[name] for name in self._heat.zones if name in found}
        return own or found
