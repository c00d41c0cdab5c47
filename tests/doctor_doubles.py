"""Machines for the doctor: files below a root, tools that answer, devices that are closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from edgesam_rt.doctor.findings import Finding
from edgesam_rt.doctor.patient import Machine, Patient, admit
from tests.bench.machines import HWMON, POLICIES, THERMAL, write
from tests.board_trees import R32_NANO, R35, R36, TREES, tree

Tools = Mapping[str, str]
Check = Callable[[Patient], Iterator[Finding]]

NVPMODEL_CONF = """
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=25W >
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
< PM_CONFIG DEFAULT=1 >
"""
MEMINFO = "MemTotal: 8257536 kB\nMemAvailable: 6160384 kB\nSwapTotal: 204800 kB"
LITTLE = "MemTotal: 524288 kB\nMemAvailable: 102400 kB\nSwapTotal: 0 kB"

PI_SYSFS = {
    f"{THERMAL}/thermal_zone0/type": "cpu-thermal",
    f"{THERMAL}/thermal_zone0/temp": "61250",
    f"{THERMAL}/cooling_device0/type": "pwm-fan",
    f"{THERMAL}/cooling_device0/cur_state": "2",
    f"{POLICIES}/policy0/scaling_cur_freq": "2400000",
    f"{POLICIES}/policy0/scaling_governor": "ondemand",
    "etc/os-release": 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"',
    "proc/meminfo": MEMINFO,
    "dev/vcio": "",
    "dev/video0": "",
    "sys/class/video4linux/video0/name": "HD Pro Webcam C920",
    "sys/class/video4linux/video0/index": "0",
    "dev/video1": "",
    "sys/class/video4linux/video1/name": "HD Pro Webcam C920",
    "sys/class/video4linux/video1/index": "1",
    "dev/video19": "",
    "sys/class/video4linux/video19/name": "rpi-hevc-dec",
}
PI5 = {
    **TREES["rpi5"][0],
    **PI_SYSFS,
    "proc/cpuinfo": "CPU part\t: 0xd0b\nFeatures\t: fp asimd asimdhp asimddp",
}
PI4 = {
    **TREES["rpi4"][0],
    **PI_SYSFS,
    "proc/cpuinfo": "CPU part\t: 0xd08\nFeatures\t: fp asimd evtstrm crc32 cpuid",
}
JETSON_SYSFS = {
    "proc/cpuinfo": "CPU part\t: 0xd42\nFeatures\t: fp asimd asimdhp asimddp",
    "proc/meminfo": MEMINFO,
    f"{THERMAL}/thermal_zone0/type": "cpu-thermal",
    f"{THERMAL}/thermal_zone0/temp": "48000",
    f"{THERMAL}/thermal_zone0/trip_point_0_type": "critical",
    f"{THERMAL}/thermal_zone0/trip_point_0_temp": "104500",
    f"{THERMAL}/thermal_zone0/trip_point_1_type": "passive",
    f"{THERMAL}/thermal_zone0/trip_point_1_temp": "99000",
    f"{THERMAL}/cooling_device0/type": "cpufreq-cpu0",
    f"{THERMAL}/cooling_device0/cur_state": "0",
    f"{HWMON}/hwmon3/name": "ina3221",
    f"{HWMON}/hwmon3/in1_label": "VDD_IN",
    f"{HWMON}/hwmon3/in1_input": "5000",
    f"{HWMON}/hwmon3/curr1_input": "1500",
    "usr/local/cuda/version.json": '{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}}',
    "etc/nvpmodel.conf": NVPMODEL_CONF,
    "dev/nvmap": "",
    "dev/dri/renderD128": "",
}
ORIN = {**TREES["jetson-orin-nano"][0], **JETSON_SYSFS, "etc/nv_tegra_release": R36}
OLD_ORIN = {**ORIN, "etc/nv_tegra_release": R35}
OLD_NANO = {
    **TREES["jetson-nano"][0],
    "etc/nv_tegra_release": R32_NANO,
    "proc/cpuinfo": "CPU part\t: 0xd07\nFeatures\t: fp asimd evtstrm",
    "proc/meminfo": MEMINFO,
}
BARE: Mapping[str, str] = {}

HEALTHY_PI: Tools = {"vcgencmd get_throttled": "throttled=0x0"}
LOW_VOLTS: Tools = {"vcgencmd get_throttled": "throttled=0x50005"}
LOW_VOLTS_BEFORE: Tools = {"vcgencmd get_throttled": "throttled=0x50000"}
HOT_BEFORE: Tools = {"vcgencmd get_throttled": "throttled=0x80000"}
JETSON_TOOLS: Tools = {
    "nvpmodel -q": "NV Power Mode: MAXN_SUPER\n2",
    "dpkg-query -W": "10.3.0.30-1+cuda12.5\n",
}
SLOW_JETSON: Tools = {
    "nvpmodel -q": "NV Power Mode: 15W\n0",
    "dpkg-query -W": "8.2.1-1+cuda10.2\n",
}


class Answers:
    """Runs no tool: gives what it would say, by its first two words."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def __call__(self, command: Sequence[str]) -> str | None:
        return self._tools.get(" ".join(command[:2]))


def machine(
    root: Path, files: Mapping[str, str], tools: Tools | None = None, *, closed: str = ""
) -> Machine:
    """A machine of these files; devices whose path has `closed` in it may not be opened."""
    return Machine(
        root=write(root, files),
        command=Answers(tools or {}),
        may_open=lambda path: not closed or closed not in str(path.relative_to(root)),
        user="pi",
    )


def look(
    check: Check,
    root: Path,
    files: Mapping[str, str],
    tools: Tools | None = None,
    *,
    board: str = "auto",
    closed: str = "",
) -> list[Finding]:
    """What a check finds on such a machine."""
    made = machine(root, files, tools, closed=closed)
    return list(check(admit(board, quick=True, machine=made)))


ACME_TREE = tree("Acme One", "acme,one", "rockchip,rk3588")
