"""What calibration found, kept on disk: an interrupted build goes on, another one starts there.

A box belongs to one question: a graph, its pictures and whatever else the answer depends on, all in
the box's name as one hash. So nothing here ever gets old; the boxes used last are kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from edgesam_engines.ptq.graphs import Feeds, Progress
from edgesam_rt.paths import cache_dir
from edgesam_rt.types import AnyArray

BOXES = 24  # that stay; one has 1 to 20 MB
FORM = (1, ort.__version__)  # of what is kept, and what computed it
Arrays = Mapping[str, AnyArray]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Box:
    """Named answers to one question.

    Attributes:
        folder: where they lie; None keeps nothing.
    """

    folder: Path | None = None

    def recall(
        self, name: str, told: str, progress: Progress | None, make: Callable[[], Arrays]
    ) -> Arrays:
        """What was kept under a name, else what `make` gives, which is kept.

        Args:
            name: of the answer.
            told: to `progress`, which also hears whether it was kept.
            progress: None for nobody.
            make: finds the answer.
        """
        kept = self.take(name)
        if progress is not None:
            progress(told + (", as kept" if kept else ""))
        if kept:
            return kept
        made = make()
        self.put(name, made)
        return made

    def take(self, name: str) -> Arrays | None:
        """What was kept under a name; None if nothing was, or if the file is damaged."""
        if self.folder is None:
            return None
        try:
            with (self.folder / f"{name}.npz").open("rb") as stream:
                found = np.load(stream, allow_pickle=False)
                return {key: found[key] for key in found.files}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            log.warning("calibration: %s is damaged and is made again: %s", name, error)
            return None

    def put(self, name: str, arrays: Arrays) -> None:
        """Keep something: whole, or not at all. A full disk only means that nothing is kept."""
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(self.folder, name, arrays)
        except OSError as error:
            log.warning("calibration: not kept for the next build: %s", error)

    @staticmethod
    def _write(folder: Path, name: str, arrays: Arrays) -> None:
        handle, half = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
        try:
            with os.fdopen(handle, "wb") as stream:
                np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # names are free
            Path(half).replace(folder / f"{name}.npz")
        except BaseException:
            Path(half).unlink(missing_ok=True)
            raise


@dataclass(frozen=True)
class Shelf:
    """Boxes below a folder; without one nothing is kept.

    Attributes:
        folder: where they lie.
    """

    folder: Path | None = None

    def box(self, model: onnx.ModelProto, feeds: Feeds, *more: object) -> Box:
        """The box of a graph's answers on some pictures.

        Args:
            model: the graph.
            feeds: its pictures; if they do not say which they are, nothing is kept.
            more: what else the answers depend on; its `repr` tells.
        """
        if self.folder is None or (pictures := feeds.digest) is None:
            return Box()
        content = hashlib.sha256(model.SerializeToString(deterministic=True))
        content.update(repr((FORM, pictures, *more)).encode())
        folder = self.folder / content.hexdigest()[:32]
        self._make_room(folder)
        return Box(folder)

    def _make_room(self, used: Path) -> None:
        """Throw the boxes away that were longest out of use; this one is in use now."""
        with contextlib.suppress(OSError):
            used.mkdir(parents=True, exist_ok=True)
            os.utime(used)
            boxes = sorted(used.parent.iterdir(), key=lambda p: p.stat().st_mtime)
            for old in boxes[:-BOXES]:
                shutil.rmtree(old, ignore_errors=True)


def standard() -> Shelf:
    """The shelf that the commands use, in the user's cache; it may be thrown away at any time."""
    return Shelf(cache_dir() / "factory" / "calibration")
