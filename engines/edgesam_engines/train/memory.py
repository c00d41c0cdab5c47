"""Settings of the C library that a training on CPU needs."""

from __future__ import annotations

import ctypes
import sys

# glibc gives large blocks back to the system and asks for them again at every step; told to keep
# them, a step on CPU takes a fraction of the time. Names and numbers are those of <malloc.h>.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
KEEP_MEMORY = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_TOP_PAD: 256 << 20}


def keep_memory() -> bool:
    """Tell glibc to keep freed memory; whether it was told (other C libraries are left alone)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return all(mallopt(name, value) == 1 for name, value in KEEP_MEMORY.items())
