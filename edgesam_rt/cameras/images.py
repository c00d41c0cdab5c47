"""`images:`: one picture, a folder of pictures, or a pattern."""

from __future__ import annotations

import glob
import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edgesam_rt.cameras.base import SourceSpec
from edgesam_rt.cameras.options import read_options
from edgesam_rt.cameras.parts import CameraParts
from edgesam_rt.cameras.spec import is_pattern
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.clock import CLOCK, Clock, elapsed_ms
from edgesam_rt.errors import CameraError, ConfigError, ImageError, ImageTruncated
from edgesam_rt.imaging.files import (
    PICTURE_SUFFIXES,
    is_picture_name,
    no_such_file,
    read_image,
)
from edgesam_rt.paths import user_path
from edgesam_rt.records import Frame

log = logging.getLogger(__name__)


def open_source(spec: SourceSpec, clock: Clock = CLOCK) -> ImagesCamera:
    """Open `images:PATH|FOLDER|GLOB`."""
    values = read_options(spec, SOURCES["images"].options)
    name = spec.text or spec.target
    return ImagesCamera(find_pictures(spec.target), name=name, clock=clock, **values)


class ImagesCamera(CameraParts):
    """Pictures, one after another; each is read when it is asked for.

    A frame's id is the picture's place in the list, its name the file's stem (with -2, -3, … where
    a stem comes again). A picture that cannot be read is logged and counted in `losses`
    ("truncated", "unreadable"), or ends the run with CameraError where `on_error` is "stop", as
    it is by default for a picture that is the only one.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        name: str = "images",
        on_error: str | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        super().__init__(name, clock=clock, length=len(paths))
        self._paths = list(paths)
        self._names = unique_stems(self._paths)
        self._stops = (on_error or ("stop" if len(paths) == 1 else "skip")) == "stop"
        self._next = 0
        self._last_error: ImageError | None = None

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next picture that can be read; never waits, so `timeout_s` plays no part.

        Raises:
            EndOfStream: there are no more.
            CameraError: a picture cannot be read and `on_error` is "stop", or none could be read.
        """
        while self._next < len(self._paths) and not self._closed.is_set():
            index, self._next = self._next, self._next + 1
            start_ns = self._clock.now_ns()
            try:
                pixels = read_image(self._paths[index])
            except ImageError as error:
                self._handle(error)
                continue
            capture_ms = elapsed_ms(start_ns, self._clock)
            return Frame(index, pixels, self._clock.now_ns(), self._names[index], capture_ms)
        if self.length and sum(self.losses.values()) == self.length:
            raise CameraError(
                f"{self.name}: none of {self.length} pictures could be read; the last: "
                f"{self._last_error}"
            ) from self._last_error
        raise self._end()

    def _handle(self, error: ImageError) -> None:
        self._last_error = error
        self._lose("truncated" if isinstance(error, ImageTruncated) else "unreadable")
        if self._stops:
            raise CameraError(str(error)) from error
        log.warning("picture skipped: %s", error)


def find_pictures(target: str) -> list[Path]:
    """Return the pictures that a path or pattern names, in natural order (9 before 10).

    A folder gives its files with a picture's suffix, not those of its subfolders; a pattern gives
    every file that matches (`**` goes into subfolders).

    Raises:
        ConfigError: there is no such path, or no picture.
    """
    path = user_path(target)
    if is_pattern(target):
        found = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207
        pictures = [file for file in found if file.is_file()]
        if not pictures:
            raise ConfigError(f"images: no file matches {target!r}. Quote the pattern in a shell.")
    elif path.is_dir():
        pictures = _in_folder(path)
    elif path.exists():
        pictures = [path]
    else:
        raise ConfigError(no_such_file(path))
    return sorted(pictures, key=natural_key)


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Sort key that reads digits as numbers and letters without case, folder by folder."""
    parts = re.split("([0-9]+)", str(path))
    return [int(p) if i % 2 else p.lower() for i, p in enumerate(parts)], str(path)


def unique_stems(paths: Sequence[Path]) -> list[str]:
    """Return a name per path, its stem; one that is taken gets the first free -2, -3, …."""
    names: dict[str, None] = {}
    counts: dict[str, int] = {}
    for path in paths:
        stem = path.stem.encode("utf-8", "replace").decode()  # names may be no UTF-8 at all
        name = stem
        while name in names:
            counts[stem] = counts.get(stem, 1) + 1
            name = f"{stem}-{counts[stem]}"
        names[name] = None
    return list(names)


def _in_folder(folder: Path) -> list[Path]:
    try:
        files = [file for file in folder.iterdir() if file.is_file()]
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be listed: {error.strerror}.") from error
    pictures = [file for file in files if is_picture_name(file) and not file.name.startswith(".")]
    if pictures:
        return pictures
    suffixes = Counter(file.suffix.lower() or "no suffix" for file in files).most_common(3)
    there = ", ".join(f"{count} x {suffix}" for suffix, count in suffixes) or "no files"
    raise ConfigError(
        f"{folder}: a folder without pictures. Looked for {' '.join(PICTURE_SUFFIXES)}, found "
        f"{there}. Subfolders are not looked into; images:'{folder}/**/*.jpg' does."
    )
