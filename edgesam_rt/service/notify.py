"""What a service tells systemd: `sd_notify` in a few lines.

Source: sd_notify(3), "Notes": one datagram of NAME=VALUE lines to the socket in NOTIFY_SOCKET.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

_USEC_PER_S = 1e6
log = logging.getLogger(__name__)


class Notifier:
    """Sends to a datagram socket; what cannot be sent is logged and stops nothing.

    Args:
        address: path of the socket; a leading "@" stands for the NUL byte of an abstract name.
    """

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def send(self, **fields: str | int) -> None:
        """Send fields in one datagram: `send(READY=1, STATUS="12 results per second")`."""
        lines = "\n".join(f"{name}={_one_line(value)}" for name, value in fields.items())
        try:
            self._socket.sendto(lines.encode(), self._address)
        except OSError as error:
            log.warning("systemd could not be told %s: %s", ", ".join(fields), error.strerror)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def notifier_of(environment: Mapping[str, str] = os.environ) -> Notifier | None:
    """Return what tells systemd, or None where it did not start this process."""
    address = environment.get("NOTIFY_SOCKET", "")
    return Notifier(address) if address[:1] in ("/", "@") and len(address) > 1 else None


def watchdog_interval_s(environment: Mapping[str, str] = os.environ) -> float | None:
    """Return how long systemd waits for a sign of life, or None if it does not wait for ours."""
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID")
    if not usec.isdecimal() or int(usec) == 0 or pid not in (None, str(os.getpid())):
        return None
    return int(usec) / _USEC_PER_S


def _one_line(value: str | int) -> str:
    return str(value).replace("\n", " ")
