"""Writing files so that what is there is whole, and saying plainly why one could not be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from edgesam_rt.errors import ConfigError, EdgeSamError, SinkError
from edgesam_rt.types import U8

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_WRONG_KIND = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST)
_JPEG_QUALITY = 92


def write_failed(who: str, path: Path, error: OSError, intact: str) -> EdgeSamError:
    """Return the error to raise for one of the system.

    Args:
        who: the sink's name.
        path: what could not be written.
        error: why.
        intact: what is not lost, as a sentence, or "".

    Returns:
        ConfigError if the path is of the wrong kind (a folder, not a folder), else SinkError.
    """
    kind = ConfigError if error.errno in _WRONG_KIND else SinkError
    if error.errno in _FULL:
        next_step = "Free some space, or write to another disk."
    elif error.errno in _FORBIDDEN:
        next_step = "Choose a place where you may write."
    else:
        next_step = "Choose another path."
    reason = error.strerror or type(error).__name__
    sentences = [f"{who}: cannot write {path}: {reason}.", intact, next_step]
    return kind(" ".join(sentence for sentence in sentences if sentence))


def make_folder(folder: Path, who: str) -> None:
    """Make a folder and those above it, and see that files can be made in it.

    Raises:
        ConfigError: a file is where a folder should be.
        SinkError: it cannot be made, or may not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        in_the_way = next((p for p in (folder, *folder.parents) if p.exists()), folder)
        if not in_the_way.is_dir():
            raise ConfigError(
                f"{who}: {folder} should be a folder, but {in_the_way} is a file. "
                "Name another folder, or move the file away."
            ) from error
        raise write_failed(who, folder, error, "") from error


def check_file(path: Path, who: str) -> None:
    """See that a file could be written at a path; the folders above it are made.

    Raises:
        ConfigError: the path is a folder, or lies below a file.
        SinkError: it may not be written.
    """
    if path.is_dir():
        raise ConfigError(f"{who}: {path} is a folder. Name a file, for example in it.")
    make_folder(path.parent, who)
    if path.exists() and not os.access(path, os.W_OK):
        error = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        raise write_failed(who, path, error, "")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is either there in full or not at all; an old one stays until then.

    Raises:
        OSError: it could not be written; nothing is left behind.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def encode_picture(pixels: U8, suffix: str, *, quality: int = _JPEG_QUALITY) -> bytes:
    """Encode a picture.

    Args:
        pixels: (H, W) grey or (H, W, 3) RGB, uint8.
        suffix: ".png", ".jpg" or ".jpeg".
        quality: of a JPEG, 1 to 100.

    Raises:
        SinkError: the format cannot hold a picture of this size.
    """
    import cv2

    ordered = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    # PNG as OpenCV does it unasked: half the time of any level that is asked for, 9 % larger.
    how = [] if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, quality]
    try:
        done, data = cv2.imencode(suffix, ordered, how)
    except cv2.error:
        done = False
    if not done:
        h, w = pixels.shape[:2]
        raise SinkError(f"a {w}x{h} picture cannot be stored as {suffix}. Choose .png.")
    return bytes(data.tobytes())


def stem(name: str) -> str:
    """Return a frame's name as part of a file's name: in the folder, and not hidden."""
    return name.replace("/", "_").replace("\\", "_").replace("\0", "_").lstrip(".") or "frame"
