"""Log lines as the journal likes them: each begins with its priority.

Source: sd-daemon(3), `SD_ERR "..."`: "<3>" and so on before every line of standard error.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import TextIO

_PRIORITIES = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}


class JournalFormatter(logging.Formatter):
    """The message, every line of it after its priority; time and level the journal adds itself."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        return with_priority(super().format(record), record.levelno)


def with_priority(text: str, level: int) -> str:
    """Put a logging level's priority before every line."""
    known = max((each for each in _PRIORITIES if each <= level), default=logging.DEBUG)
    return "\n".join(f"<{_PRIORITIES[known]}>{line}" for line in text.splitlines())


def is_journal(stream: TextIO | None = None, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a stream, standard error by default, goes to the journal: JOURNAL_STREAM names it."""
    try:
        stat = os.fstat((stream or sys.stderr).fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"
