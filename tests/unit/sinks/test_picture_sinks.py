from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesam_rt.drawing import overlay, sheet
from edgesam_rt.errors import ConfigError, SinkError
from edgesam_rt.records import Frame
from edgesam_rt.sinks import files
from edgesam_rt.sinks.masks import MasksSink
from edgesam_rt.sinks.overlay import OverlaySink
from edgesam_rt.sinks.sheet import SheetSink
from tests.result_doubles import make_pixels, make_result
from tests.unit.sinks.readers import picture_in


def test_every_object_gets_a_black_and_white_picture_of_its_mask(tmp_path: Path) -> None:
    result = make_result(7)
    sink = MasksSink(tmp_path / "new" / "masks")
    sink.write(result)
    for i, object_id in enumerate(result.object_ids):
        pixels = picture_in(tmp_path / "new" / "masks" / f"f7_{object_id}.png")
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels, result.masks.masks[i] * np.uint8(255))


def test_frames_cannot_write_outside_the_folder(tmp_path: Path) -> None:
    names = ["../../evil", "a/b", ".hidden", "", "..", "back\\slash"]
    for make in (MasksSink, OverlaySink, SheetSink):
        folder = tmp_path / make.__name__ / "inside"
        sink = make(folder)
        for name in names:
            sink.write(make_result(frame=Frame(0, make_pixels((120, 160)), 0, name)))
        sink.close()
        assert [path.name for path in folder.parent.iterdir()] == ["inside"]
        assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_folder_gets_a_picture_per_frame(tmp_path: Path) -> None:
    sink = OverlaySink(tmp_path / "out")
    results = [make_result(i) for i in range(3)]
    for result in results:
        sink.write(result)
    sink.close()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "f0.png",
        "f1.png",
        "f2.png",
    ]
    drawn = picture_in(tmp_path / "out" / "f0.png")
    assert np.array_equal(drawn, overlay.draw(results[0]))


def test_one_picture_is_written_where_it_should_and_more_are_numbered(tmp_path: Path) -> None:
    sink = OverlaySink(tmp_path / "one.JPG")
    for i in range(3):
        sink.write(make_result(i))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["one-000002.JPG", "one-000003.JPG", "one.JPG"]
    drawn = overlay.draw(make_result(0)).astype(int)
    assert np.abs(drawn - picture_in(tmp_path / "one.JPG")).mean() < 8


def test_sheets_are_named_as_overlays_are(tmp_path: Path) -> None:
    one, folder = SheetSink(tmp_path / "one.png"), SheetSink(tmp_path / "out")
    results = [make_result(i) for i in range(2)]
    for result in results:
        one.write(result)
        folder.write(result)
    names = sorted(path.name for path in tmp_path.rglob("*.png"))
    assert names == ["f0.png", "f1.png", "one-000002.png", "one.png"]
    assert np.array_equal(picture_in(tmp_path / "out" / "f1.png"), sheet.draw(results[1]))


@pytest.mark.parametrize(
    ("name", "text"), [("a.mp4", "they make no video"), ("a.webp", r"\.webp is not written")]
)
def test_a_sheet_is_a_picture(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text + r".*Use \.png \.jpg \.jpeg, or a folder's name"):
        SheetSink(tmp_path / name)


def test_an_existing_folder_called_like_a_picture_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    sink = OverlaySink(tmp_path / "x.png")
    sink.write(make_result())
    assert (tmp_path / "x.png" / "f0.png").exists()


def test_a_file_where_a_folder_should_be_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for make in (MasksSink, OverlaySink, SheetSink):
        for path in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(ConfigError, match=r"should be a folder, but .*file is a file"):
                make(path)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_a_sink_error() -> None:
    with pytest.raises(SinkError, match="masks:/proc/nowhere: cannot write /proc/nowhere"):
        MasksSink(Path("/proc/nowhere"))
    with pytest.raises(SinkError, match=r"overlay:/proc/nowhere/x\.png: cannot write"):
        OverlaySink(Path("/proc/nowhere/x.png"))


def test_a_folder_that_goes_away_is_a_sink_error(tmp_path: Path) -> None:
    sink = MasksSink(tmp_path / "masks")
    sink.write(make_result(0))
    for path in (tmp_path / "masks").iterdir():
        path.unlink()
    (tmp_path / "masks").rmdir()
    with pytest.raises(SinkError, match=r"No such file.*The 2 masks written before are intact"):
        sink.write(make_result(1))


def test_a_broken_write_leaves_the_old_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.png"
    files.write_whole(path, b"old")

    def write_half(self: Path, data: bytes) -> int:
        with self.open("wb") as out:
            out.write(data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(OSError, match="No space"):
        files.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_too_large_for_its_format_is_a_sink_error() -> None:
    with pytest.raises(SinkError, match=r"a 70000x1 picture cannot be stored as \.jpg"):
        files.encode_picture(np.zeros((1, 70000, 3), np.uint8), ".jpg")
