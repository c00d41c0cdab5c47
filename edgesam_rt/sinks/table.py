"""The sinks there are, as data. A new sink is one file and one row; rows are sorted by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from edgesam_rt import options as opt
from edgesam_rt.options import Option
from edgesam_rt.sinks import addresses

Kind = Literal["nothing", "file", "pictures", "folder", "address"]


@dataclass(frozen=True)
class SinkRow:
    """One kind of sink.

    Attributes:
        module: where its class is; imported when it is first opened.
        class_name: a class with `from_spec(spec, info)`.
        target: what to write after the colon, for help; empty if nothing goes there.
        kind: what the target is; "pictures" is a file, or without a suffix a folder.
        help: one line.
        options: what may stand in `?key=value`.
        check: looks at a target; raises ValueError with what is wrong.
        needs: modules that must be installed.
        missing: what to say and do if one is not.
    """

    module: str
    class_name: str
    target: str
    kind: Kind
    help: str
    options: Mapping[str, Option] = field(default_factory=lambda: MappingProxyType({}))
    check: Callable[[str], object] | None = None
    needs: tuple[str, ...] = ()
    missing: str = ""


_NO_CV2 = "OpenCV is not installed: pip install opencv-python-headless"
_NO_PAHO = "paho-mqtt is not installed: pip install 'edgesam_rt[service]'"
_RLE = opt.flag(True, "0 leaves the masks out, by far the largest part")
_MAX_FPS = 240.0

SINKS: Mapping[str, SinkRow] = MappingProxyType(
    {
        "jsonl": SinkRow(
            module="edgesam_rt.sinks.jsonl",
            class_name="JsonlSink",
            target="PATH or -",
            kind="file",
            help="one JSON object per result and line (docs/results.md); - is standard output",
            options={
                "append": opt.flag(
                    None,
                    "go on behind what is there; unasked, a service does and a command not",
                ),
                "keep": opt.whole(5, 1, "full files that are kept: PATH.1 is the newest"),
                "rle": _RLE,
                "rotate": opt.amount(10_000, "begin a new file before this one grows larger"),
            },
        ),
        "masks": SinkRow(
            module="edgesam_rt.sinks.masks",
            class_name="MasksSink",
            target="FOLDER",
            kind="folder",
            help="one black and white PNG per object: NAME_ID.png",
            needs=("cv2",),
            missing=_NO_CV2,
        ),
        "memory": SinkRow(
            module="edgesam_rt.sinks.memory",
            class_name="MemorySink",
            target="",
            kind="nothing",
            help="keeps results in a list, for tests and programs",
        ),
        "mjpeg": SinkRow(
            module="edgesam_rt.sinks.mjpeg",
            class_name="MjpegSink",
            target="HOST:PORT",
            kind="address",
            help="masks drawn on the picture, for browsers: http://HOST:PORT/ is a stream",
            options={
                "clients": opt.whole(8, 1, "how many may look at once"),
                "fps": opt.number(None, 0.01, _MAX_FPS, "pictures per second and client, at most"),
                "quality": opt.number(80.0, 0.0, 100.0, "of the JPEGs"),
            },
            check=addresses.host_port_of,
            needs=("cv2",),
            missing=_NO_CV2,
        ),
        "mqtt": SinkRow(
            module="edgesam_rt.sinks.mqtt",
            class_name="MqttSink",
            target="mqtt://USER@HOST:PORT/PREFIX",
            kind="address",
            help="each result as JSON to a broker; mqtts:// is encrypted",
            options={
                "ca_file": opt.text("certificates to trust, in place of the system's"),
                "cert_file": opt.text("certificate of this client"),
                "client_id": opt.text("name of this client, else a new one for every run"),
                "key_file": opt.text("key of that certificate"),
                "login_env": opt.text("variable with user:password"),
                "login_file": opt.text("file with user:password; a bare name may be a credential"),
                "masks": opt.choice("rle", ("rle", "boxes"), "boxes leaves the masks out"),
                "qos": opt.choice("0", ("0", "1"), "1: the broker confirms every result"),
                "queue": opt.whole(100, 1, "results that wait for the broker; then the oldest go"),
            },
            check=addresses.broker_of,
            needs=("paho",),
            missing=_NO_PAHO,
        ),
        "null": SinkRow(
            module="edgesam_rt.sinks.null",
            class_name="NullSink",
            target="",
            kind="nothing",
            help="drops every result, for measuring",
        ),
        "overlay": SinkRow(
            module="edgesam_rt.sinks.overlay",
            class_name="OverlaySink",
            target="PATH",
            kind="pictures",
            help="masks drawn on the picture: a video (.mp4 .webm .avi .mkv), one picture "
            "(.png .jpg), else a folder of PNGs",
            options={"fps": opt.number(None, 0.0, _MAX_FPS, "of the video, else the source's")},
            needs=("cv2",),
            missing=_NO_CV2,
        ),
        "sheet": SinkRow(
            module="edgesam_rt.sinks.sheet",
            class_name="SheetSink",
            target="PATH",
            kind="pictures",
            help="contact sheet: every mask as a thumbnail with its id, predicted IoU and area: "
            "one picture (.png .jpg), else a folder of PNGs",
            needs=("cv2",),
            missing=_NO_CV2,
        ),
        "socket": SinkRow(
            module="edgesam_rt.sinks.unix_socket",
            class_name="SocketSink",
            target="PATH",
            kind="address",
            help="a Unix socket that programs in any language read results from",
            options={
                "masks": opt.choice(
                    "rle", ("rle", "bits", "boxes"), "bits: bitmaps behind the line"
                ),
                "queue": opt.whole(16, 1, "results that wait for a reader; then the oldest go"),
                "readers": opt.whole(8, 1, "how many may read at once"),
            },
            check=addresses.socket_path_of,
        ),
    }
)
