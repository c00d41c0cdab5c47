"""Where messages go: to standard error, as a terminal or as systemd's journal likes them."""

from __future__ import annotations

import logging
import sys

from edgesam_rt.service.journal import JournalFormatter, is_journal, with_priority

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def set_up_logging(*, quiet: bool, verbose: int) -> None:
    """Log to standard error.

    Args:
        quiet: errors alone.
        verbose: 0 warnings, 1 changes of state too, 2 all.
    """
    handler = logging.StreamHandler(sys.stderr)
    in_journal = is_journal()
    form = JournalFormatter("%(message)s") if in_journal else None
    handler.setFormatter(form or logging.Formatter("%(levelname)s: %(message)s"))
    level = logging.ERROR if quiet else _LEVELS[min(verbose, 2)]
    logging.basicConfig(level=level, handlers=[handler])


def write_error(text: str) -> None:
    """Write what a command ends with to standard error."""
    sys.stderr.write((with_priority(text, logging.ERROR) if is_journal() else text) + "\n")
