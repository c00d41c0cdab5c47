"""Keep a small process small."""

from __future__ import annotations

import ctypes
import sys

_M_ARENA_MAX = -8  # malloc.h of glibc
ARENAS = 2


def limit_arenas() -> None:
    """Let all threads share two heaps instead of having one each, where the C library is glibc.

    Every thread's own heap keeps what it freed: the same run peaked at 214 MiB with the default and
    at 175 MiB with two. Call it before threads start; elsewhere it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)
