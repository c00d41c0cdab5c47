"""Where the installed commands begin: quick, so that Ctrl-C is quiet from the first moment."""

from __future__ import annotations

INTERRUPTED = 130


def main() -> int:
    """Run `edgesam-run`."""
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
