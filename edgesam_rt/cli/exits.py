"""From errors to messages and exit codes, the same for every command."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import sys
from collections.abc import Callable

from edgesam_rt.cli.logs import write_error
from edgesam_rt.errors import EdgeSamError, InternalError

INTERRUPTED = 130
log = logging.getLogger(__name__)


def run_command(command: Callable[[], int]) -> int:
    """Run a command; an error becomes one message on stderr and its exit code.

    A traceback is shown for our own bugs alone, or for any error with EDGESAM_DEBUG=1.
    """
    _give_streams()
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away (| head): not an error, but stdout must not be flushed.
        _abandon_stdout()
        return 1
    except OSError as error:
        _abandon_stdout()
        where = f" {error.filename}" if error.filename else ""
        write_error(f"error: cannot write output{where}: {error.strerror or error}.")
        return EdgeSamError.exit_code
    except EdgeSamError as error:
        if os.environ.get("EDGESAM_DEBUG"):
            log.exception("error")
        write_error(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except Exception as error:
        log.exception("internal error")
        write_error(
            f"internal error: {type(error).__name__}: {error}. This is a bug; please report it."
        )
        return InternalError.exit_code
    return code


class _ClosedStream(io.TextIOBase):
    """Stands for a standard output that was closed (`>&-`): fails plainly when written to."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


def _give_streams() -> None:
    if sys.stdout is None:
        sys.stdout = _ClosedStream()
    if sys.stderr is None:
        sys.stderr = io.StringIO()


def _abandon_stdout() -> None:
    """Let what stdout still holds go nowhere, instead of failing again at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
