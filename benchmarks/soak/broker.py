"""A real MQTT broker that can be killed, and somebody who reads from it."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.ports import free_port
from edgesam_rt.errors import BackendMissing

PREFIX = "soak"
_SAVE_S = 0.2  # for the broker to write who listens, before it is killed
_DOWN_S = 1.0
_START_S = 10.0


class Mosquitto:
    """The broker as a process.

    Args:
        folder: for its configuration and what it keeps.

    Raises:
        BackendMissing: it is not installed.
    """

    def __init__(self, folder: Path) -> None:
        found = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
        if found is None:
            raise BackendMissing("the soak run needs a broker: apt-get install mosquitto")
        self.port = free_port()
        self.kills = 0
        self._conf = folder / "mosquitto.conf"
        self._conf.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n"
            f"persistence true\npersistence_location {folder}/\nmax_queued_messages 0\n",
            encoding="utf-8",
        )
        self._command = [found, "-c", str(self._conf)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stdout=quiet, stderr=quiet)
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        raise RuntimeError("mosquitto did not start to listen")

    def kill_and_start(self) -> None:
        """Kill it, and start it again a little later; it still knows who listened."""
        assert self._process is not None, "start() comes first"
        self._process.send_signal(signal.SIGUSR1)  # write down who listens
        time.sleep(_SAVE_S)
        self._process.kill()
        self._process.wait()
        self.kills += 1
        time.sleep(_DOWN_S)
        self.start()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


class Subscriber:
    """Notes the frames whose results arrive; one that comes twice is one."""

    def __init__(self, port: int) -> None:
        self.frames: set[int] = set()
        self._lock = threading.Lock()
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id="soak-subscriber", clean_session=False
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._subscribe
        self._client.on_message = self._note
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _subscribe(self, client: Client, *_: object) -> None:
        client.subscribe(f"{PREFIX}/results", qos=1)

    def _note(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        frame = int(json.loads(message.payload)["frame_id"])
        with self._lock:
            self.frames.add(frame)

    def stop(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
