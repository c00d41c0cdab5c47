"""Pictures from files: any mode in, (H, W, 3) uint8 RGB out, or an ImageError that says why."""

from __future__ import annotations

import difflib
import os
import stat
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edgesam_rt.errors import ImageError, ImageTruncated
from edgesam_rt.imaging.kinds import has_alpha, kind_of
from edgesam_rt.imaging.quiet import quiet_opencv
from edgesam_rt.types import U8

# GIF is not here: a GIF is a clip for most people, and OpenCV reads it as a picture only from 4.11.
PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"),
)

_STRIP = 512  # rows converted at a time, so that a large picture is in memory once, not twice
_LOOKED_THROUGH = 5000  # names of a folder compared with a misspelt one


def read_image(path: str | os.PathLike[str]) -> U8:
    """Read a picture as people see it: upright, in colour, 8 bits.

    Greyscale, palette, CMYK and 16-bit pictures are converted (16 bits: the upper 8). The EXIF
    orientation is applied (OpenCV before 4.12 knows none in WebP). A PNG or WebP with
    transparency is laid on white, as a viewer shows it: under transparent pixels files hold
    whatever was there before; such a picture is not turned by EXIF.

    Args:
        path: a file of any name; OpenCV's limit is 2**30 pixels.

    Returns:
        (H, W, 3) uint8 RGB, contiguous, owned by the caller.

    Raises:
        ImageTruncated: the end of the file is missing.
        ImageError: it cannot be read or is no picture.
    """
    where = Path(path)
    data = _read_bytes(where)
    _check(where, data)
    pixels = _decode(where, data)
    _swap_red_and_blue(pixels)
    return pixels


def is_picture_name(path: Path) -> bool:
    """Whether a file's suffix, in any case, is that of a picture."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def no_such_file(path: Path) -> str:
    """Return the message for a path that does not exist: the nearest name in its folder."""
    folder = path.parent
    if not folder.is_dir():
        return f"{path}: no such file, and there is no folder {folder}."
    try:
        names = [entry.name for entry in islice(os.scandir(folder), _LOOKED_THROUGH)]
    except OSError:
        names = []
    near = difflib.get_close_matches(path.name, names, n=1)
    hint = f" Did you mean {folder / near[0]}?" if near else ""
    return f"{path}: no such file or folder.{hint}"


def _read_bytes(path: Path) -> bytes:
    try:
        if stat.S_ISCHR(path.stat().st_mode):
            raise ImageError(f"{path}: is a device, not a picture. v4l2:{path} reads a camera.")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(no_such_file(path)) from error
    except IsADirectoryError as error:
        raise ImageError(f"{path}: is a folder. images:{path} reads all its pictures.") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        why = getattr(error, "strerror", None) or error
        raise ImageError(f"{str(path)!r}: cannot be read: {why}.") from error
    if not data:
        raise ImageTruncated(f"{path}: is empty (0 bytes). Copy or download it again.")
    return data


def _check(path: Path, data: bytes) -> None:
    """Refuse what is known to be no picture, or to be cut short."""
    kind = kind_of(data)
    if kind is None:
        return
    if kind.advice:
        raise ImageError(f"{path}: is {kind.name}, which is not read as a picture. {kind.advice}.")
    if kind.is_whole is not None and not kind.is_whole(data):
        raise ImageTruncated(
            f"{path}: this {kind.name} is cut short: its end is missing after {len(data):,} bytes. "
            "Copy or download it again."
        )


def _decode(path: Path, data: bytes) -> U8:
    """Return (H, W, 3) uint8 in OpenCV's order, blue first."""
    import cv2

    buffer = np.frombuffer(data, np.uint8)
    decoded: Any = None
    try:
        with quiet_opencv():
            if has_alpha(data):
                decoded = _on_white(cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED))
            if decoded is None:
                decoded = cv2.imdecode(buffer, cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError) as error:
        raise ImageError(f"{path}: {_why_refused(error)}") from error
    if decoded is None:
        raise ImageError(f"{path}: {_why_undecodable(data, cv2.__version__)}")
    pixels: U8 = decoded
    return pixels


def _on_white(decoded: Any) -> U8 | None:
    """Lay (H, W, 4) on white, giving (H, W, 3); None for what has not four channels."""
    if decoded is None or decoded.ndim != 3 or decoded.shape[2] != 4:
        return None
    pixels = np.empty((*decoded.shape[:2], 3), np.uint8)
    for top in range(0, len(pixels), _STRIP):
        strip = decoded[top : top + _STRIP]
        if strip.dtype == np.uint16:
            strip = strip >> 8
        strip = strip.astype(np.uint16)
        alpha = strip[..., 3:]
        mixed = (strip[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255  # at most 65,152
        pixels[top : top + _STRIP] = mixed
    return pixels


def _swap_red_and_blue(pixels: U8) -> None:
    """Turn BGR into RGB in place."""
    import cv2

    for top in range(0, len(pixels), _STRIP):
        strip = pixels[top : top + _STRIP]
        strip[...] = cv2.cvtColor(strip, cv2.COLOR_BGR2RGB)


def _why_refused(error: Exception) -> str:
    text = str(error).strip()
    if "CV_IO_MAX_IMAGE" in text:
        return (
            "is larger than OpenCV reads (2**30 pixels, 2**20 px a side). Scale it down, or raise "
            "the limit with the environment variable OPENCV_IO_MAX_IMAGE_PIXELS."
        )
    if isinstance(error, MemoryError) or "allocate" in text:
        return "does not fit into memory. Scale it down first."
    return f"OpenCV refused it: {text.splitlines()[0]}"


def _why_undecodable(data: bytes, version: str) -> str:
    kind = kind_of(data)
    if kind is None:
        return f"is no picture of a known kind; it begins with {data[:12]!r}. Use JPEG or PNG."
    return (
        f"is {kind.name}, but damaged, cut short, or of a variant that OpenCV {version} does not "
        "read. Open it in a viewer and save it again as JPEG or PNG."
    )
