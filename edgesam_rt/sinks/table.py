"""The sinks there are, as data. A new sink is one file and one row; rows are sorted by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class SinkRow:
    """One kind of sink.

    Attributes:
        module: where its class is; imported when it is first opened.
        class_name: a class with `from_spec(spec, info)`.
        target: what to write after the colon, for help; empty if nothing goes there.
        help: one line.
        options: keys of `?key=value`.
        needs: modules that must be installed.
        missing: what to say and do if one is not.
    """

    module: str
    class_name: str
    target: str
    help: str
    options: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    missing: str = ""


_NO_CV2 = "OpenCV is not installed: pip install opencv-python-headless"

SINKS: Mapping[str, SinkRow] = MappingProxyType(
    {
        "jsonl": SinkRow(
            module="edgesam_rt.sinks.jsonl",
            class_name="JsonlSink",
            target="PATH or -",
            help="one JSON object per result and line (docs/results.md); - is standard output",
            options=("rle",),
        ),
        "masks": SinkRow(
            module="edgesam_rt.sinks.masks",
            class_name="MasksSink",
            target="FOLDER",
            help="one black and white PNG per object: NAME_ID.png",
            needs=("cv2",),
            missing=_NO_CV2,
        ),
        "memory": SinkRow(
            module="edgesam_rt.sinks.memory",
            class_name="MemorySink",
            target="",
            help="keeps results in a list, for tests and programs",
        ),
        "null": SinkRow(
            module="edgesam_rt.sinks.null",
            class_name="NullSink",
            target="",
            help="drops every result, for measuring",
        ),
        "overlay": SinkRow(
            module="edgesam_rt.sinks.overlay",
            class_name="OverlaySink",
            target="PATH",
            help="masks drawn on the picture: a video (.mp4 .webm .avi .mkv), one picture "
            "(.png .jpg), else a folder of PNGs",
            options=("fps",),
            needs=("cv2",),
            missing=_NO_CV2,
        ),
        "sheet": SinkRow(
            module="edgesam_rt.sinks.sheet",
            class_name="SheetSink",
            target="PATH",
            help="contact sheet: every mask as a thumbnail with its id, predicted IoU and area: "
            "one picture (.png .jpg), else a folder of PNGs",
            needs=("cv2",),
            missing=_NO_CV2,
        ),
    }
)
