"""Paths as people type them."""

from __future__ import annotations

import os
from pathlib import Path


def user_path(text: str | os.PathLike[str]) -> Path:
    """A path with `~` replaced by the home folder; "~nobody" stays as it is."""
    return Path(os.path.expanduser(text))  # noqa: PTH111  pathlib's own raises RuntimeError


def cache_dir() -> Path:
    """Where what can be made again is kept, such as TensorRT's plans; it may not exist yet.

    `EDGESAM_CACHE`; else the first folder of `CACHE_DIRECTORY`, which systemd sets for a unit with
    `CacheDirectory=`; else `edgesam_rt` in the user's cache (`XDG_CACHE_HOME`, `~/.cache`).
    """
    named = os.environ.get("EDGESAM_CACHE") or os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    if named:
        return user_path(named)
    return user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "edgesam_rt"
