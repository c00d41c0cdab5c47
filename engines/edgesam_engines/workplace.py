"""The folder beside a bundle in which it is made: one build at a time, and nothing half done seen.

Its name follows from the bundle's, so what a killed build left there is found and swept by the next
one. The lock belongs to the open folder and goes with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from edgesam_rt.errors import ConfigError
from edgesam_rt.sinks.files import make_folder, write_failed

_TOLD = {errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EPERM, errno.EROFS}
_NO_LOCKS = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP}  # NFS and the like


@contextlib.contextmanager
def workplace(out: Path) -> Iterator[Path]:
    """An empty folder beside `out` that no other build uses; it is removed if it is still there.

    Raises:
        ConfigError: another build works there, or a file lies where a folder is needed.
        SinkError: it cannot be written to, or what the block wrote found no room.
    """
    make_folder(out.parent, "build")
    folder = out.with_name(f".{out.name}.building")
    try:
        handle = _taken(folder, out)
        try:
            _put_back(out)
            _empty(folder)
            yield folder
        finally:
            if _is_at(handle, folder):
                shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)
    except OSError as error:
        if error.errno not in _TOLD:
            raise
        kept = f"{out} is as it was." if out.exists() else "Nothing was packed."
        raise write_failed("build", Path(error.filename or out), error, kept) from error


def swap(folder: Path, out: Path) -> None:
    """Put a finished folder in the place of an older one, which is never half gone."""
    aside = _aside(out)
    if out.exists():
        out.rename(aside)
    folder.rename(out)
    shutil.rmtree(aside, ignore_errors=True)


def _aside(out: Path) -> Path:
    """Where an old bundle waits while the new one takes its place."""
    return out.with_name(f".{out.name}.old")


def _put_back(out: Path) -> None:
    """What a build that was killed between the two renames of `swap` left aside."""
    aside = _aside(out)
    if not out.exists() and aside.exists():
        aside.rename(out)
    shutil.rmtree(aside, ignore_errors=True)


def _taken(folder: Path, out: Path) -> int:
    """Open and lock the folder; made if it is not there."""
    while True:
        folder.mkdir(mode=0o755, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise ConfigError(
                f"build: another build makes {out} just now. Wait for it, or give another --out."
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(handle)
                raise
        if _is_at(handle, folder):
            return handle
        os.close(handle)  # it became a bundle, or went, between the two calls: begin again


def _is_at(handle: int, folder: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), folder.stat())
    return False


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    folder.chmod(0o755)
