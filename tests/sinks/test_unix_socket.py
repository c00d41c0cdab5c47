"""`socket:` with real readers: Python, C and a shell; slow ones, too many, none."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from edgesam_rt.errors import ConfigError, SinkError
from edgesam_rt.sinks import open_sink, parse_sink
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.unix_socket import SocketSink
from tests.result_doubles import make_result
from tests.sinks.broker import wait_for

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def opened(path: Path, options: str = "") -> SocketSink:
    sink = open_sink(parse_sink(f"socket:{path}{options}"), RunInfo())
    assert isinstance(sink, SocketSink)
    return sink


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[SocketSink]:
    made = opened(tmp_path / "run" / "feed.sock")
    yield made
    made.close()


def connect(sink: SocketSink, readers: int = 1) -> BinaryIO:
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(10)
    line.connect(str(sink._path))
    wait_for(lambda: sink.readers == readers, "reader")
    with line:
        return line.makefile("rb")


def read(feed: BinaryIO) -> tuple[dict[str, Any], bytes]:
    line = feed.readline()
    assert line.startswith(b'{"feed":1,"payload":')
    row: dict[str, Any] = json.loads(line)
    return row, feed.read(row["payload"])


def test_every_reader_gets_every_result(sink: SocketSink) -> None:
    feeds = [connect(sink, 1), connect(sink, 2)]
    for i in range(3):
        sink.write(make_result(i))
    sink.close()
    for feed in feeds:
        assert read(feed)[0]["hello"] == "edgesam_rt"
        rows = [read(feed)[0] for _ in range(3)]
        assert [row["frame_id"] for row in rows] == [0, 1, 2]
        assert rows[0]["objects"][0]["rle"]["size"] == [120, 160]
        assert feed.read() == b""


def test_a_slow_reader_loses_its_own_results_and_is_told_how_many(tmp_path: Path) -> None:
    sink = opened(tmp_path / "feed.sock", "?queue=4")
    slow, quick = connect(sink, 1), connect(sink, 2)
    assert "hello" in read(quick)[0]
    for i in range(600):
        sink.write(make_result(i))
        assert read(quick)[0]["frame_id"] == i
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(slow.read)
        sink.close()
        rows = [json.loads(line) for line in rest.result(20).splitlines()]
    seen = [row["frame_id"] for row in rows if "frame_id" in row]
    assert len(seen) < 600
    assert seen[-1] == 599
    assert len(seen) + sum(row["lost"] for row in rows) == 600
    for before, row in zip([-1, *seen], rows[1:], strict=False):
        assert row["frame_id"] == before + 1 + row["lost"]


def test_a_reader_that_reads_nothing_does_not_keep_the_run_from_ending(tmp_path: Path) -> None:
    sink = opened(tmp_path / "feed.sock")
    feed = connect(sink)
    for i in range(300):
        sink.write(make_result(i))
    sink.close()
    feed.close()


def test_readers_come_and_go(sink: SocketSink) -> None:
    sink.write(make_result(0))
    connect(sink).close()
    wait_for(lambda: sink.write(make_result(1)) or sink.readers == 0, "reader gone")
    feed = connect(sink)
    sink.write(make_result(2))
    assert [read(feed)[0].get("frame_id") for _ in range(2)] == [None, 2]
    feed.close()


def test_one_reader_too_many_is_let_go(tmp_path: Path) -> None:
    sink = opened(tmp_path / "feed.sock", "?readers=1")
    first = connect(sink)
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(10)
        line.connect(str(tmp_path / "feed.sock"))
        assert line.recv(1) == b""
    sink.write(make_result(0))
    assert read(first)[0]["feed"] == 1
    sink.close()
    first.close()


def test_bits_are_the_masks(tmp_path: Path) -> None:
    sink = opened(tmp_path / "feed.sock", "?masks=bits")
    feed = connect(sink)
    result = make_result(0)
    sink.write(result)
    read(feed)
    row, payload = read(feed)
    assert "rle" not in row["objects"][0]
    for object_id, mask in zip(result.object_ids, result.masks.masks, strict=True):
        found, left, top, right, bottom = struct.unpack("!5i", payload[:20])
        stride, height = -(-(right - left) // 8), bottom - top
        rows = np.frombuffer(payload[20 : 20 + stride * height], np.uint8).reshape(height, stride)
        payload = payload[20 + stride * height :]
        again = np.zeros_like(mask)
        again[top:bottom, left:right] = np.unpackbits(rows, axis=1)[:, : right - left]
        assert (found, again.tolist()) == (object_id, mask.tolist())
    assert payload == b""
    sink.close()
    feed.close()


def test_only_owner_and_group_may_connect(sink: SocketSink) -> None:
    mode = sink._path.stat().st_mode
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o660)


def test_the_socket_is_taken_away_at_the_end(sink: SocketSink) -> None:
    sink.close()
    assert not sink._path.exists()


def test_the_socket_of_a_killed_run_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "feed.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    sink = opened(path)
    feed = connect(sink)
    assert "hello" in read(feed)[0]
    sink.close()
    feed.close()


def test_a_socket_that_another_run_serves_is_left_alone(sink: SocketSink) -> None:
    with pytest.raises(SinkError, match=r"another run serves at .*feed\.sock\. Stop it, or name"):
        opened(sink._path)
    feed = connect(sink)
    assert "hello" in read(feed)[0]
    feed.close()


def test_a_file_at_the_path_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="is there and is no socket"):
        opened(path)
    assert path.read_text() == "mine"


def test_a_path_too_long_for_a_socket_is_said_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="a socket's path has at most 107 bytes"):
        parse_sink(f"socket:/tmp/{'x' * 110}")


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here: apt-get install gcc")
def test_the_example_in_c_reads_masks(tmp_path: Path) -> None:
    program = tmp_path / "read_feed"
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-o", program]
    subprocess.run([*command, EXAMPLES / "read_feed.c"], check=True)
    sink = opened(tmp_path / "feed.sock", "?masks=bits")
    reader = subprocess.Popen([program, sink._path], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: sink.readers == 1, "reader")
    result = make_result(5, boxes=((20, 30, 90, 100),))
    sink.write(result)
    sink.close()
    out, _ = reader.communicate(timeout=20)
    y, x = np.nonzero(result.masks.masks[0])
    box = ",".join(str(int(v)) for v in result.masks.boxes_xyxy[0])
    middle = f"{x.sum() // len(x)},{y.sum() // len(y)}"
    assert out.splitlines() == [
        "frame 5, 0 lost before it",
        f"  object 1 box {box} area {len(x)} middle {middle}",
    ]


def test_the_example_in_python_reads_results(sink: SocketSink) -> None:
    command = [sys.executable, EXAMPLES / "read_feed.py", sink._path]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: sink.readers == 1, "reader")
    sink.write(make_result(3, boxes=()))
    sink.close()
    out, _ = reader.communicate(timeout=20)
    assert out == "3 []\n"


@pytest.mark.skipif(
    not (shutil.which("socat") and shutil.which("jq")),
    reason="no socat or no jq here: apt-get install socat jq",
)
def test_the_example_for_a_shell_reads_results(sink: SocketSink) -> None:
    command = [EXAMPLES / "read_feed.sh", sink._path]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: sink.readers == 1, "reader")
    sink.write(make_result(3))
    sink.close()
    out, _ = reader.communicate(timeout=20)
    assert out == "3 2\n"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = descriptors()
    for _ in range(5):
        sink = opened(tmp_path / "feed.sock")
        feed = connect(sink)
        sink.write(make_result())
        sink.close()
        feed.close()
    assert descriptors() <= before
