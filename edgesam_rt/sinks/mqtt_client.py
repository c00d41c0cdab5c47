"""A client of paho's with login and certificates."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgesam_rt.errors import ConfigError
from edgesam_rt.paths import user_path
from edgesam_rt.sinks.addresses import Broker

_RETRY_S = 1, 30  # first and longest wait between two tries


@dataclass(frozen=True)
class Credentials:
    """Who we are, and whom we trust; None where nothing was said."""

    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


def make_client(who: str, broker: Broker, credentials: Credentials, client_id: str) -> Client:
    """Return a client that is not connected yet.

    Raises:
        ConfigError: a certificate cannot be read.
    """
    client = Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv311
    )
    client.reconnect_delay_set(*_RETRY_S)
    if credentials.user is not None:
        client.username_pw_set(credentials.user, credentials.password)
    if broker.has_tls:
        client.tls_set_context(_context(who, credentials))
    return client


def _context(who: str, credentials: Credentials) -> ssl.SSLContext:
    """Encryption that checks the broker's name and certificate."""
    ca, cert, key = (
        None if text is None else str(user_path(text))
        for text in (credentials.ca_file, credentials.cert_file, credentials.key_file)
    )
    missing = [path for path in (ca, cert, key) if path is not None and not Path(path).is_file()]
    if missing:
        raise ConfigError(
            f"{who}: {missing[0]}: no such file. ca_file, cert_file and key_file "
            "name files in PEM form."
        )
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert is not None:
            context.load_cert_chain(cert, key)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{who}: a certificate or key cannot be used: {error}.") from error
    return context
