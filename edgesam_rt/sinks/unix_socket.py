"""Results for programs in other languages: a Unix socket that anybody in the group reads from."""

from __future__ import annotations

import logging
import os
import socket
import stat
import threading
from pathlib import Path

from edgesam_rt.errors import ConfigError, SinkError
from edgesam_rt.records import Result
from edgesam_rt.sinks import files
from edgesam_rt.sinks.addresses import socket_path_of
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.feed_message import hello, message_of
from edgesam_rt.sinks.feed_reader import FeedReader
from edgesam_rt.sinks.spec import SinkSpec

_MODE = 0o660
_BACKLOG = 16  # connections that wait to be accepted
_RETRY_S = 0.1
log = logging.getLogger(__name__)


class SocketSink:
    """Sends every result to all readers; one that is slow loses its own results, and is told.

    Attributes:
        readers: how many read now.

    Args:
        name: the spec without options.
        path: of the socket.
        masks: "rle", "bits" or "boxes"; see `feed_message.py`.
        capacity: results that wait for a reader.
        most_readers: how many there may be; a further one is let go at once.

    Raises:
        ConfigError: something else lies at the path.
        SinkError: another run serves there, or the socket cannot be made.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        masks: str = "rle",
        capacity: int = 16,
        most_readers: int = 8,
    ) -> None:
        self.name = name
        self._path, self._masks = path, masks
        self._capacity, self._most_readers = capacity, most_readers
        self._readers: list[FeedReader] = []
        self._lock = threading.Lock()
        self._door, self._inode = _listen(name, path)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._accept_all, name=name, daemon=True)
        self._thread.start()

    @classmethod
    def from_spec(cls, spec: SinkSpec, info: RunInfo) -> SocketSink:
        """Open it for a parsed spec."""
        options = spec.options
        return cls(
            spec.name,
            socket_path_of(spec.target),
            masks=options["masks"],
            capacity=options["queue"],
            most_readers=options["readers"],
        )

    @property
    def readers(self) -> int:
        """How many read now."""
        return len(self._living())

    def write(self, result: Result) -> None:
        """Queue a result for every reader; without one it costs nothing."""
        readers = self._living()
        if not readers or self._closing.is_set():
            return
        message = message_of(result, self._masks)
        for reader in readers:
            reader.put(message)

    def close(self) -> None:
        """Let the readers have what waits for them, for a moment, and take the socket away."""
        if self._closing.is_set():
            return
        self._closing.set()
        _wake(self._door)
        self._thread.join()
        self._door.close()
        for reader in (readers := self._living()):
            reader.finish()
        for reader in readers:
            reader.close()
        if _inode_of(self._path) == self._inode:
            self._path.unlink(missing_ok=True)

    def _living(self) -> list[FeedReader]:
        with self._lock:
            self._readers = [reader for reader in self._readers if reader.is_alive]
            return list(self._readers)

    def _accept_all(self) -> None:
        while not self._closing.is_set():
            try:
                line, _ = self._door.accept()
            except OSError:  # closing; or no descriptor is left, for now
                self._closing.wait(_RETRY_S)
                continue
            if self._closing.is_set() or len(self._living()) >= self._most_readers:
                line.close()
                continue
            reader = FeedReader(line, self._capacity)
            reader.put(hello(self._masks))
            with self._lock:
                self._readers.append(reader)


def _listen(who: str, path: Path) -> tuple[socket.socket, tuple[int, int] | None]:
    """Return a listening socket at a path, and what is there now."""
    files.make_folder(path.parent, who)
    _clear(who, path)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(door.fileno(), _MODE)  # before it has a name: it is never open to others
        door.bind(str(path))
        path.chmod(_MODE)
        door.listen(_BACKLOG)
    except OSError as error:
        door.close()
        raise files.write_failed(who, path, error, "") from error
    return door, _inode_of(path)


def _clear(who: str, path: Path) -> None:
    """Take away a socket that a killed run left."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{who}: {path} is there and is no socket. Name another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            log.info("%s: took away the socket of a run that is gone", who)
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise files.write_failed(who, path, error, "") from error
    raise SinkError(f"{who}: another run serves at {path}. Stop it, or name another path.")


def _wake(door: socket.socket) -> None:
    """End `accept` in another thread."""
    try:
        door.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("socket was closed before", exc_info=True)


def _inode_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
