"""From errors to messages and exit codes, the same for every command."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from edgesam_rt.errors import EdgeSamError, InternalError

INTERRUPTED = 130
log = logging.getLogger(__name__)


def run_command(command: Callable[[], int]) -> int:
    """Run a command; an error becomes one message on stderr and its exit code.

    A traceback is shown for our own bugs alone, or for any error with EDGESAM_DEBUG=1.
    """
    try:
        return command()
    except EdgeSamError as error:
        if os.environ.get("EDGESAM_DEBUG"):
            log.exception("error")
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (| head): not an error, but stdout must not be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        log.exception("internal error")
        sys.stderr.write(
            f"internal error: {type(error).__name__}: {error}. This is a bug; please report it.\n"
        )
        return InternalError.exit_code
