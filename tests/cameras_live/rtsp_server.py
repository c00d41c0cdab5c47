"""A real RTSP camera for the tests: GStreamer's server, H.264, the time written into the picture.

Run it with the system's Python: /usr/bin/python3 rtsp_server.py PORT WIDTHxHEIGHT [USER:PASSWORD]
It prints "ready" when it listens. A line "size WIDTHxHEIGHT" on its standard input changes the
size in the middle of the stream. A picture is 16 columns, black or white: the bits of the
machine's monotonic milliseconds when it was made (`stripes.read_stamp` reads them).
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402  after require_version

FPS = 60  # docs/decisions/0016 was measured at 30
COLUMNS = 16
LAUNCH = (
    "( appsrc name=source is-live=true format=time do-timestamp=true block=false "
    "! videoconvert ! video/x-raw,format=I420 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=5 "
    "! rtph264pay name=pay0 config-interval=1 )"
)


class Scene:
    """What the camera looks at: pushes pictures into whichever pipeline plays now."""

    def __init__(self, size_wh: tuple[int, int]) -> None:
        self.size_wh = size_wh
        self._source: Any = None
        threading.Thread(target=self._play, daemon=True).start()

    def configure(self, _factory: Any, media: Any) -> None:
        """Take the source of a pipeline that was just made."""
        source = media.get_element().get_by_name_recurse_up("source")
        source.set_property("caps", _caps(self.size_wh))
        self._source = source

    def resize(self, size_wh: tuple[int, int]) -> None:
        """Change the size of all pictures from now on."""
        self.size_wh = size_wh
        if self._source is not None:
            self._source.set_property("caps", _caps(size_wh))

    def _play(self) -> None:
        while True:
            if self._source is not None:
                self._source.emit("push-buffer", Gst.Buffer.new_wrapped(_picture(self.size_wh)))
            time.sleep(1 / FPS)


def _caps(size_wh: tuple[int, int]) -> Any:
    wide, high = size_wh
    return Gst.Caps.from_string(
        f"video/x-raw,format=GRAY8,width={wide},height={high},framerate={FPS}/1"
    )


def _picture(size_wh: tuple[int, int]) -> bytes:
    """One grey picture, (H, W) uint8."""
    wide, high = size_wh
    stamp = time.monotonic_ns() // 1_000_000
    row = b"".join(
        (b"\xeb" if stamp >> bit & 1 else b"\x10") * (wide // COLUMNS) for bit in range(COLUMNS)
    )
    return row * high


def _size(text: str) -> tuple[int, int]:
    wide, high = text.split("x")
    return int(wide), int(high)


def _protect(server: Any, factory: Any, login: str) -> None:
    """Ask for a user and a password."""
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*login.split(":", 1)), token)
    server.set_auth(auth)
    rights = GstRtspServer.RTSPPermissions()
    rights.add_role("viewer")
    for right in ("media.factory.access", "media.factory.construct"):
        rights.add_permission_for_role("viewer", right, True)
    factory.set_permissions(rights)


def _obey(scene: Scene) -> None:
    for line in sys.stdin:
        if line.startswith("size "):
            scene.resize(_size(line.split()[1]))


def main(port: str, size: str, login: str = "") -> None:
    """Serve rtsp://127.0.0.1:PORT/cam until killed."""
    Gst.init(None)
    scene = Scene(_size(size))
    server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory.set_launch(LAUNCH)
    factory.set_shared(True)
    factory.connect("media-configure", scene.configure)
    if login:
        _protect(server, factory, login)
    server.get_mount_points().add_factory("/cam", factory)
    if not server.attach(None):
        sys.exit(f"port {port} cannot be listened on")
    threading.Thread(target=_obey, args=(scene,), daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
