"""Contact sheets: every mask of a picture as a thumbnail with its id."""

from __future__ import annotations

from pathlib import Path

from edgesam_rt.drawing import sheet
from edgesam_rt.errors import ConfigError
from edgesam_rt.paths import user_path
from edgesam_rt.records import Result
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.pictures import SUFFIXES, Pictures, refuse_other_media
from edgesam_rt.sinks.spec import SinkSpec
from edgesam_rt.sinks.video import CODECS


class SheetSink:
    """Draws the contact sheet of every result (`drawing/sheet.py`) and writes it.

    The path decides what is made:
        .png .jpg: one picture; if more come, the second is NAME-000002.png, and so on.
        anything else: a folder with a PNG per picture, named like the frame.
    """

    def __init__(self, path: Path) -> None:
        """Check the path and make folders.

        Args:
            path: what to write; see above.

        Raises:
            ConfigError: a kind of file that is not written, or a folder where a file should be, or
                the other way round.
            SinkError: it may not be written.
        """
        self.name = f"sheet:{path}"
        if path.suffix.lower() in CODECS and not path.is_dir():
            raise ConfigError(
                f"{self.name}: sheets are of different sizes, so they make no video. "
                f"Use {' '.join(SUFFIXES)}, or a folder's name for a PNG per frame."
            )
        refuse_other_media(path, self.name, written=SUFFIXES)
        self._pictures = Pictures(path, self.name)

    @classmethod
    def from_spec(cls, spec: SinkSpec, info: RunInfo) -> SheetSink:
        """Open it for a parsed spec."""
        return cls(user_path(spec.target))

    def write(self, result: Result) -> None:
        """Draw and write one sheet."""
        self._pictures.add(sheet.draw(result), result)

    def close(self) -> None:
        """Do nothing: every file is complete."""
