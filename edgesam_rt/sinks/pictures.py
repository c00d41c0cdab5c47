"""Where a sink's pictures go: one file, or a folder of them. Not a sink itself."""

from __future__ import annotations

from pathlib import Path

from edgesam_rt.errors import ConfigError
from edgesam_rt.records import Result
from edgesam_rt.sinks import files
from edgesam_rt.types import U8

SUFFIXES = (".png", ".jpg", ".jpeg")
_OTHER_MEDIA = (".mov", ".gif", ".m4v", ".wmv", ".mpg", ".mpeg", ".bmp", ".tif", ".tiff", ".webp")


class Pictures:
    """One picture, or a folder of them.

    A path that ends in one of SUFFIXES is one picture; if more come, the second is
    NAME-000002.png, and so on. Anything else is a folder with a PNG per picture, named like the
    frame.
    """

    def __init__(self, path: Path, who: str) -> None:
        """Check the path and make folders.

        Args:
            path: see above.
            who: the sink's name, for messages.

        Raises:
            ConfigError: a folder is where a file should be, or the other way round.
            SinkError: it may not be written.
        """
        self._path = path
        self._who = who
        self._written = 0
        self._is_one = path.suffix.lower() in SUFFIXES and not path.is_dir()
        if self._is_one:
            files.check_file(path, who)
        else:
            files.make_folder(path, who)

    def add(self, pixels: U8, result: Result) -> None:
        """Write a picture, (H, W, 3) RGB, of a result."""
        path = self._path_for(result.frame.name)
        try:
            files.write_whole(path, files.encode_picture(pixels, path.suffix.lower()))
        except OSError as error:
            intact = f"The {self._written} pictures written before are intact."
            raise files.write_failed(self._who, path, error, intact) from error
        self._written += 1

    def _path_for(self, name: str) -> Path:
        if not self._is_one:
            return self._path / f"{files.stem(name)}.png"
        if not self._written:
            return self._path
        return self._path.with_name(f"{self._path.stem}-{self._written + 1:06d}{self._path.suffix}")

    def close(self) -> None:
        """Do nothing: every file is complete."""


def refuse_other_media(path: Path, who: str, *, written: tuple[str, ...]) -> None:
    """See that a path is not that of a file of a kind that is not written.

    Raises:
        ConfigError: it is.
    """
    suffix = path.suffix.lower()
    if suffix in _OTHER_MEDIA and not path.is_dir():
        raise ConfigError(
            f"{who}: {suffix} is not written. Use {' '.join(written)}, "
            "or a folder's name for a PNG per frame."
        )
