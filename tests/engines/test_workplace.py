"""The folder that a bundle is made in: one build at a time, and what killed ones leave."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgesam_engines.workplace import swap, workplace
from edgesam_rt.errors import ConfigError, SinkError

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from pathlib import Path
from edgesam_engines.workplace import workplace
with workplace(Path(sys.argv[1])) as folder:
    (folder / "half.onnx").write_bytes(b"half")
    print("in", flush=True)
    time.sleep(60)
"""


def holding(out: Path) -> subprocess.Popen[str]:
    """Another process in the middle of a build."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "engines")))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    return process


def test_a_second_build_of_the_same_bundle_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    with holding(out) as other:
        with (
            pytest.raises(ConfigError, match="another build makes .*bundle just now"),
            workplace(out),
        ):
            pass
        assert [p.name for p in (tmp_path / ".bundle.building").iterdir()] == ["half.onnx"]
        with workplace(tmp_path / "elsewhere"):
            pass
        other.kill()


def test_what_a_killed_build_left_is_swept_by_the_next_one(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    with holding(out) as other:
        other.send_signal(signal.SIGKILL)
    assert not out.exists()
    assert (tmp_path / ".bundle.building" / "half.onnx").exists()
    with workplace(out) as folder:
        assert list(folder.iterdir()) == []
        (folder / "engine.onnx").write_bytes(b"whole")
        swap(folder, out)
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]
    assert (out / "engine.onnx").read_bytes() == b"whole"


def test_a_bundle_that_was_put_aside_when_the_build_was_killed_comes_back(tmp_path: Path) -> None:
    aside = tmp_path / ".bundle.old"
    aside.mkdir()
    (aside / "engine.onnx").write_bytes(b"old")
    with workplace(tmp_path / "bundle"):
        pass
    assert (tmp_path / "bundle" / "engine.onnx").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_an_old_bundle_that_was_to_go_goes(tmp_path: Path) -> None:
    for name in ("bundle", ".bundle.old"):
        (tmp_path / name).mkdir()
    with workplace(tmp_path / "bundle"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("number", "told"), [(errno.ENOSPC, "Free some space"), (errno.EROFS, "where you may write")]
)
def test_no_room_is_said_with_what_stays(tmp_path: Path, number: int, told: str) -> None:
    with pytest.raises(SinkError, match=f"Nothing was packed.*{told}"), workplace(tmp_path / "b"):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file sizes")
def test_a_disk_that_is_full_leaves_the_old_bundle(tmp_path: Path) -> None:
    import resource

    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "engine.onnx").write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, limits[1]))
    try:
        with pytest.raises(SinkError, match="b is as it was"), workplace(tmp_path / "b") as folder:
            (folder / "engine.onnx").write_bytes(bytes(1 << 13))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "b" / "engine.onnx").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_a_file_in_the_way_of_the_folders_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with (
        pytest.raises(ConfigError, match=r"notes\.txt is a file"),
        workplace(tmp_path / "notes.txt" / "bundle"),
    ):
        pass
