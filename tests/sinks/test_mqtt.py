"""`mqtt:` against a real broker: killed, frozen, encrypted, with logins."""

from __future__ import annotations

import gc
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.ports import free_port
from edgesam_rt.errors import ConfigError, ResultsLost
from edgesam_rt.sinks import open_sink, parse_sink
from edgesam_rt.sinks.base import RunInfo, Sink
from tests.result_doubles import make_result
from tests.sinks.broker import (
    PROGRAM,
    WHY_NO_BROKER,
    Broker,
    Listener,
    running,
    wait_for,
)

needs_broker = pytest.mark.skipif(PROGRAM is None, reason=WHY_NO_BROKER)
RESULT, STATUS = "/results", "/status"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with running(Broker(tmp_path)) as started:
        yield started


def opened(text: str) -> Sink:
    return open_sink(parse_sink(text), RunInfo())


def ids(listener: Listener) -> list[int]:
    return [json.loads(payload)["frame_id"] for payload in listener.payloads(RESULT)]


def state(sink: Sink) -> str:
    return str(sink._link.state)  # type: ignore[attr-defined]


def write_counting(sink: Sink, frame_id: int) -> int:
    """Write one; returns how many were lost by that."""
    try:
        sink.write(make_result(frame_id))
    except ResultsLost as error:
        return error.count
    return 0


@needs_broker
def test_results_arrive_as_json_and_the_status_is_kept(broker: Broker) -> None:
    listener = Listener(broker.port, "gate/#")
    sink = opened(f"mqtt://127.0.0.1:{broker.port}/gate")
    for i in range(3):
        sink.write(make_result(i))
    sink.close()
    sink.close()
    wait_for(lambda: len(listener.heard) == 5, "messages")
    assert listener.payloads(STATUS) == [b"online", b"offline"]
    rows = [json.loads(payload) for payload in listener.payloads(RESULT)]
    assert [row["frame_id"] for row in rows] == [0, 1, 2]
    assert rows[0]["objects"][0]["rle"]["size"] == [120, 160]
    late = Listener(broker.port, "gate/#")
    wait_for(lambda: late.heard, "kept status")
    assert late.heard == [("gate/status", b"offline", True)]
    late.close()
    listener.close()


@needs_broker
def test_boxes_alone_leave_the_masks_out(broker: Broker) -> None:
    listener = Listener(broker.port, "#")
    sink = opened(f"mqtt:mqtt://127.0.0.1:{broker.port}?masks=boxes&qos=1")
    sink.write(make_result())
    sink.close()
    wait_for(lambda: ids(listener), "result")
    assert "rle" not in json.loads(listener.payloads("edgesam/results")[0])["objects"][0]
    listener.close()


@needs_broker
def test_the_broker_says_offline_for_a_process_that_was_killed(broker: Broker) -> None:
    listener = Listener(broker.port, "+/status")
    code = (
        "import time\nfrom edgesam_rt.sinks import open_sink, parse_sink\n"
        "from edgesam_rt.sinks.base import RunInfo\n"
        f"sink = open_sink(parse_sink('mqtt://127.0.0.1:{broker.port}/gate'), RunInfo())\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    wait_for(lambda: listener.payloads(STATUS) == [b"online"], "online")
    process.kill()
    process.wait()
    wait_for(lambda: listener.payloads(STATUS) == [b"online", b"offline"], "last will")
    listener.close()


@needs_broker
def test_a_broker_that_comes_later_gets_what_waited(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    sink = opened(f"mqtt://127.0.0.1:{broker.port}/gate?qos=1")
    for i in range(5):
        sink.write(make_result(i))
    wait_for(lambda: "cannot connect" in state(sink), "a first failure")
    assert "Connection refused" in state(sink)
    with running(broker):
        listener = Listener(broker.port, "#")
        wait_for(lambda: ids(listener) == [0, 1, 2, 3, 4], "what waited")
        sink.close()
        listener.close()


@needs_broker
def test_qos_1_loses_nothing_within_the_queue_over_a_restart(tmp_path: Path) -> None:
    kept = f"allow_anonymous true\npersistence true\npersistence_location {tmp_path}/\n"
    with running(Broker(tmp_path, kept)) as broker:
        listener = Listener(broker.port, "gate/#", keeps="me")
        sink = opened(f"mqtt://127.0.0.1:{broker.port}/gate?qos=1&queue=50")
        wait_for(lambda: state(sink) == "connected", "connection")
        lost = sum(write_counting(sink, i) for i in range(5))
        broker.stop()
        lost += sum(write_counting(sink, i) for i in range(5, 45))
        broker.start()
        wait_for(lambda: set(ids(listener)) == set(range(45)), "all results")
        sink.close()
        listener.close()
    assert lost == 0
    once = list(dict.fromkeys(ids(listener)))
    assert once == sorted(once), "some may come twice, none out of order"


@needs_broker
def test_a_frozen_broker_stops_nobody_and_the_oldest_go(broker: Broker) -> None:
    sink = opened(f"mqtt://127.0.0.1:{broker.port}/gate?qos=1&queue=10")
    listener = Listener(broker.port, "gate/#")
    wait_for(lambda: state(sink) == "connected", "connection")
    broker.freeze()
    lost, slowest = 0, 0.0
    for i in range(100):
        began = time.perf_counter()
        lost += write_counting(sink, i)
        slowest = max(slowest, time.perf_counter() - began)
    assert slowest < 0.5
    broker.thaw()
    wait_for(lambda: 99 in ids(listener), "the newest")
    sink.close()
    wait_for(lambda: b"offline" in listener.payloads(STATUS), "goodbye")
    assert 70 <= lost < 100
    assert len(ids(listener)) == 100 - lost, "every result arrived or was counted"
    listener.close()


@needs_broker
@pytest.mark.slow
def test_a_broker_frozen_for_long_is_left_and_found_again(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgesam_rt.sinks.mqtt_link.KEEPALIVE_S", 1)
    sink = opened(f"mqtt://127.0.0.1:{broker.port}/gate?qos=1")
    wait_for(lambda: state(sink) == "connected", "connection")
    broker.freeze()
    wait_for(lambda: "connection lost" in state(sink), "silence noticed")
    broker.thaw()
    wait_for(lambda: state(sink) == "connected", "connection again")
    sink.close()


@needs_broker
@pytest.mark.slow
def test_closing_beside_a_frozen_broker_ends_and_counts_what_is_left(broker: Broker) -> None:
    sink = opened(f"mqtt://127.0.0.1:{broker.port}/gate?qos=1")
    wait_for(lambda: state(sink) == "connected", "connection")
    broker.freeze()
    for i in range(4):
        sink.write(make_result(i))
    began = time.monotonic()
    with pytest.raises(ResultsLost) as caught:
        sink.close()
    assert time.monotonic() - began < 12
    assert caught.value.count == 4


def test_closing_without_a_broker_is_quick_and_counts_what_is_left() -> None:
    sink = opened(f"mqtt://127.0.0.1:{free_port()}/gate")
    for i in range(4):
        sink.write(make_result(i))
    began = time.monotonic()
    with pytest.raises(ResultsLost) as caught:
        sink.close()
    assert time.monotonic() - began < 5
    assert caught.value.count == 4


@needs_broker
def test_a_login_is_used_and_never_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    passwords = tmp_path / "passwords"
    command = ["mosquitto_passwd", "-c", "-b", str(passwords), "me", "s3cret"]
    subprocess.run(command, check=True, capture_output=True)
    extra = f"allow_anonymous false\npassword_file {passwords}\n"
    with running(Broker(tmp_path, extra)) as broker:
        listener = Listener(broker.port, "#", user="me", password="s3cret")
        at = f"127.0.0.1:{broker.port}/a"
        wrong = opened(f"mqtt://me:wr0ng@{at}")
        wait_for(lambda: "refused by the broker" in state(wrong), "refusal")
        (tmp_path / "login").write_text("me:s3cret\n")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        for sink in (opened(f"mqtt://me:s3cret@{at}"), opened(f"mqtt://{at}?login_file=login")):
            sink.write(make_result())
            sink.close()
            assert "s3cret" not in sink.name
        wait_for(lambda: len(ids(listener)) == 2, "results")
        wrong.close()
        listener.close()
    assert "***@127.0.0.1" in caplog.text
    assert "s3cret" not in caplog.text
    assert "wr0ng" not in caplog.text + repr(parse_sink("mqtt://me:wr0ng@host/a"))


def make_certificates(folder: Path) -> None:
    """An authority of its own, and a broker's certificate of it for localhost."""
    commands = (
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca",
        "req -newkey rsa:2048 -nodes -keyout broker.key -out broker.csr -subj /CN=localhost",
        "x509 -req -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out broker.pem -days 2 "
        "-extfile names",
    )
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for command in commands:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


@needs_broker
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")  # paho leaves it to gc
def test_an_encrypted_connection_needs_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    extra = (
        f"allow_anonymous true\ncafile {tmp_path}/ca.pem\ncertfile {tmp_path}/broker.pem\n"
        f"keyfile {tmp_path}/broker.key\n"
    )
    with running(Broker(tmp_path, extra)) as broker:
        stranger = opened(f"mqtts://localhost:{broker.port}/a")
        wait_for(lambda: "certificate verify failed" in state(stranger), "refusal")
        stranger.close()
        gc.collect()
        listener = Listener(broker.port, "#", ca_file=tmp_path / "ca.pem")
        sink = opened(f"mqtts://localhost:{broker.port}/a?ca_file={tmp_path}/ca.pem&qos=1")
        sink.write(make_result(7))
        sink.close()
        wait_for(lambda: ids(listener) == [7], "result")
        listener.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "mqtt:localhost",
            "an address begins with mqtt:// or mqtts://. Expected mqtt:mqtt://USER@",
        ),
        ("mqtt:http://h/x", "an address begins with mqtt://"),
        ("mqtt://", "there is no host in it"),
        ("mqtt://h:99999/a", "Port out of range"),
        ("mqtt://h:0/a", "a port is a number from 1 to 65535"),
        ("mqtt://h/a/+/b", r"a topic prefix has no \+ or #"),
        ("mqtt://h?qos=2", "option qos: expected 0 or 1, got '2'"),
        ("mqtt://h?mask=rle", "Did you mean 'masks'?"),
        (
            "mqtt://u:pw@h?queue=0",
            r"'mqtt://\*\*\*@h\?queue=0': option queue: expected a whole",
        ),
    ],
)
def test_a_wrong_address_is_said_before_anything_runs(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_sink(text)


def test_a_certificate_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.pem: no such file\. ca_file, cert_file and"):
        opened(f"mqtts://localhost/a?ca_file={tmp_path}/nowhere.pem")
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"a certificate or key cannot be used"):
        opened(f"mqtts://localhost/a?ca_file={tmp_path}/ca.pem")
