"""Temperatures, throttling, power modes and sensors."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgesam_rt.bench import power as meters
from edgesam_rt.doctor.findings import Fact, Finding, failed, passed, skipped, warned
from edgesam_rt.doctor.patient import Patient
from edgesam_rt.system import sensors
from edgesam_rt.system.files import text

NVPMODEL_CONF = "etc/nvpmodel.conf"
COOL = "Cool it: a fan, a larger heat sink, more air. Then measure again."
SUPPLY = "Use the power supply made for this board, and a short cable."
UNTOLD = (
    "vcgencmd is missing or may not open /dev/vcio",
    "sudo usermod -aG video $USER; in a container: --device /dev/vcio",
)


def temperature(patient: Patient) -> Iterator[Finding]:
    """How far each zone is from the temperature at which it slows down."""
    root, heat = patient.machine.root, patient.board.heat
    found = sensors.temperatures(root)
    absent = [zone for zone in heat.zones if zone not in found]
    if absent:
        yield warned(
            f"no thermal zone {', '.join(absent)}, which a {patient.board.title} has",
            "Mount /sys into the container, or report the names of your zones.",
        )
    if not found:
        yield skipped("no sensor tells a temperature here", "In a container: mount /sys.")
        return
    limits = {zone: heat.hot_c for zone in found if heat.hot_c is not None} | sensors.limits(root)
    near = [
        f"{zone} ({limits[zone]:.0f} C)"
        for zone, celsius in found.items()
        if zone in limits and celsius >= limits[zone] - sensors.MARGIN_C
    ]
    hottest = max(found, key=lambda zone: found[zone])
    said = f"{found[hottest]:.0f} C ({hottest})"
    facts: dict[str, Fact] = {f"{zone}_c": celsius for zone, celsius in found.items()}
    if near:
        yield warned(f"{said}, near or over the limit of {', '.join(near)}", COOL, **facts)
    else:
        yield passed(said, **facts)


def throttling(patient: Patient) -> Iterator[Finding]:
    """Whether the board is held back now, or was since it started."""
    found = sensors.throttling(patient.machine.root, patient.machine.command)
    told = found.firmware is not None
    now = sensors.held_back_by(found)
    before = [name for name in found.firmware or () if name not in now]
    facts: dict[str, Fact] = {"now": ", ".join(now), "since_boot": ", ".join(before)}
    if not told and patient.board.heat.throttling == "vcgencmd":
        yield warned(*UNTOLD)
    if "under-voltage" in now:
        yield failed(f"now: {', '.join(now)}", SUPPLY, **facts)
    elif now:
        yield warned(f"held back now: {', '.join(now)}", COOL, **facts)
    elif before:
        volts = any("under-voltage" in name for name in before)
        yield warned(f"since boot: {', '.join(before)}", SUPPLY if volts else COOL, **facts)
    elif told:
        yield passed("not held back, never since boot", **facts)
    elif found.cooling or found.counters:
        yield passed("not held back", **facts)
    else:
        yield skipped("nothing else tells of throttling here", "In a container: mount /sys.")


def power_mode(patient: Patient) -> Iterator[Finding]:
    """Jetson's power mode, and the governor of the cores."""
    modes = patient.board.power
    governors = sorted(set(sensors.governors(patient.machine.root).values()))
    said = patient.machine.command(("nvpmodel", "-q")) or ""
    mode = re.search(r"NV Power Mode:\s*(\S+)", said)
    if mode is None:
        if modes.fastest:
            yield warned("nvpmodel tells no power mode", "sudo nvpmodel -q, outside of a container")
        elif governors:
            yield passed(f"governor {', '.join(governors)}", governors=", ".join(governors))
        else:
            yield skipped("nothing tells of power modes here: nothing to do")
        return
    known = _modes(text(patient.machine.root / NVPMODEL_CONF) or "") or modes.modes
    best = next((name for name in modes.fastest if name in known), None)
    if best is None or mode[1] in modes.fastest:
        yield passed(f"power mode {mode[1]}", mode=mode[1])
    else:
        yield warned(
            f"power mode {mode[1]}; {best} holds nothing back",
            f"sudo nvpmodel -m {known[best]} && sudo {modes.pin_clocks} (may need a reboot)",
            mode=mode[1],
        )


def power_sensor(patient: Patient) -> Iterator[Finding]:
    """What measures the power that the board takes."""
    meter, reason = meters.find(patient.machine.root, patient.machine.command)
    if meter is not None:
        yield passed(meter.source)
    elif patient.board.power.sensor == "none":
        yield skipped("this board has no power sensor that can be read: nothing to do")
    else:
        yield skipped(reason, "Without it edgesam-bench reports no energy; run it as root to try.")


def _modes(conf: str) -> dict[str, int]:
    """Numbers of the power modes by name, as the board's own file has them."""
    rows = re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", conf)
    return {name: int(number) for number, name in rows}
