from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgesam_rt.drawing import overlay
from edgesam_rt.errors import ConfigError, SinkError
from edgesam_rt.records import Frame
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.overlay import OverlaySink
from edgesam_rt.sinks.video import CODECS, VideoFile, letterbox
from tests.result_doubles import make_pixels, make_result
from tests.unit.sinks.readers import fps_of, frames_in

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("image_hw", [(120, 160), (121, 161), (1, 1), (5, 40)])
def test_every_format_gives_the_pictures_back(
    suffix: str, image_hw: tuple[int, int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    video = VideoFile(tmp_path / f"x{suffix}", 12.5, "test")
    pictures = [make_pixels(image_hw, i) for i in range(6)]
    for picture in pictures:
        video.add(picture)
    video.close()
    assert capfd.readouterr() == ("", "")
    frames = frames_in(tmp_path / f"x{suffix}")
    assert len(frames) == 6
    assert fps_of(tmp_path / f"x{suffix}") == pytest.approx(12.5)
    for picture, frame in zip(pictures, frames, strict=True):
        expected = letterbox(picture, (frame.shape[1], frame.shape[0])).astype(int)
        assert np.abs(expected - frame).mean() < 8


def test_a_picture_of_another_shape_is_letterboxed(tmp_path: Path) -> None:
    video = VideoFile(tmp_path / "x.avi", 25, "test")
    video.add(np.full((100, 200, 3), 200, np.uint8))
    video.add(np.full((300, 200, 3), 200, np.uint8))
    video.add(np.full((10, 20, 3), 200, np.uint8))
    video.close()
    first, tall, small = frames_in(tmp_path / "x.avi")
    assert first.shape == tall.shape == (100, 200, 3)
    assert np.abs(tall[50, 80:120].astype(int) - 200).max() < 20
    assert tall[:, :60].max() < 50
    assert tall[:, 140:].max() < 50
    assert np.abs(small.astype(int) - 200).max() < 20


def test_a_huge_picture_is_scaled_down(tmp_path: Path) -> None:
    video = VideoFile(tmp_path / "x.mp4", 25, "test")
    video.add(np.zeros((100, 12000, 3), np.uint8))
    video.close()
    assert frames_in(tmp_path / "x.mp4")[0].shape == (34, 4096, 3)


def rate(tmp_path: Path, info: RunInfo, fps: float | None = None) -> float:
    sink = OverlaySink(tmp_path / "x.avi", info, fps=fps)
    sink.write(make_result())
    sink.close()
    return fps_of(tmp_path / "x.avi")


def test_the_rate_is_the_option_or_the_sources_or_ten(tmp_path: Path) -> None:
    assert rate(tmp_path, RunInfo(fps=12.5), fps=5.0) == pytest.approx(5)
    assert rate(tmp_path, RunInfo(fps=12.5)) == pytest.approx(12.5)
    for unknown in (None, 0.0, float("nan"), float("inf"), -1.0):
        assert rate(tmp_path, RunInfo(fps=unknown)) == pytest.approx(10)


def test_a_live_video_keeps_the_worlds_time(tmp_path: Path) -> None:
    captured_s = [100.0, 100.1, 100.2, 100.6, 100.61, 100.62, 101.0, 500.0, 500.1]
    sink = OverlaySink(tmp_path / "x.avi", RunInfo(fps=10.0, live=True))
    for i, at in enumerate(captured_s):
        frame = Frame(i, make_pixels((120, 160)), round(at * 1e9), f"f{i}")
        sink.write(make_result(frame=frame))
    sink.close()
    assert len(frames_in(tmp_path / "x.avi")) == 11 + 2  # the pause of 399 s is cut short


def test_the_overlay_in_the_video_is_the_drawn_one(tmp_path: Path) -> None:
    result = make_result(image_hw=(240, 320))
    sink = OverlaySink(tmp_path / "x.avi", RunInfo(fps=25))
    sink.write(result)
    sink.close()
    (frame,) = frames_in(tmp_path / "x.avi")
    drawn = overlay.draw(result)
    assert frame.shape[0] - drawn.shape[0] in (0, 1)
    assert np.abs(frame[: len(drawn)].astype(int) - drawn).mean() < 8


def test_many_files_opened_at_once_leave_stderr_as_it_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def write(number: int) -> None:
        video = VideoFile(tmp_path / f"{number}.webm", 25, "test")
        video.add(make_pixels((32, 32)))
        video.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


def test_nothing_is_added_to_a_finished_file(tmp_path: Path) -> None:
    video = VideoFile(tmp_path / "x.avi", 25, "test")
    video.add(make_pixels((120, 160)))
    video.close()
    with pytest.raises(SinkError, match="is finished"):
        video.add(make_pixels((120, 160)))
    assert len(frames_in(tmp_path / "x.avi")) == 1


def test_a_damaged_file_is_noticed(tmp_path: Path) -> None:
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from edgesam_rt.errors import SinkError\n"
        "from edgesam_rt.sinks.video import VideoFile\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "video = VideoFile(Path(sys.argv[1]), 25, 'overlay:x')\n"
        "for i in range(40):\n"
        "    video.add(np.random.default_rng(i).integers(0, 255, (120, 160, 3), np.uint8))\n"
        "try:\n"
        "    video.close()\n"
        "except SinkError as error:\n"
        "    sys.exit(str(error))\n"
    )
    for suffix in CODECS:
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"x{suffix}")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1, suffix
        assert done.stderr.splitlines()[-1].startswith("overlay:x: "), suffix
        assert "is damaged: 40 frames were written" in done.stderr, suffix


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    made = (
        mount
        and os.geteuid() == 0
        and subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        )
    )
    if not made or made.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(video: VideoFile) -> None:
    """Add noise, which no codec makes small, without end."""
    for i in itertools.count():
        video.add(np.random.default_rng(i).integers(0, 255, (240, 320, 3), np.uint8))


@pytest.mark.parametrize("suffix", CODECS)
def test_a_video_on_a_disk_that_fills_up_plays_to_its_last_frame(
    suffix: str, small_disk: Path
) -> None:
    path = small_disk / f"x{suffix}"
    video = VideoFile(path, 25, "overlay:x")
    with pytest.raises(SinkError, match=r"MB are left on the disk\. The \d+ frames before") as why:
        fill(video)
    video.close()
    assert f"The {video.frames} frames before" in str(why.value)
    assert len(frames_in(path)) == video.frames > 20


def test_a_full_disk_at_the_start_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    video = VideoFile(tmp_path / "x.mp4", 25, "overlay:x")
    with pytest.raises(SinkError, match=r"only 0 MB are left on the disk\. Free some space"):
        video.add(make_pixels((120, 160)))
    video.close()
    assert not list(tmp_path.iterdir())


def test_a_folder_called_like_a_video_gets_pictures(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").mkdir()
    sink = OverlaySink(tmp_path / "x.mp4")
    sink.write(make_result())
    sink.close()
    assert (tmp_path / "x.mp4" / "f0.png").exists()
    with pytest.raises(ConfigError, match="is a folder"):
        VideoFile(tmp_path / "x.mp4", 25, "test")


def test_a_place_that_cannot_be_written_is_said_before_the_first_frame() -> None:
    with pytest.raises(SinkError, match=r"overlay:/proc/nowhere/x\.mp4: cannot write"):
        OverlaySink(Path("/proc/nowhere/x.mp4"))
