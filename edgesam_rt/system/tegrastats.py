"""Lines of NVIDIA's `tegrastats`: temperatures where a container hides /sys/class/thermal."""

from __future__ import annotations

import re
import shutil
import subprocess

COMMAND = ("tegrastats", "--interval", "100")  # ms until it has written its first line
_TEMPERATURE = re.compile(r"\b([\w.-]+)@(-?\d+(?:\.\d+)?)C\b")
FIXED = ("PMIC",)  # always says 100 C on Jetson Nano and Xavier (general knowledge, not checked)


def temperatures(line: str) -> dict[str, float]:
    """Degrees Celsius by sensor, of a line such as `RAM 2448/7620MB … CPU@47.5C GPU@46.7C`.

    Sensors that are off say -256 C and are left out.
    """
    found = {name: float(value) for name, value in _TEMPERATURE.findall(line)}
    return {n: v for n, v in found.items() if v > -100 and n not in FIXED}


def first_line() -> str:
    """The first line it writes; "" where it is not installed. Takes a tenth of a second."""
    if shutil.which(COMMAND[0]) is None:
        return ""
    try:
        tool = subprocess.Popen(
            COMMAND, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        return ""
    with tool:
        line = tool.stdout.readline() if tool.stdout is not None else ""
        tool.terminate()
    return line
