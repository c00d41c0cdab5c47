"""Results drawn on their pictures, as a stream that browsers show."""

from __future__ import annotations

from edgesam_rt.records import Result
from edgesam_rt.sinks.addresses import host_port_of
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.live_picture import LivePicture
from edgesam_rt.sinks.picture_server import PictureServer
from edgesam_rt.sinks.spec import SinkSpec


class MjpegSink:
    """Serves the newest result at http://HOST:PORT/; a slow client misses pictures of its own.

    Attributes:
        port: where it listens.

    Raises:
        ConfigError: there is no such host here.
        SinkError: the port is taken.
    """

    def __init__(
        self,
        name: str,
        address: tuple[str, int],
        *,
        clients: int = 8,
        fps: float | None = None,
        quality: int = 80,
    ) -> None:
        self.name = name
        self._picture = LivePicture(quality)
        self._server: PictureServer | None = PictureServer(
            name, address, self._picture, clients=clients, fps=fps
        )
        self.port = self._server.port

    @classmethod
    def from_spec(cls, spec: SinkSpec, info: RunInfo) -> MjpegSink:
        """Open it for a parsed spec."""
        options = spec.options
        quality = max(1, round(options["quality"]))
        clients, fps = options["clients"], options["fps"]
        address = host_port_of(spec.target)
        return cls(spec.name, address, clients=clients, fps=fps, quality=quality)

    def write(self, result: Result) -> None:
        """Show this result from now on."""
        self._picture.put(result)

    def close(self) -> None:
        """Let the clients go."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self._picture.close()
