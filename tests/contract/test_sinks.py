"""Every sink keeps the contract."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from edgesam_rt.sinks.base import Sink
from edgesam_rt.sinks.memory import MemorySink
from edgesam_rt.sinks.table import SINKS
from tests.contract.sink_contract import SinkContract, WritingSinkContract
from tests.sinks.broker import PROGRAM, WHY_NO_BROKER, Broker, Listener, running, wait_for
from tests.unit.sinks.readers import frames_in, picture_in


def no_space(*_: Any, **__: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TestNull(SinkContract):
    keeps_results = False

    @pytest.fixture
    def spec(self) -> str:
        return "null:"


class TestMemory(SinkContract):
    @pytest.fixture
    def spec(self) -> str:
        return "memory:"

    def read_back(self, sink: Sink, folder: Path) -> int:
        assert isinstance(sink, MemorySink)
        assert sink.is_closed
        return len(sink.results)


class TestJsonl(WritingSinkContract):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> str:
        return f"jsonl:{tmp_path}/new/out.jsonl"

    def read_back(self, sink: Sink, folder: Path) -> int:
        lines = (folder / "new/out.jsonl").read_text().splitlines()
        return len([json.loads(line) for line in lines])

    def break_writes(self, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
        write, calls = os.write, iter((True, False))

        def cut_off(fd: int, data: bytes) -> int:
            return write(fd, data[:50]) if next(calls) else no_space()

        monkeypatch.setattr(os, "write", cut_off)


class TestMasks(WritingSinkContract):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> str:
        return f"masks:{tmp_path}/new/masks"

    def read_back(self, sink: Sink, folder: Path) -> int:
        paths = list((folder / "new/masks").iterdir())
        for path in paths:
            assert picture_in(path).ndim == 2
        return len({path.name.split("_")[0] for path in paths})

    def break_writes(self, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Path, "write_bytes", no_space)


class TestOverlayFolder(TestMasks):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> str:
        return f"overlay:{tmp_path}/new/pictures"

    def read_back(self, sink: Sink, folder: Path) -> int:
        paths = list((folder / "new/pictures").iterdir())
        return len([picture_in(path) for path in paths])


class TestOverlayPicture(TestOverlayFolder):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> str:
        return f"overlay:{tmp_path}/new/pictures/one.png"


class TestSheetFolder(TestOverlayFolder):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> str:
        return f"sheet:{tmp_path}/new/pictures"


class TestSheetPicture(TestOverlayFolder):
    @pytest.fixture
    def spec(self, tmp_path: Path) -> str:
        return f"sheet:{tmp_path}/new/pictures/one.jpg"


class VideoContract(WritingSinkContract):
    suffix = ""

    @pytest.fixture
    def spec(self, tmp_path: Path) -> str:
        return f"overlay:{tmp_path}/new/out{self.suffix}?fps=12.5"

    def read_back(self, sink: Sink, folder: Path) -> int:
        path = folder / f"new/out{self.suffix}"
        return len(frames_in(path)) if path.exists() else 0

    def break_writes(self, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = shutil.disk_usage("/")._replace(free=1000)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


class TestOverlayMp4(VideoContract):
    suffix = ".mp4"


class TestOverlayWebm(VideoContract):
    suffix = ".webm"


class TestOverlayAvi(VideoContract):
    suffix = ".avi"


class TestOverlayMkv(VideoContract):
    suffix = ".MKV"


class TestMjpeg(SinkContract):
    keeps_results = False  # tests/sinks/test_mjpeg.py has clients

    @pytest.fixture
    def spec(self) -> str:
        return "mjpeg:127.0.0.1:0?fps=30"


class TestSocket(SinkContract):
    keeps_results = False  # tests/sinks/test_unix_socket.py has readers

    @pytest.fixture
    def spec(self, tmp_path: Path) -> str:
        return f"socket:{tmp_path}/new/feed.sock?masks=bits"


@pytest.mark.skipif(PROGRAM is None, reason=WHY_NO_BROKER)
class TestMqtt(SinkContract):
    keeps_results = True

    @pytest.fixture
    def broker(self, tmp_path: Path) -> Iterator[Broker]:
        with running(Broker(tmp_path)) as started:
            yield started

    @pytest.fixture
    def listener(self, broker: Broker) -> Iterator[Listener]:
        listener = Listener(broker.port, "#")
        yield listener
        listener.close()

    @pytest.fixture
    def spec(self, broker: Broker, listener: Listener) -> str:
        self._heard = listener
        return f"mqtt://127.0.0.1:{broker.port}/gate?qos=1&masks=boxes"

    def test_no_result_at_all_leaves_nothing_broken(self, sink: Sink, tmp_path: Path) -> None:
        wait_for(lambda: b"online" in self._heard.payloads("/status"), "hello")  # else no goodbye
        super().test_no_result_at_all_leaves_nothing_broken(sink, tmp_path)

    def read_back(self, sink: Sink, folder: Path) -> int:
        wait_for(lambda: b"offline" in self._heard.payloads("/status"), "goodbye")
        return len(self._heard.payloads("/results"))


def test_every_row_of_the_table_is_proved_here() -> None:
    proved = {name.lower() for name in globals() if name.startswith("Test")}
    for scheme in SINKS:
        assert any(name.startswith(f"test{scheme}") for name in proved), scheme


def test_the_table_is_sorted_and_whole() -> None:
    assert list(SINKS) == sorted(SINKS)
    for row in SINKS.values():
        assert row.help
        assert bool(row.needs) == bool(row.missing)
