"""What kind of file some bytes are, and whether they are all there: data, by magic number.

Decoders fill what is missing from a picture with grey and say nothing (libjpeg in OpenCV 4), so
completeness is read from the containers' own structure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_AS_VIDEO = "file:PATH reads a video"
_CONVERT = "Convert it to JPEG or PNG first"


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: what a person calls it.
        magic: the bytes it begins with; text kinds in lower case, leading blanks skipped.
        at: where `magic` stands.
        is_whole: tells whether all bytes are there; None where only the decoder can tell.
        advice: for a kind that is no picture we read: what to do with it.
    """

    name: str
    magic: bytes
    at: int = 0
    is_whole: Callable[[bytes], bool] | None = None
    advice: str = ""


def kind_of(data: bytes) -> Kind | None:
    """Return the kind of a file's bytes, or None if it is not known."""
    text = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for kind in KINDS:
        if data.startswith(kind.magic, kind.at) or (kind in _TEXTS and text.startswith(kind.magic)):
            return kind
    return None


def has_alpha(data: bytes) -> bool:
    """Whether a PNG or WebP says that it may be transparent; other kinds: no."""
    if data.startswith(b"\x89PNG"):
        before_pixels = data[: max(data.find(b"IDAT"), 0)]
        return data[25:26] in (b"\x04", b"\x06") or b"tRNS" in before_pixels
    if data[8:12] == b"WEBP" and len(data) > 24:
        return bool(data[20] & 0x10 if data[12:16] == b"VP8X" else data[24] & 0x10)
    return False


def jpeg_is_whole(data: bytes) -> bool:
    """Whether an end mark follows the first scan; a thumbnail before it has its own and counts not.

    Source: ITU-T T.81, annex B: inside a scan 0xFF is followed by 0 or a restart mark only.
    """
    at = 2
    while (at := data.find(b"\xff", at)) >= 0:
        mark = data[at + 1 : at + 2]
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if mark == b"\xda":
            return data.find(b"\xff\xd9", at + 2 + size) >= 0
        bare = mark == b"\xff" or b"\xd0" <= mark <= b"\xd9" or mark in (b"\x00", b"\x01")
        at += (1 if mark == b"\xff" else 2) if bare else 2 + size
    return False


def png_is_whole(data: bytes) -> bool:
    """Whether the chunks reach IEND."""
    at = 8
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False


def riff_is_whole(data: bytes) -> bool:
    """Whether a RIFF file (WebP) has the size that it states."""
    return len(data) >= 8 + int.from_bytes(data[4:8], "little")


def bmp_is_whole(data: bytes) -> bool:
    """Whether an uncompressed BMP has all its rows; the size in its file header is often wrong."""
    if len(data) < 54:
        return False
    start, header = (int.from_bytes(data[i : i + 4], "little") for i in (10, 14))
    if header < 40 or data[30] not in (0, 3):
        return True
    width, height = (int.from_bytes(data[i : i + 4], "little", signed=True) for i in (18, 22))
    row_bytes = (width * int.from_bytes(data[28:30], "little") + 31) // 32 * 4
    return len(data) >= start + row_bytes * abs(height)


_TEXTS = (
    Kind("an HTML page", b"<!doctype html", advice="A download probably failed; fetch it again"),
    Kind("an HTML page", b"<html", advice="A download probably failed; fetch it again"),
    Kind("an SVG drawing", b"<svg", advice=_CONVERT),
    Kind("an XML file", b"<?xml", advice=_CONVERT + ", if it is a drawing"),
    Kind("a Git LFS pointer", b"version https://git-lfs", advice="Run: git lfs pull"),
)
KINDS = (
    Kind("JPEG", b"\xff\xd8\xff", is_whole=jpeg_is_whole),
    Kind("PNG", b"\x89PNG\r\n\x1a\n", is_whole=png_is_whole),
    Kind("WebP", b"WEBP", at=8, is_whole=riff_is_whole),
    Kind("BMP", b"BM", is_whole=bmp_is_whole),
    Kind("TIFF", b"II*\x00"),
    Kind("TIFF", b"MM\x00*"),
    Kind("GIF", b"GIF8"),
    *(Kind("PNM", b"P%d" % i) for i in range(1, 7)),
    Kind("JPEG 2000", b"\x00\x00\x00\x0cjP  "),
    Kind("AVIF", b"ftypavi", at=4),
    Kind("HEIC", b"ftyphei", at=4, advice=_CONVERT),
    Kind("HEIC", b"ftyphev", at=4, advice=_CONVERT),
    Kind("HEIF", b"ftypmif1", at=4, advice=_CONVERT),
    Kind("HEIF", b"ftypmsf1", at=4, advice=_CONVERT),
    Kind("a Canon raw picture", b"ftypcrx", at=4, advice=_CONVERT),
    Kind("an MP4 or MOV video", b"ftyp", at=4, advice=_AS_VIDEO),
    Kind("a Matroska or WebM video", b"\x1a\x45\xdf\xa3", advice=_AS_VIDEO),
    Kind("an AVI video", b"AVI ", at=8, advice=_AS_VIDEO),
    Kind("a JPEG XL picture", b"\xff\x0a", advice=_CONVERT),
    Kind("a JPEG XL picture", b"\x00\x00\x00\x0cJXL ", advice=_CONVERT),
    Kind("a Photoshop file", b"8BPS", advice=_CONVERT),
    Kind("a PDF", b"%PDF", advice=_CONVERT),
    Kind("a ZIP archive", b"PK\x03\x04", advice="Unpack it first"),
    Kind("a gzip file", b"\x1f\x8b", advice="Unpack it first"),
    Kind("a NumPy array", b"\x93NUMPY", advice="Load it with numpy.load"),
    *_TEXTS,
)
