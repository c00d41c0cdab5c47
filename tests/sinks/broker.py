"""A real MQTT broker for the tests, and a real client that listens, where the machine has them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.ports import free_port

PROGRAM = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
WHY_NO_BROKER = "no mosquitto here. Run: apt-get install --no-install-recommends mosquitto"
PATIENCE_S = 15.0


def wait_for(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S:g} s"
        time.sleep(0.01)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Broker:
    """mosquitto on a port of its own; may be killed, started again and frozen."""

    folder: Path
    extra: str = "allow_anonymous true\n"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert PROGRAM is not None
        user = "user root\n" if os.geteuid() == 0 else ""
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\n{user}{self.extra}")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([PROGRAM, "-c", str(config)], stdout=log, stderr=log)
        wait_for(lambda: is_listening(self.port), "broker")

    def stop(self) -> None:
        """End it as an update would: what it must keep it writes down."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class Listener:
    """A client that keeps what it hears; it connects again when it must."""

    def __init__(self, port: int, topic: str, **login: Any) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.heard: list[tuple[str, bytes, bool]] = []
        self._ready = threading.Event()
        keeps = login.get("keeps")  # the broker keeps for this name what it misses
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=keeps or "", clean_session=not keeps
        )
        self._client.reconnect_delay_set(1, 1)
        if "user" in login:
            self._client.username_pw_set(login["user"], login["password"])
        if "ca_file" in login:
            self._client.tls_set(str(login["ca_file"]))
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda client, data, message: self.heard.append(
            (message.topic, message.payload, message.retain)
        )
        self._client.connect("localhost", port)
        self._client.loop_start()
        assert self._ready.wait(PATIENCE_S)

    def payloads(self, ending: str) -> list[bytes]:
        return [payload for topic, payload, _ in self.heard if topic.endswith(ending)]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None


@contextmanager
def running(broker: Broker) -> Iterator[Broker]:
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
