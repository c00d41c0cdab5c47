"""Results as JSON to an MQTT broker. docs/outputs.md has the topics."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from edgesam_rt.errors import ResultsLost
from edgesam_rt.records import Result
from edgesam_rt.secrets import read_login
from edgesam_rt.sinks.addresses import Broker, broker_of
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.mqtt_client import Credentials
from edgesam_rt.sinks.mqtt_link import MqttLink
from edgesam_rt.sinks.rows import to_row
from edgesam_rt.sinks.spec import SinkSpec

RESULTS, STATUS = "results", "status"  # topics below the prefix


class MqttSink:
    """Publishes every result; never waits for the broker.

    Args:
        name: the spec without secrets and options.
        broker: where to publish.
        options: those of the table's row.

    Raises:
        ConfigError: a certificate cannot be read, or a login is not of its form.
    """

    def __init__(self, name: str, broker: Broker, options: Mapping[str, Any]) -> None:
        self.name = name
        self._with_rle = options["masks"] == "rle"
        self._told = 0
        self._link = MqttLink(
            name,
            broker,
            _credentials(broker, options),
            client_id=options["client_id"] or f"edgesam-{uuid.uuid4().hex[:12]}",
            topic=f"{broker.prefix}/{RESULTS}",
            status_topic=f"{broker.prefix}/{STATUS}",
            qos=int(options["qos"]),
            capacity=options["queue"],
        )

    @classmethod
    def from_spec(cls, spec: SinkSpec, info: RunInfo) -> MqttSink:
        """Begin to connect; a broker that is not there yet is tried again and again."""
        return cls(spec.name, broker_of(spec.target), spec.options)

    def write(self, result: Result) -> None:
        """Queue one result.

        Raises:
            ResultsLost: older ones had to go for it, or did not reach the broker.
        """
        row = to_row(result, with_rle=self._with_rle)
        self._link.put(json.dumps(row, separators=(",", ":")).encode("ascii"))
        self._tell_losses(f"{self.name}: {self._link.state}.")

    def close(self) -> None:
        """Deliver what waits, if the broker takes it; say goodbye; a second call does nothing.

        Raises:
            ResultsLost: not all of it was delivered.
        """
        state = self._link.state
        self._link.close()
        self._tell_losses(f"{self.name}: {state}; the run ends before all was delivered.")

    def _tell_losses(self, why: str) -> None:
        lost = self._link.lost
        new, self._told = lost - self._told, lost
        if new:
            raise ResultsLost(why, new)


def _credentials(broker: Broker, options: Mapping[str, Any]) -> Credentials:
    given = read_login(options["login_env"], options["login_file"])
    user, password = broker.login or (None, None)
    if given is not None:
        user, _, password = given.partition(":")
    return Credentials(
        user, password, options["ca_file"], options["cert_file"], options["key_file"]
    )
