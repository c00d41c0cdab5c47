"""Energy, where the machine has a sensor that may be read; never an estimate.

Kinds of sensor, the first that answers is used:

- INA monitors as hwmon devices (Jetson and carrier boards): volts times amperes per rail, sampled;
- RAPL (Intel, AMD): the processor packages' own energy counters, without memory and board;
- `vcgencmd pmic_read_adc` (Raspberry Pi 5): the rails of its power chip, sampled. What USB devices
  take and what the converters lose is not in it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from edgesam_rt.clock import CLOCK, Clock
from edgesam_rt.system.files import listed, number, said_by, text

SAMPLE_S = 0.1
# The rail that carries everything else, where a board has one (NVIDIA's carrier boards).
TOTAL_RAILS = ("VDD_IN", "POM_5V_IN")
Command = Callable[[Sequence[str]], str | None]


@dataclass(frozen=True)
class Meter:
    """A power sensor.

    Attributes:
        source: which, and what it covers.
        joules: reads a counter that only grows, since some moment in the past; or None.
        watts: reads the present power; or None. Exactly one of the two is there.
    """

    source: str
    joules: Callable[[], float] | None = None
    watts: Callable[[], float] | None = None

    def measure(self, clock: Clock = CLOCK) -> Spent:
        """Energy spent inside a `with` block."""
        return Spent(self, clock)


class Spent(AbstractContextManager["Spent"]):
    """Energy between entering and leaving.

    Attributes:
        joules, seconds: complete after leaving.
    """

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self.joules = 0.0
        self.seconds = 0.0
        self._meter = meter
        self._clock = clock
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def watts(self) -> float:
        """Mean power."""
        return self.joules / self.seconds if self.seconds else 0.0

    def __enter__(self) -> Spent:
        """Begin."""
        self._started_ns = self._clock.now_ns()
        if self._meter.joules is not None:
            self._before = self._meter.joules()
        else:
            self._thread = threading.Thread(target=self._sample, name="power", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self._ended_ns = self._clock.now_ns()
        self.seconds = (self._ended_ns - self._started_ns) / 1e9
        if self._meter.joules is not None:
            self.joules = self._meter.joules() - self._before
        elif self._thread is not None:
            self._done.set()
            self._thread.join()

    def _sample(self) -> None:
        """Add up watts times seconds until done, each reading for the time until the next."""
        assert self._meter.watts is not None
        before_ns = self._started_ns
        while True:
            watts = self._meter.watts()
            ended = self._done.wait(SAMPLE_S)
            now_ns = self._ended_ns if ended else self._clock.now_ns()
            self.joules += watts * (now_ns - before_ns) / 1e9
            before_ns = now_ns
            if ended:
                return


def find(root: Path = Path("/"), command: Command = said_by) -> tuple[Meter | None, str]:
    """Find a sensor that can be read; or None, and for each kind why not.

    Args:
        root: where /sys is looked for; tests put a folder of their own here.
        command: runs the firmware's tool.
    """
    reasons = []
    for kind in (_ina, _rapl, _pmic):
        found = kind(root, command)
        if isinstance(found, Meter):
            return found, ""
        reasons.append(found)
    return None, "; ".join(reasons)


def _ina(root: Path, command: Command) -> Meter | str:
    rails = {
        text(chip / f"in{i}_label") or f"{chip.name} rail {i}": (volts, chip / f"curr{i}_input")
        for chip in listed(root / "sys/class/hwmon", "hwmon*")
        if (text(chip / "name") or "").startswith("ina")
        for volts in listed(chip, "in[0-9]_input")
        for i in [volts.name[2]]
        if number(volts) is not None and number(chip / f"curr{i}_input") is not None
    }
    if not rails:
        return "no INA power monitor in /sys/class/hwmon"
    total = next((rails[name] for name in TOTAL_RAILS if name in rails), None)
    used = [total] if total else list(rails.values())
    names = next((n for n in TOTAL_RAILS if n in rails), "sum of " + ", ".join(sorted(rails)))

    def watts() -> float:
        # millivolts times milliamperes
        return sum((number(v) or 0) * (number(a) or 0) for v, a in used) / 1e6

    return Meter(f"INA monitor, {names}", watts=watts)


def _rapl(root: Path, command: Command) -> Meter | str:
    folder = root / "sys/class/powercap"
    packages = [p for p in listed(folder, "intel-rapl:*") if _is_package(p)]
    if not packages:
        return "no RAPL in /sys/class/powercap"
    if any(number(p / "energy_uj") is None for p in packages):
        return "RAPL may be read by root alone (energy_uj)"
    counters = [_Counter(p) for p in packages]
    names = ", ".join(text(p / "name") or p.name for p in packages)
    return Meter(f"RAPL, {names}", joules=lambda: sum(c.joules() for c in counters))


def _is_package(folder: Path) -> bool:
    return (text(folder / "name") or "").startswith("package")


class _Counter:
    """A counter of microjoules that starts again at its limit."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._limit = number(folder / "max_energy_range_uj") or 0
        self._last = number(self._file) or 0
        self._turns = 0

    def joules(self) -> float:
        """Since the first reading, on a scale of its own."""
        now = number(self._file) or 0
        self._turns += now < self._last
        self._last = now
        return (now + self._turns * self._limit) / 1e6


_RAIL = re.compile(r"(\w+)_([AV]) (?:current|volt)\(\d+\)=([\d.]+)[AV]")


def _pmic(root: Path, command: Command) -> Meter | str:
    if not _pmic_watts(command):
        return "no vcgencmd pmic_read_adc"
    return Meter(
        "power chip of the Raspberry Pi, sum of its rails", watts=lambda: _pmic_watts(command)
    )


def _pmic_watts(command: Command) -> float:
    """Sum over the rails that have both a current and a voltage."""
    said = command(("vcgencmd", "pmic_read_adc")) or ""
    found: dict[str, dict[str, float]] = {}
    for name, kind, value in _RAIL.findall(said):
        found.setdefault(name, {})[kind] = float(value)
    return sum(rail["A"] * rail["V"] for rail in found.values() if len(rail) == 2)


def idle_watts(meter: Meter, seconds: float) -> float:
    """Mean power while this process sleeps."""
    with meter.measure() as spent:
        time.sleep(seconds)
    return spent.watts
