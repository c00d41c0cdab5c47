"""Pictures as a source: their order, their names, and what happens at a broken one."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgesam_rt.cameras import open_camera, parse_source
from edgesam_rt.cameras.images import find_pictures, natural_key, unique_stems
from edgesam_rt.errors import CameraError, ConfigError, EndOfStream


def add(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(np.full((4, 6, 3), 9, np.uint8)).save(path, "PNG")


def names_in(target: object) -> list[str]:
    return [path.name for path in find_pictures(str(target))]


class TestFinding:
    def test_a_folder_gives_its_pictures_in_natural_order(self, tmp_path: Path) -> None:
        add(tmp_path, "img10.png", "img9.PNG", "b.jpeg", "A.tiff")
        add(tmp_path, "sub/other.png", ".hidden.png")
        (tmp_path / "notes.txt").write_text("x")
        assert names_in(tmp_path) == ["A.tiff", "b.jpeg", "img9.PNG", "img10.png"]

    def test_a_pattern_gives_all_that_matches(self, tmp_path: Path) -> None:
        add(tmp_path, "a1.png", "a2.png", "b1.png", "sub/a3.png", "raw.dat")
        assert names_in(tmp_path / "a*.png") == ["a1.png", "a2.png"]
        assert names_in(tmp_path / "**" / "a*.png") == ["a1.png", "a2.png", "a3.png"]
        assert names_in(tmp_path / "*.dat") == ["raw.dat"]

    def test_an_existing_path_with_brackets_is_no_pattern(self, tmp_path: Path) -> None:
        add(tmp_path, "photo [1].png", "photo 1.png")
        assert names_in(tmp_path / "photo [1].png") == ["photo [1].png"]

    def test_a_folder_without_pictures_says_what_was_looked_for(self, tmp_path: Path) -> None:
        for i in range(3):
            (tmp_path / f"{i}.HEIC").write_bytes(b"x")
        with pytest.raises(
            ConfigError, match=r"without pictures. Looked for .jpg .*found 3 x .heic"
        ):
            find_pictures(str(tmp_path))

    def test_an_empty_folder_is_said_so(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="found no files"):
            find_pictures(str(tmp_path))

    def test_a_pattern_that_matches_nothing_is_said_so(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no file matches"):
            find_pictures(str(tmp_path / "*.png"))

    @given(st.lists(st.integers(0, 10**6), unique=True))
    def test_numbers_sort_as_numbers(self, numbers: list[int]) -> None:
        paths = [Path(f"dir2/img{n}.png") for n in numbers]
        assert sorted(paths, key=natural_key) == [Path(f"dir2/img{n}.png") for n in sorted(numbers)]

    @given(st.lists(st.text("aB1²٣-", min_size=1, max_size=4)))
    def test_any_names_can_be_sorted_and_get_unique_stems(self, names: list[str]) -> None:
        paths = sorted((Path(f"{name}.png") for name in names), key=natural_key)
        stems = unique_stems(paths)
        assert len(set(stems)) == len(paths)

    def test_a_repeated_stem_is_numbered(self) -> None:
        paths = [Path(p) for p in ("x/a.jpg", "x/a.png", "x/a-2.png", "y/a.jpg", "y/b.jpg")]
        assert unique_stems(paths) == ["a", "a-2", "a-2-2", "a-3", "b"]


class TestReading:
    def test_one_picture_is_a_source_of_one_frame(self, tmp_path: Path) -> None:
        add(tmp_path, "street.png")
        camera = open_camera(parse_source(str(tmp_path / "street.png")))
        frame = camera.read(0)
        assert frame is not None
        assert (frame.name, frame.frame_id, frame.image_hw) == ("street", 0, (4, 6))
        assert (camera.length, camera.live, camera.fps, camera.size_wh) == (1, False, None, None)
        with pytest.raises(EndOfStream):
            camera.read(0)

    def test_broken_pictures_are_skipped_logged_and_counted(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        add(tmp_path, "1.png", "2.png", "3.png", "4.png")
        (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:-9])
        (tmp_path / "3.png").write_bytes(b"no picture")
        camera = open_camera(parse_source(str(tmp_path)))
        with caplog.at_level(logging.WARNING):
            frames = [camera.read(0), camera.read(0)]
        assert [f and (f.frame_id, f.name) for f in frames] == [(0, "1"), (3, "4")]
        assert camera.losses == {"truncated": 1, "unreadable": 1}
        assert [r.levelname for r in caplog.records] == ["WARNING", "WARNING"]
        assert "2.png" in caplog.text

    def test_a_broken_picture_stops_the_run_if_asked_to(self, tmp_path: Path) -> None:
        add(tmp_path, "1.png", "2.png")
        (tmp_path / "1.png").write_bytes(b"no picture")
        camera = open_camera(parse_source(f"{tmp_path}?on_error=stop"))
        with pytest.raises(CameraError, match=r"1\.png: is no picture of a known kind") as caught:
            camera.read(0)
        assert caught.value.exit_code == 1
        assert not isinstance(caught.value, EndOfStream)

    def test_a_broken_picture_that_is_the_only_one_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "1.png").write_bytes(b"no picture")
        camera = open_camera(parse_source(str(tmp_path / "1.png")))
        with pytest.raises(CameraError, match=r"1\.png"):
            camera.read(0)

    def test_a_folder_of_broken_pictures_only_is_an_error(self, tmp_path: Path) -> None:
        for i in range(3):
            (tmp_path / f"{i}.png").write_bytes(b"no picture")
        camera = open_camera(parse_source(str(tmp_path)))
        for _ in range(2):
            with pytest.raises(CameraError, match=r"none of 3 pictures could be read.*2\.png"):
                camera.read(0)

    def test_a_picture_deleted_meanwhile_is_counted(self, tmp_path: Path) -> None:
        add(tmp_path, "1.png", "2.png")
        camera = open_camera(parse_source(str(tmp_path)))
        (tmp_path / "1.png").unlink()
        frame = camera.read(0)
        assert frame is not None
        assert frame.name == "2"
        assert camera.losses == {"unreadable": 1}
