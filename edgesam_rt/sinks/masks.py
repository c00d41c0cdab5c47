"""Masks as pictures: one PNG per object."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgesam_rt.paths import user_path
from edgesam_rt.records import Result
from edgesam_rt.sinks import files
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.spec import SinkSpec


class MasksSink:
    """Writes FOLDER/NAME_ID.png, 8 bit, 255 inside the object and 0 outside.

    NAME is the frame's name, ID the object's. Each file is complete or not there.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder.

        Raises:
            ConfigError: a file is in its place.
            SinkError: it cannot be made.
        """
        self.name = f"masks:{folder}"
        self._folder = folder
        self._written = 0
        files.make_folder(folder, self.name)

    @classmethod
    def from_spec(cls, spec: SinkSpec, info: RunInfo) -> MasksSink:
        """Open it for a parsed spec."""
        return cls(user_path(spec.target))

    def write(self, result: Result) -> None:
        """Write one file per object."""
        stem = files.stem(result.frame.name)
        for object_id, mask in zip(result.object_ids, result.masks.each_mask(), strict=True):
            path = self._folder / f"{stem}_{object_id}.png"
            pixels = mask.view(np.uint8) * np.uint8(255)
            try:
                files.write_whole(path, files.encode_picture(pixels, ".png"))
            except OSError as error:
                intact = f"The {self._written} masks written before are intact."
                raise files.write_failed(self.name, path, error, intact) from error
            self._written += 1

    def close(self) -> None:
        """Do nothing: every file is complete."""
