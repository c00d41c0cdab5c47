"""Where the installed commands begin: quick, so that Ctrl-C is quiet from the first moment."""

from __future__ import annotations

import signal
import sys

from edgesam_rt.cli.blas import limit_blas_threads

INTERRUPTED = 130
MISSING = 3
REPAIR = "Run: pip install --force-reinstall edgesam_rt"


def main() -> int:
    """Run `edgesam-run`."""
    # Until the run has handlers of its own Ctrl-C simply ends the process: as an exception it may
    # be swallowed by a library that is just being imported.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    limit_blas_threads()
    try:
        from edgesam_rt.cli.run import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


def bench() -> int:
    """Run `edgesam-bench`."""
    try:
        from edgesam_rt.cli.bench import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


def doctor() -> int:
    """Run `edgesam-doctor`, which has something to say even where the base install is broken."""
    try:
        from edgesam_rt.cli.doctor import main as run

        return run()
    except ImportError as error:
        sys.stderr.write(f"error: edgesam_rt is not installed in full: {error}. {REPAIR}\n")
        return MISSING
    except KeyboardInterrupt:
        return INTERRUPTED
