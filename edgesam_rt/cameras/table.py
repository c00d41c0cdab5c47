"""All sources, as data. A new one is a row here and a file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from edgesam_rt import options as opt
from edgesam_rt.cameras.options import live
from edgesam_rt.options import Option

_OPENCV = "opencv is not installed. Run: pip install opencv-python-headless"
_PICAMERA2 = (
    "picamera2 is not installed, or hidden from this environment. Run: sudo apt install "
    "python3-picamera2; then use an environment made with python3 -m venv --system-site-packages"
)


@dataclass(frozen=True)
class SourceRow:
    """One kind of source.

    Attributes:
        module: where its `open_source(spec, clock) -> Camera` is; imported at first use.
        target: what follows the colon: an existing file, a path or pattern of files, a device's
            name (may be empty), an address, a pipeline, or nothing.
        help: one line for people.
        missing: what to say when a library it needs is not installed.
        options: what may follow the mark.
    """

    module: str
    target: Literal["file", "files", "device", "address", "pipeline", "nothing"]
    help: str
    missing: str
    options: Mapping[str, Option] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def mark(self) -> str:
        """What stands before the options: addresses and pipelines have ? for themselves."""
        return "#" if self.target in ("address", "pipeline") else "?"


SOURCES: Mapping[str, SourceRow] = MappingProxyType(
    {
        "csi": SourceRow(
            module="edgesam_rt.cameras.csi",
            target="device",
            help="csi:0  a ribbon camera of a Jetson",
            missing=_OPENCV,
            options=live(
                fps=opt.number(None, 0.0, 1000.0, "frames per second to ask for"),
                mode=opt.size((1920, 1080), 16, "that the sensor is read at"),
                rotation=opt.choice("0", ("0", "90", "180", "270"), "clockwise, in hardware"),
                size=opt.size((1280, 720), 16, "of the frames, scaled in hardware"),
            ),
        ),
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
        "gst": SourceRow(
            module="edgesam_rt.cameras.gst",
            target="pipeline",
            help="gst:PIPELINE  any GStreamer pipeline of raw video, without its sink",
            missing=_OPENCV,
            options=live(),
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
        "picamera": SourceRow(
            module="edgesam_rt.cameras.picamera",
            target="device",
            help="picamera:0  a ribbon camera of a Raspberry Pi",
            missing=_PICAMERA2,
            options=live(
                controls=opt.named_numbers("libcamera's controls, numbers only"),
                fps=opt.number(None, 0.0, 1000.0, "frames per second to ask for"),
                hflip=opt.flag(False, "left and right change places, in hardware"),
                lores=opt.size(None, 16, "take frames of this size from the second, small output"),
                rotation=opt.choice("0", ("0", "180"), "in hardware"),
                size=opt.size((1280, 720), 16, "of the main stream, scaled in hardware"),
                vflip=opt.flag(False, "top and bottom change places, in hardware"),
            ),
        ),
        "rtsp": SourceRow(
            module="edgesam_rt.cameras.rtsp",
            target="address",
            help="rtsp://HOST/PATH  a network camera",
            missing=_OPENCV,
            options=live(
                login_env=opt.text("environment variable that holds user:password"),
                login_file=opt.text("file that holds user:password; also a systemd credential"),
                probe=opt.number(
                    None, 0.0, 60.0, "seconds of stream to study first, for codec and rate"
                ),
                transport=opt.choice("tcp", ("tcp", "udp"), "udp is quicker over a good network"),
            ),
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
                "silent_after": opt.whole(None, 1, "give no more than so many, and do not end"),
                "size": opt.size((640, 480), 16, "of the frames"),
            },
        ),
        "v4l2": SourceRow(
            module="edgesam_rt.cameras.v4l2",
            target="device",
            help="v4l2:/dev/video0  a USB or other V4L2 camera; v4l2:0 is the same",
            missing=_OPENCV,
            options=live(
                format=opt.choice("mjpg", ("mjpg", "yuyv"), "what the camera sends"),
                fps=opt.number(None, 0.0, 1000.0, "frames per second to ask for"),
                size=opt.size(None, 16, "to ask for"),
            ),
        ),
    }
)
