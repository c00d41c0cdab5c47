"""Settings of the C library that a training on CPU needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# glibc gives large blocks back to the system and asks for them again at every step; told to keep
# them, a step on CPU takes a fraction of the time. It reads these when a process starts.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}


def restart_keeping_memory(argv: Sequence[str], module: str = "edgesam_engines.train") -> None:
    """On Linux, replace this process by one with KEEP_MEMORY set, unless part of it is set."""
    if sys.platform != "linux" or any(name in os.environ for name in KEEP_MEMORY):
        return
    os.environ.update(KEEP_MEMORY)
    os.execv(sys.executable, [sys.executable, "-m", module, *argv])
