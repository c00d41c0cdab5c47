"""A connection to an MQTT broker that comes back by itself, with a bounded queue in front of it.

Three threads: who puts, one that hands over to paho, and paho's own. paho itself has no bound on
what it keeps, so no more is handed over than `_WINDOW` messages that the broker has not taken yet.
Callbacks run under paho's locks: they must take none that is held while paho is called.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
from typing import Any

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode

from edgesam_rt.sinks.addresses import Broker
from edgesam_rt.sinks.mqtt_client import Credentials, make_client
from edgesam_rt.slot import Closed, Slot

ONLINE, OFFLINE = b"online", b"offline"
KEEPALIVE_S = 10  # a broker that is silent for so long and a half is taken for gone
_WINDOW = 10  # messages at paho that are not taken by the broker yet
_DRAIN_S = 3.0  # how long `close` waits for what is queued, if the broker is there
_END_S = 2.0  # and for each step of the goodbye
log = logging.getLogger(__name__)


class MqttLink:
    """Publishes payloads to one topic, the oldest first; the oldest is dropped when too many wait.

    Attributes:
        state: what the connection is like, as a sentence's end.

    Args:
        who: the sink's name, for messages.
        broker: where to connect.
        credentials: login and certificates.
        client_id: our name; of two clients of one name the broker keeps the later.
        topic: of the payloads.
        status_topic: where "online" and "offline" are kept; the broker itself says "offline" for
            a client that vanished.
        qos: 0, or 1: every payload is confirmed, and sent again if need be.
        capacity: payloads that wait.

    Raises:
        ConfigError: a certificate cannot be read.
    """

    def __init__(
        self,
        who: str,
        broker: Broker,
        credentials: Credentials,
        *,
        client_id: str,
        topic: str,
        status_topic: str,
        qos: int,
        capacity: int,
    ) -> None:
        self._who, self._topic, self._status_topic, self._qos = who, topic, status_topic, qos
        self._queue: Slot[bytes] = Slot(capacity, "drop_oldest")
        self._changed = threading.Condition()
        self._lost = 0
        self._in_flight = 0  # handed over, not taken
        self._connection = 0  # how many there were
        self._is_connected = False
        self._has_failed = False  # the newest try to connect, or the connection
        self._is_empty = False  # closed, and all was handed over
        self._is_ending = False
        self._status_id = -1
        self.state = "not connected yet"
        self._client = make_client(who, broker, credentials, client_id)
        self._client.will_set(status_topic, OFFLINE, qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.connect_async(broker.host, broker.port, KEEPALIVE_S)
        self._client.loop_start()
        self._sender = threading.Thread(target=self._send_all, name=f"{who} sender", daemon=True)
        self._sender.start()

    @property
    def lost(self) -> int:
        """Payloads that were given up so far."""
        with self._changed:
            return self._lost

    def put(self, payload: bytes) -> None:
        """Queue a payload; never waits. After `close` it does nothing."""
        with contextlib.suppress(Closed):
            self._lose(len(self._queue.put(payload)))

    def close(self) -> None:
        """Deliver what waits if the broker takes it in time, then leave; twice is quiet."""
        if self._is_ending:
            return
        self._queue.close()
        with self._changed:
            self._changed.wait_for(self._is_settled, _DRAIN_S)
            self._is_ending = True  # the sender gives up what is left, and counts it
            self._lost += self._in_flight
            self._changed.notify_all()
        self._sender.join(_END_S)
        self._leave()

    def _is_settled(self) -> bool:
        """Whether nothing waits for the broker, or nothing will be taken."""
        return self._has_failed or (self._is_empty and not self._in_flight)

    def _lose(self, count: int) -> None:
        with self._changed:
            self._lost += count

    # -- the sender's thread

    def _send_all(self) -> None:
        try:
            while True:
                self._send(self._queue.get())
        except Closed:
            with self._changed:
                self._is_empty = True
                self._changed.notify_all()

    def _send(self, payload: bytes) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_ending or self._has_room())
            if self._is_ending:
                self._lost += 1
                return
            self._in_flight += 1
            connection = self._connection
        info = self._client.publish(self._topic, payload, self._qos)
        if self._qos == 0 and info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            with self._changed:
                if connection == self._connection and self._in_flight:  # else counted by then
                    self._in_flight -= 1
                    self._lost += 1

    def _has_room(self) -> bool:
        return self._is_connected and self._in_flight < _WINDOW

    # -- paho's thread

    def _on_connect(self, client: Client, data: Any, flags: Any, reason: Any, more: Any) -> None:
        if reason.is_failure:
            self._fail(f"refused by the broker: {reason}")
            return
        self._status_id = self._publish_status(ONLINE, qos=0).mid
        with self._changed:
            self._connection += 1
            self._is_connected, self._has_failed = True, False
            self._changed.notify_all()
        self._note("connected")

    def _on_connect_fail(self, client: Client, data: Any) -> None:
        why = str(sys.exc_info()[1] or "no reason given")  # paho calls this while it handles it
        self._fail(f"cannot connect: {why}")

    def _fail(self, why: str) -> None:
        with self._changed:
            self._has_failed = True
            self._changed.notify_all()
        self._note(why)

    def _on_disconnect(self, client: Client, data: Any, flags: Any, reason: Any, more: Any) -> None:
        with self._changed:
            was_connected, self._is_connected = self._is_connected, False
            self._has_failed = True
            if self._qos == 0:  # what was on its way is not sent again
                self._lost += self._in_flight
                self._in_flight = 0
            self._changed.notify_all()
        if was_connected and not self._is_ending:
            self._note(f"connection lost: {reason}")

    def _on_publish(self, client: Client, data: Any, mid: int, reason: Any, more: Any) -> None:
        if mid == self._status_id:
            self._status_id = -1  # numbers begin again some day
            return
        with self._changed:
            self._in_flight = max(0, self._in_flight - 1)
            self._changed.notify_all()

    def _note(self, state: str) -> None:
        """Say how the connection is, once per change."""
        if state != self.state:
            self.state = state
            level = logging.INFO if state == "connected" else logging.WARNING
            log.log(level, "%s: %s", self._who, state)

    # -- leaving

    def _publish_status(self, status: bytes, qos: int) -> MQTTMessageInfo:
        return self._client.publish(self._status_topic, status, qos=qos, retain=True)

    def _leave(self) -> None:
        """Say goodbye if the broker listens, and end paho's thread whatever it hangs in."""
        if self._is_connected:
            goodbye = self._publish_status(OFFLINE, qos=0)
            if goodbye.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                goodbye.wait_for_publish(_END_S)
        self._client.disconnect()
        ending = threading.Thread(target=self._client.loop_stop, daemon=True)
        ending.start()
        ending.join(_END_S)
        line = self._client.socket()
        if ending.is_alive() and isinstance(line, socket.socket):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)  # a frozen broker takes no goodbye
            ending.join(_END_S)
        client = self._client  # paho closes its last descriptors when nothing refers to it
        client.on_connect = client.on_connect_fail = None
        client.on_disconnect = client.on_publish = None
