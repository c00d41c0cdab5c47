"""All sources, as data. A new one is a row here and a file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from edgesam_rt.cameras import options as opt
from edgesam_rt.cameras.options import Option

_OPENCV = "opencv is not installed. Run: pip install opencv-python-headless"


@dataclass(frozen=True)
class SourceRow:
    """One kind of source.

    Attributes:
        module: where its `open_source(spec, clock) -> Camera` is; imported at first use.
        target: what follows the colon: an existing file, a path or pattern of files, a device's
            name (may be empty), or nothing.
        help: one line for people.
        missing: what to say when a library it needs is not installed.
        options: what may follow the question mark.
    """

    module: str
    target: Literal["file", "files", "device", "nothing"]
    help: str
    missing: str
    options: Mapping[str, Option] = field(default_factory=lambda: MappingProxyType({}))


SOURCES: Mapping[str, SourceRow] = MappingProxyType(
    {
        "file": SourceRow(
            module="edgesam_rt.cameras.video",
            target="file",
            help="file:PATH  a video; a bare PATH is the same",
            missing=_OPENCV,
            options={
                "every": opt.whole(1, 1, "give each N-th frame only"),
                "live": opt.flag(False, "play at its own pace, as a camera would"),
                "loop": opt.flag(False, "begin again at the end, for ever"),
                "start": opt.number(0.0, -1e-9, 1e7, "begin at this many seconds"),
            },
        ),
        "images": SourceRow(
            module="edgesam_rt.cameras.images",
            target="files",
            help="images:PATH|FOLDER|GLOB  pictures, in natural order",
            missing=_OPENCV,
            options={
                "on_error": opt.choice(
                    None, ("skip", "stop"), "at an unreadable picture: skip, if it is one of many"
                ),
            },
        ),
        "synthetic": SourceRow(
            module="edgesam_rt.cameras.synthetic",
            target="nothing",
            help="synthetic:  moving shapes, for tests and demos",
            missing="synthetic: needs numpy only",
            options={
                "fps": opt.number(30.0, 0.0, 1000.0, "frames per second"),
                "frames": opt.whole(None, 1, "how many; 100, or endless if live"),
                "live": opt.flag(False, "give frames at their time, as a camera would"),
                "seed": opt.whole(0, 0, "another background and other paths"),
                "size": opt.size((640, 480), 16, "of the frames"),
            },
        ),
        "v4l2": SourceRow(
            module="edgesam_rt.cameras.v4l2",
            target="device",
            help="v4l2:/dev/video0  a USB or other V4L2 camera; v4l2:0 is the same",
            missing=_OPENCV,
            options={
                "format": opt.choice("mjpg", ("mjpg", "yuyv"), "what the camera sends"),
                "fps": opt.number(None, 0.0, 1000.0, "frames per second to ask for"),
                "size": opt.size(None, 16, "to ask for"),
            },
        ),
    }
)
