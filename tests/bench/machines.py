"""Machines as folders: what /proc and /sys say there, and what the firmware's tool answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

THERMAL = "sys/class/thermal"
HWMON = "sys/class/hwmon"
POLICIES = "sys/devices/system/cpu/cpufreq"


def write(root: Path, files: Mapping[str, object]) -> Path:
    """Write files by path; returns the root."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


RASPBERRY = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
    "proc/cpuinfo": "CPU part\t: 0xd0b\nFeatures\t: fp asimd asimddp\n",
    "proc/meminfo": "MemTotal:        8257536 kB\nMemFree: 1 kB",
    f"{THERMAL}/thermal_zone0/type": "cpu-thermal",
    f"{THERMAL}/thermal_zone0/temp": 61250,
    f"{THERMAL}/cooling_device0/type": "pwm-fan",
    f"{THERMAL}/cooling_device0/cur_state": 2,
    f"{POLICIES}/policy0/scaling_cur_freq": 2400000,
    f"{POLICIES}/policy0/scaling_governor": "ondemand",
    f"{HWMON}/hwmon1/name": "rpi_volt",
    f"{HWMON}/hwmon1/in0_lcrit_alarm": 0,
}
JETSON = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    f"{THERMAL}/thermal_zone0/type": "cpu-thermal",
    f"{THERMAL}/thermal_zone0/temp": 48000,
    f"{THERMAL}/thermal_zone1/type": "gpu-thermal",
    f"{THERMAL}/thermal_zone1/temp": 47500,
    f"{THERMAL}/cooling_device0/type": "cpufreq-cpu0",
    f"{THERMAL}/cooling_device0/cur_state": 1,
    "sys/class/devfreq/17000000.gpu/cur_freq": 624750000,
    f"{POLICIES}/policy0/scaling_cur_freq": 1510400,
    f"{POLICIES}/policy0/scaling_governor": "schedutil",
    f"{POLICIES}/policy4/scaling_cur_freq": 729600,
    f"{POLICIES}/policy4/scaling_governor": "schedutil",
    f"{HWMON}/hwmon3/name": "ina3221",
    f"{HWMON}/hwmon3/in1_label": "VDD_IN",
    f"{HWMON}/hwmon3/in1_input": 5000,
    f"{HWMON}/hwmon3/curr1_input": 1500,
    f"{HWMON}/hwmon3/in2_label": "VDD_CPU_GPU_CV",
    f"{HWMON}/hwmon3/in2_input": 5000,
    f"{HWMON}/hwmon3/curr2_input": 400,
}
LAPTOP = {
    "proc/cpuinfo": "model name\t: A Core\nflags\t\t: fpu avx2 avx_vnni\n",
    "sys/class/dmi/id/sys_vendor": "ACME",
    "sys/class/dmi/id/product_name": "Book 14",
    f"{HWMON}/hwmon0/name": "coretemp",
    f"{HWMON}/hwmon0/temp1_label": "Package id 0",
    f"{HWMON}/hwmon0/temp1_input": 55000,
    f"{HWMON}/hwmon0/temp2_input": 53000,
    f"{HWMON}/hwmon1/name": "BAT0",
    f"{HWMON}/hwmon1/temp1_input": 30000,
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": 2,
    "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": 3,
    "sys/class/powercap/intel-rapl:0/name": "package-0",
    "sys/class/powercap/intel-rapl:0/energy_uj": 1_000_000,
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": 5_000_000,
    "sys/class/powercap/intel-rapl:0:0/name": "core",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": 7,
}

PMIC = """
     3V7_WL_SW_A current(0)=0.10000000A
   VDD_CORE_A current(7)=2.00000000A
     3V7_WL_SW_V volt(8)=3.70000000V
   VDD_CORE_V volt(15)=0.80000000V
      EXT5V_V volt(24)=5.10000000V
"""


class Firmware:
    """Answers as `vcgencmd` would, or not at all."""

    def __init__(self, throttled: str | None = None, pmic: str | None = None) -> None:
        self._answers = {
            ("vcgencmd", "get_throttled"): throttled,
            ("vcgencmd", "pmic_read_adc"): pmic,
        }

    def __call__(self, command: Sequence[str]) -> str | None:
        return self._answers.get((command[0], command[1]))


ABSENT = Firmware()
