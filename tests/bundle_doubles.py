"""Bundles to break: cheap copies of the one that ships, and ways to change them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import MANIFEST, Bundle

Plain = dict[str, Any]


def read_manifest(folder: Path) -> Plain:
    """The manifest as plain data."""
    found: Plain = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return found


def edit_manifest(folder: Path, edit: Callable[[Plain], object]) -> None:
    """Change the manifest; `edit` works in place."""
    manifest = read_manifest(folder)
    edit(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def linked_copy(original: Bundle, to: Path) -> Path:
    """A bundle with a manifest of its own, and links to the original's engines."""
    to.mkdir(parents=True)
    (to / MANIFEST).write_bytes((original.folder / MANIFEST).read_bytes())
    for file in {entry.file for entry in original.manifest.engines}:  # one may serve several rows
        (to / file).symlink_to(original.folder.resolve() / file)
    return to


def hollow_copy(original: Bundle, to: Path) -> Path:
    """A bundle that loads and cannot run: each engine file is a few bytes."""
    to.mkdir(parents=True)
    (to / MANIFEST).write_bytes((original.folder / MANIFEST).read_bytes())
    for i in range(len(original.manifest.engines)):
        put_engine(to, i, f"engine {i}".encode() * 9)
    return to


def put_engine(folder: Path, index: int, content: bytes) -> Path:
    """Give an engine of the manifest another content, with the size and hash that belong to it.

    Engines that share its file share the content.
    """
    file = str(read_manifest(folder)["engines"][index]["file"])
    path = folder / file
    path.unlink(missing_ok=True)
    path.write_bytes(content)

    def describe(manifest: Plain) -> None:
        for row in manifest["engines"]:
            if row["file"] == file:
                row["sha256"] = hashlib.sha256(content).hexdigest()
                row["size_bytes"] = len(content)

    edit_manifest(folder, describe)
    return path


def index_of(bundle: Bundle, part: str, side: int | None = None) -> int:
    """Where an engine stands in the manifest."""
    rows = bundle.manifest.engines
    return next(i for i, e in enumerate(rows) if e.part == part and e.side in (None, side))


def load_all(folder: Path) -> None:
    """Load a bundle and check every file of it, as opening its engines does."""
    found = bundles.load(folder)
    for entry in found.manifest.engines:
        found.path(entry)
