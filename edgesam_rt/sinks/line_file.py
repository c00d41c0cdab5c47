"""A file of whole lines: gone on with after a kill, and begun anew when it is full."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import stat
from pathlib import Path

from edgesam_rt.errors import EdgeSamError, SinkError
from edgesam_rt.sinks import files

_CHUNK = 64 << 10  # bytes read at once in search of the last line's beginning
log = logging.getLogger(__name__)


class LineFile:
    """Writes lines at once and whole. One process at a time.

    A full disk takes back what it cut off of a line; a kill in the middle of one is mended when
    the file is opened again.

    Args:
        path: of the file.
        who: the sink's name, for messages.
        append: whether to go on behind what is there; else it is emptied.
        rotate_bytes: size that the file does not exceed, unless one line does: before that it
            becomes PATH.1, PATH.1 becomes PATH.2, and so on. None for no limit.
        keep: how many of those there may be.

    Raises:
        ConfigError: the path is a folder, or lies below a file.
        SinkError: it cannot be opened, or another process writes it.
    """

    def __init__(
        self, path: Path, who: str, *, append: bool, rotate_bytes: int | None = None, keep: int = 5
    ) -> None:
        files.check_file(path, who)
        self._path, self._who = path, who
        self._rotate_bytes, self._keep = rotate_bytes, keep
        self.lines = 0
        self._size = 0
        self._fd: int | None = None
        try:
            self._fd, self._is_regular = self._open(append=append)
        except OSError as error:
            raise self._failed(error) from error

    def write(self, line: bytes) -> None:
        """Write a line; its end is added.

        Raises:
            BrokenPipeError: the path is a pipe, and its reader has gone.
            SinkError: it cannot be written; the lines before are intact.
        """
        if self._fd is None:
            return
        data = line + b"\n"
        try:
            if self._is_regular and self._size and self._exceeds(len(data)):
                self._rotate()
            self._write_all(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failed(error) from error
        self.lines += 1

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        fd, self._fd = self._fd, None
        if fd is not None:
            try:
                os.close(fd)
            except OSError as error:
                raise self._failed(error) from error

    def _open(self, *, append: bool) -> tuple[int, bool]:
        """Return a descriptor at the end of the file, and whether it is a file and no device."""
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            is_regular = stat.S_ISREG(os.fstat(fd).st_mode)
            if is_regular:
                self._lock(fd)
                os.ftruncate(fd, self._whole(fd) if append else 0)
                self._size = os.fstat(fd).st_size
        except BaseException:
            os.close(fd)
            raise
        return fd, is_regular

    def _lock(self, fd: int) -> None:
        """See that no other process writes the file: two would mix their lines."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                return  # a file system without locks
            raise SinkError(
                f"{self._who}: another run writes {self._path}. Stop it, or name another file."
            ) from error

    def _whole(self, fd: int) -> int:
        """Return how long the file is up to the end of its last whole line, which gets its end.

        What a kill or a power cut left of a line is no JSON: it is not counted.
        """
        size = os.fstat(fd).st_size
        begin, tail = _last_line(self._path, size)
        if not tail:
            return size
        try:
            json.loads(tail)
        except ValueError:
            log.warning("%s: cut off in a line: %d bytes taken out", self._who, len(tail))
            return begin
        return size + os.write(fd, b"\n")

    def _exceeds(self, more: int) -> bool:
        return self._rotate_bytes is not None and self._size + more > self._rotate_bytes

    def _rotate(self) -> None:
        """Begin a new file; if that fails, the next line tries again."""
        if self._path.exists():
            for i in range(self._keep, 1, -1):
                with contextlib.suppress(FileNotFoundError):
                    _numbered(self._path, i - 1).replace(_numbered(self._path, i))
            self._path.replace(_numbered(self._path, 1))
        full, (self._fd, _) = self._fd, self._open(append=True)
        if full is not None:
            os.close(full)

    def _write_all(self, data: bytes) -> None:
        """Write a line whole, or take back what was written of it."""
        assert self._fd is not None
        rest = data
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            if self._is_regular and len(rest) < len(data):
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self._size)
            raise
        self._size += len(data)

    def _failed(self, error: OSError) -> EdgeSamError:
        intact = f"The {self.lines} lines before are intact." if self.lines else ""
        return files.write_failed(self._who, self._path, error, intact)


def _last_line(path: Path, size: int) -> tuple[int, bytes]:
    """Where what follows the last end of a line begins, and what it is."""
    begin = size
    with path.open("rb") as file:
        while begin > 0:
            begin, end = max(0, begin - _CHUNK), begin
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                begin += found + 1
                break
        file.seek(begin)
        return begin, file.read(size - begin)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
