"""Paths as people type them."""

from __future__ import annotations

import os
from pathlib import Path


def user_path(text: str | os.PathLike[str]) -> Path:
    """A path with `~` replaced by the home folder; "~nobody" stays as it is."""
    return Path(os.path.expanduser(text))  # noqa: PTH111  pathlib's own raises RuntimeError
