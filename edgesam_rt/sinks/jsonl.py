"""Results as JSON lines, in a file or on standard output."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Protocol

from edgesam_rt.errors import ConfigError, ConsumerGone
from edgesam_rt.paths import user_path
from edgesam_rt.records import Result
from edgesam_rt.sinks import files
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.line_file import LineFile
from edgesam_rt.sinks.rows import to_row
from edgesam_rt.sinks.spec import STDOUT, SinkSpec


class _Lines(Protocol):
    """Where lines go."""

    def write(self, line: bytes) -> None:
        """Write one, without its end."""

    def close(self) -> None:
        """Give the descriptor back."""


class JsonlSink:
    """Writes one JSON object per result and line, at once; docs/results.md describes them.

    Args:
        target: a path, or "-" for standard output.
        with_rle: whether to write the masks, by far the largest part.
        append: whether to go on behind what a file has; else it is emptied.
        rotate_bytes: size at which a new file is begun, or None.
        keep: how many full files are kept.

    Raises:
        ConfigError: the path is a folder, or lies below a file.
        SinkError: the file cannot be opened.
    """

    def __init__(
        self,
        target: str,
        *,
        with_rle: bool = True,
        append: bool = False,
        rotate_bytes: int | None = None,
        keep: int = 5,
    ) -> None:
        self.name = f"jsonl:{target}"
        self._with_rle = with_rle
        self._out: _Lines
        if target == STDOUT:
            self._out = _StandardOutput(self.name)
        else:
            path = user_path(target)
            self._out = LineFile(
                path, self.name, append=append, rotate_bytes=rotate_bytes, keep=keep
            )

    @classmethod
    def from_spec(cls, spec: SinkSpec, info: RunInfo) -> JsonlSink:
        """Open it for a parsed spec; what a service wrote before its restart stays."""
        options = spec.options
        append, rotate_bytes = options["append"], options["rotate"]
        if spec.target == STDOUT and (append is not None or rotate_bytes is not None):
            raise ConfigError(f"sink {spec.text!r}: append and rotate are for files. Name a PATH.")
        return cls(
            spec.target,
            with_rle=options["rle"],
            append=info.resumes if append is None else append,
            rotate_bytes=rotate_bytes,
            keep=options["keep"],
        )

    def write(self, result: Result) -> None:
        """Write one line.

        Raises:
            ConsumerGone: the reader of standard output has gone (`… | head`).
            SinkError: it cannot be written.
        """
        line = json.dumps(to_row(result, with_rle=self._with_rle), separators=(",", ":"))
        try:
            self._out.write(line.encode("ascii"))
        except BrokenPipeError as error:
            raise ConsumerGone(f"{self.name}: the reader has gone.") from error

    def close(self) -> None:
        """Close the file."""
        self._out.close()


class _StandardOutput:
    """Standard output: by a descriptor of its own, or by `sys.stdout` where that has none."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._lines = 0
        self._is_open = True
        self._fd: int | None = None
        try:
            sys.stdout.flush()
            self._fd = os.dup(sys.stdout.fileno())
        except (io.UnsupportedOperation, AttributeError):  # a notebook
            self._fd = None

    def write(self, line: bytes) -> None:
        if not self._is_open:
            return
        try:
            self._write_all(line + b"\n")
        except BrokenPipeError:
            raise
        except OSError as error:
            intact = f"The {self._lines} lines before are intact." if self._lines else ""
            where = Path("standard output")
            raise files.write_failed(self._who, where, error, intact) from error
        self._lines += 1

    def _write_all(self, rest: bytes) -> None:
        if self._fd is None:
            sys.stdout.write(rest.decode("ascii"))
            sys.stdout.flush()
            return
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def close(self) -> None:
        fd, self._fd, self._is_open = self._fd, None, False
        if fd is not None:
            os.close(fd)
