"""Keep numpy's own threads out of the engines' way."""

from __future__ import annotations

import os

THREADS = "OPENBLAS_NUM_THREADS"


def limit_blas_threads() -> None:
    """Let numpy multiply matrices on the calling thread; call it before numpy is first imported.

    OpenBLAS gives every core a thread that spins while it waits, and the encoder wants those cores:
    with two cores a tracked clip ran at 11 frames per second instead of 15 to 26. Who sets the
    variable keeps what they set.
    """
    os.environ.setdefault(THREADS, "1")
