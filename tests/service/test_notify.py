"""The protocol, against a real socket."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from edgesam_rt.service.notify import Notifier, notifier_of, watchdog_interval_s
from tests.service.listening import Listening, listening


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_fields_arrive_in_one_datagram(kind: str, tmp_path: Path) -> None:
    address = f"@edgesam-{tmp_path}" if kind == "abstract" else str(tmp_path / "socket")
    with listening(address) as systemd, closing(Notifier(address)) as notifier:
        notifier.send(READY=1, STATUS="12 results per second")
        notifier.send(WATCHDOG=1)
        assert systemd.heard() == [
            {"READY": "1", "STATUS": "12 results per second"},
            {"WATCHDOG": "1"},
        ]


def test_a_value_of_two_lines_cannot_be_taken_for_another_field(
    notifier: Notifier, systemd: Listening
) -> None:
    notifier.send(STATUS="camera lost:\nREADY=1")
    assert systemd.heard() == [{"STATUS": "camera lost: READY=1"}]


def test_a_socket_that_went_away_is_logged_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Notifier(str(tmp_path / "none"))) as notifier:
        notifier.send(READY=1)
    assert "could not be told READY" in caplog.text


@pytest.mark.parametrize("address", ["", "@", "/", "relative", "tcp:1"])
def test_without_a_usable_address_there_is_nobody_to_tell(address: str) -> None:
    assert notifier_of({"NOTIFY_SOCKET": address} if address else {}) is None


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_waits_for_us_alone(
    environment: dict[str, str], interval_s: float | None
) -> None:
    assert watchdog_interval_s(environment) == interval_s
