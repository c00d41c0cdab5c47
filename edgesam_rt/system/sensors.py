"""Temperatures, clocks, governors and throttling, from sysfs and the Raspberry Pi's firmware."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from edgesam_rt.system.files import listed, number, said_by, text

Command = Callable[[Sequence[str]], str | None]
T = TypeVar("T")

# Raspberry Pi documentation, `vcgencmd get_throttled`; 16 and up: since boot.
FIRMWARE_BITS = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
    16: "under-voltage has occurred",
    17: "frequency capping has occurred",
    18: "throttling has occurred",
    19: "soft temperature limit has occurred",
}
MARGIN_C = 5.0  # nearer to its limit than this, a board slows down as soon as it works
NOW = 16  # bits below are about this moment
HEATED_HWMON = ("coretemp", "k10temp", "cpu_thermal", "nvme")  # chips whose temperatures count
COUNTERS = ("core_throttle_count", "package_throttle_count")
# Kernels of the Raspberry Pi up to 5.x show the same word here (general knowledge, not checked).
FIRMWARE_FILE = "sys/devices/platform/soc/soc:firmware/get_throttled"


class Throttling(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What says that the machine held itself back.

    Attributes:
        firmware: names of the set bits of `vcgencmd get_throttled`; None where there is none.
        cooling: state by cooling device of /sys/class/thermal; 0 is at rest.
        counters: times a core or package was throttled since boot (x86).
        alarms: hwmon alarms that are set, "chip/alarm".
    """

    firmware: tuple[str, ...] | None = None
    cooling: dict[str, int] = {}
    counters: dict[str, int] = {}
    alarms: tuple[str, ...] = ()


def temperatures(root: Path) -> dict[str, float]:
    """Degrees Celsius by sensor: thermal zones, then the CPU's own chips where there is no zone."""
    zones = listed(root / "sys/class/thermal", "thermal_zone*")
    pairs = [(text(zone / "type") or zone.name, number(zone / "temp")) for zone in zones]
    if not pairs:
        pairs = [
            (f"{text(chip / 'name')}/{text(chip / f'{sensor}_label') or sensor}", number(found))
            for chip in listed(root / "sys/class/hwmon", "hwmon*")
            if text(chip / "name") in HEATED_HWMON
            for found in listed(chip, "temp*_input")
            for sensor in [found.name.removesuffix("_input")]
        ]
    return _distinct([(name, value / 1000) for name, value in pairs if value is not None])


def limits(root: Path) -> dict[str, float]:
    """Lowest temperature at which the kernel slows something down, C, by zone."""
    found: dict[str, float] = {}
    for zone in listed(root / "sys/class/thermal", "thermal_zone*"):
        for kind in listed(zone, "trip_point_*_type"):
            millidegrees = number(zone / kind.name.replace("_type", "_temp"))
            if text(kind) == "passive" and millidegrees and millidegrees > 0:
                name = text(zone / "type") or zone.name
                found[name] = min(millidegrees / 1000, found.get(name, float("inf")))
    return found


def clocks(root: Path) -> dict[str, float]:
    """Present clocks, MHz: one per cpufreq policy, and devices such as a GPU."""
    policies = [
        (_core(policy), number(policy / "scaling_cur_freq"), 1e3) for policy in _policies(root)
    ]
    devices = [
        (device.name, number(device / "cur_freq"), 1e6)
        for device in listed(root / "sys/class/devfreq", "*")
    ]
    found = [(n, round(v / unit, 1)) for n, v, unit in policies + devices if v is not None]
    return _distinct(found)


def governors(root: Path) -> dict[str, str]:
    """Frequency governor by cpufreq policy."""
    found = ((_core(policy), text(policy / "scaling_governor")) for policy in _policies(root))
    return {name: value for name, value in found if value}


def throttling(root: Path, command: Command = said_by) -> Throttling:
    """Everything that tells of throttling here."""
    cooling = [
        (text(device / "type") or device.name, number(device / "cur_state"))
        for device in listed(root / "sys/class/thermal", "cooling_device*")
    ]
    alarms = [
        f"{text(chip / 'name') or chip.name}/{alarm.name}"
        for chip in listed(root / "sys/class/hwmon", "hwmon*")
        for alarm in listed(chip, "*_alarm")
        if number(alarm)
    ]
    return Throttling(
        firmware=_firmware(root, command),
        cooling=_distinct([(name, state) for name, state in cooling if state is not None]),
        counters=_counters(root),
        alarms=tuple(alarms),
    )


def held_back_by(found: Throttling) -> tuple[str, ...]:
    """What makes the machine slower than it could be at this moment; empty if nothing does."""
    now = [name for bit, name in FIRMWARE_BITS.items() if bit < NOW]
    # A fan is a cooling device, too; a processor's state above 0 is a lower clock.
    slowed = [
        name
        for name, state in found.cooling.items()
        if state > 0 and re.search(r"cpu|processor|gpu", name, re.IGNORECASE)
    ]
    return (*(n for n in now if n in (found.firmware or ())), *slowed, *found.alarms)


def is_held_back(found: Throttling) -> bool:
    """Whether the machine is slower than it could be at this moment."""
    return bool(held_back_by(found))


def _firmware(root: Path, command: Command) -> tuple[str, ...] | None:
    said = text(root / FIRMWARE_FILE) or command(("vcgencmd", "get_throttled")) or ""
    found = re.fullmatch(r"(?:throttled=0x)?([0-9a-fA-F]+)", said)
    if found is None:
        return None
    bits = int(found[1], 16)
    return tuple(name for bit, name in FIRMWARE_BITS.items() if bits >> bit & 1)


def _counters(root: Path) -> dict[str, int]:
    """Sums over the cores; each is there on x86 alone."""
    sums: dict[str, int] = {}
    for core in listed(root / "sys/devices/system/cpu", "cpu[0-9]*"):
        for name in COUNTERS:
            count = number(core / "thermal_throttle" / name)
            if count is not None:
                sums[name] = sums.get(name, 0) + count
    return sums


def _policies(root: Path) -> list[Path]:
    return list(listed(root / "sys/devices/system/cpu/cpufreq", "policy*"))


def _core(policy: Path) -> str:
    return policy.name.replace("policy", "cpu")


def _distinct(pairs: Sequence[tuple[str, T]]) -> dict[str, T]:
    """As a dict; a name that comes again gets a number."""
    out: dict[str, T] = {}
    for name, value in pairs:
        same = sum(1 for known in out if known == name or known.startswith(f"{name} #"))
        out[f"{name} #{same + 1}" if same else name] = value
    return out
