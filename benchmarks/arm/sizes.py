"""Sizes on disk of a folder of packages, by what each package says it installed."""

from __future__ import annotations

from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TypedDict

MB = 1_000_000


class Package(TypedDict):
    """One package; compiled bytecode counts to its source."""

    name: str
    version: str
    bytes: int


def packages(site: Path) -> list[Package]:
    """Every package of a folder, the largest first; sizes as `du --apparent-size` counts files."""
    found = [_package(site, dist) for dist in distributions(path=[str(site)])]
    return sorted(found, key=lambda row: -row["bytes"])


def total(site: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in site.rglob("*") if path.is_file())


def _package(site: Path, dist: Distribution) -> Package:
    paths = {(site / str(file)).resolve() for file in dist.files or ()}
    size = sum(path.stat().st_size for path in paths if path.is_file())
    return {"name": dist.metadata["Name"], "version": dist.version, "bytes": size}
