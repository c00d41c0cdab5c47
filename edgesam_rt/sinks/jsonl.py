"""Results as JSON lines, in a file or on standard output."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path

from edgesam_rt.errors import ConsumerGone, EdgeSamError
from edgesam_rt.paths import user_path
from edgesam_rt.records import Result
from edgesam_rt.sinks import files
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.rows import to_row
from edgesam_rt.sinks.spec import SinkSpec

_STDOUT = "-"


class JsonlSink:
    """Writes one JSON object per result and line, at once; docs/results.md describes them.

    A file never ends in half a line: what a full disk cut off is taken back.
    """

    def __init__(self, target: str, *, with_rle: bool = True) -> None:
        """Open the file; one that is there is emptied.

        Args:
            target: a path, or "-" for standard output.
            with_rle: whether to write the masks, by far the largest part.

        Raises:
            ConfigError: the path is a folder, or lies below a file.
            SinkError: the file cannot be opened.
        """
        self.name = f"jsonl:{target}"
        self._path = user_path(target)
        self._with_rle = with_rle
        self._lines = 0
        self._is_file = target != _STDOUT
        self._fd: int | None = self._open_file() if self._is_file else _open_stdout()
        self._is_open = True

    @classmethod
    def from_spec(cls, spec: SinkSpec, info: RunInfo) -> JsonlSink:
        """Open it for a parsed spec; the option `rle=0` leaves the masks out."""
        return cls(spec.target, with_rle=spec.flag("rle", True))

    def _open_file(self) -> int:
        files.check_file(self._path, self.name)
        try:
            return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        except OSError as error:
            raise self._failed(error) from error

    def write(self, result: Result) -> None:
        """Write one line.

        Raises:
            ConsumerGone: the reader of standard output has gone (`… | head`).
            SinkError: it cannot be written.
        """
        if not self._is_open:
            return
        line = json.dumps(to_row(result, with_rle=self._with_rle), separators=(",", ":"))
        try:
            self._write_all(f"{line}\n")
        except BrokenPipeError as error:
            raise ConsumerGone(f"{self.name}: the reader has gone.") from error
        except OSError as error:
            raise self._failed(error) from error
        self._lines += 1

    def _write_all(self, line: str) -> None:
        """Write a line whole, or take back what was written of it."""
        if self._fd is None:
            sys.stdout.write(line)
            sys.stdout.flush()
            return
        rest = line.encode("ascii")
        size = len(rest)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            if self._is_file and len(rest) < size:
                with contextlib.suppress(OSError):
                    end = os.lseek(self._fd, 0, os.SEEK_CUR) - (size - len(rest))
                    os.ftruncate(self._fd, end)
            raise

    def _failed(self, error: OSError) -> EdgeSamError:
        path = self._path if self._is_file else Path("standard output")
        intact = f"The {self._lines} lines before are intact." if self._lines else ""
        return files.write_failed(self.name, path, error, intact)

    def close(self) -> None:
        """Close the file."""
        fd, self._fd, self._is_open = self._fd, None, False
        if fd is not None:
            try:
                os.close(fd)
            except OSError as error:
                raise self._failed(error) from error


def _open_stdout() -> int | None:
    """Return a descriptor of standard output's own, or None where it has none (a notebook)."""
    try:
        sys.stdout.flush()
        return os.dup(sys.stdout.fileno())
    except (io.UnsupportedOperation, AttributeError):
        return None
