"""Reading pictures: every mode gives upright 8-bit RGB, every broken file a message."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from edgesam_rt.errors import ImageError
from edgesam_rt.imaging.files import ImageTruncated, is_picture_name, read_image
from edgesam_rt.imaging.kinds import kind_of
from edgesam_rt.types import U8

HIGH, WIDE = 48, 64
OPENCV = tuple(int(n) for n in cv2.__version__.split(".")[:2])


def slope() -> U8:
    """A picture without a symmetry: every turn and every colour order looks different."""
    y, x = np.mgrid[:HIGH, :WIDE]
    return np.stack([x * 3, y * 5, 255 - x - y], -1).astype(np.uint8)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def save(folder: Path, data: bytes, name: str = "picture") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def difference(a: U8, b: U8) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b).max())


class TestModes:
    @pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "JPEG2000"])
    def test_a_lossless_picture_comes_back_as_it_was(self, tmp_path: Path, kind: str) -> None:
        pixels = read_image(save(tmp_path, encoded(Image.fromarray(slope()), kind)))
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        assert pixels.flags.owndata
        assert np.array_equal(pixels, slope())

    @pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
    def test_a_lossy_picture_comes_back_nearly(self, tmp_path: Path, kind: str) -> None:
        data = encoded(Image.fromarray(slope()), kind, quality=95)
        oracle = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert difference(read_image(save(tmp_path, data)), oracle) <= 4

    @pytest.mark.parametrize("mode", ["L", "1", "P"])
    def test_other_modes_become_rgb(self, tmp_path: Path, mode: str) -> None:
        picture = Image.fromarray(slope()).convert(mode)
        oracle = np.asarray(picture.convert("RGB"))
        assert np.array_equal(read_image(save(tmp_path, encoded(picture, "PNG"))), oracle)

    def test_a_cmyk_jpeg_has_the_colours_of_the_original(self, tmp_path: Path) -> None:
        picture = Image.fromarray(slope()).convert("CMYK")
        pixels = read_image(save(tmp_path, encoded(picture, "JPEG", quality=95, subsampling=0)))
        assert np.abs(pixels.astype(int) - slope()).mean() < 3

    def test_16_bits_are_scaled_to_8(self, tmp_path: Path) -> None:
        deep = slope()[..., 0].astype(np.uint16) * 257
        pixels = read_image(save(tmp_path, encoded(Image.fromarray(deep), "PNG")))
        assert difference(pixels[..., 1], slope()[..., 0]) <= 1

    def test_16_bits_of_colour_are_scaled_to_8(self, tmp_path: Path) -> None:
        deep = slope()[..., ::-1].astype(np.uint16) * 257
        pixels = read_image(save(tmp_path, cv2.imencode(".png", deep)[1].tobytes()))
        assert difference(pixels, slope()) <= 1

    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    def test_transparent_pixels_are_laid_on_white(self, tmp_path: Path, kind: str) -> None:
        alpha = np.tile(np.linspace(0, 255, WIDE).astype(np.uint8), (HIGH, 1))
        picture = Image.fromarray(np.dstack([slope(), alpha]))
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        pixels = read_image(save(tmp_path, encoded(picture, kind, **options)))
        white = Image.new("RGBA", picture.size, "white")
        oracle = np.asarray(Image.alpha_composite(white, picture).convert("RGB"))
        assert difference(pixels, oracle) <= 1
        assert (pixels[:, 0] == 255).all()

    def test_grey_with_transparency_is_laid_on_white(self, tmp_path: Path) -> None:
        grey = np.dstack([slope()[..., 0], np.zeros((HIGH, WIDE), np.uint8)])
        pixels = read_image(save(tmp_path, encoded(Image.fromarray(grey, "LA"), "PNG")))
        assert (pixels == 255).all()

    def test_a_transparent_palette_colour_is_laid_on_white(self, tmp_path: Path) -> None:
        picture = Image.new("P", (4, 2), 1)
        picture.putpalette([9, 9, 9, 10, 20, 30])
        picture.putpixel((0, 0), 0)
        pixels = read_image(save(tmp_path, encoded(picture, "PNG", transparency=0)))
        assert pixels[0, 0].tolist() == [255, 255, 255]
        assert pixels[1, 1].tolist() == [10, 20, 30]

    def test_16_bits_with_transparency(self, tmp_path: Path) -> None:
        deep = np.dstack([slope()[..., ::-1], np.full((HIGH, WIDE), 255, np.uint8)])
        data = cv2.imencode(".png", deep.astype(np.uint16) * 257)[1].tobytes()
        assert difference(read_image(save(tmp_path, data)), slope()) <= 1

    @pytest.mark.skipif(OPENCV < (4, 11), reason="OpenCV reads GIF from 4.11 on")
    def test_a_gif_gives_its_first_picture(self, tmp_path: Path) -> None:
        picture = Image.fromarray(slope()).quantize(16)
        oracle = np.asarray(picture.convert("RGB"))
        assert difference(read_image(save(tmp_path, encoded(picture, "GIF"))), oracle) <= 1


class TestOrientation:
    @pytest.mark.parametrize("turn", range(1, 9))
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
    def test_a_turned_picture_comes_upright(self, tmp_path: Path, kind: str, turn: int) -> None:
        exif = Image.Exif()
        exif[0x112] = turn
        data = encoded(Image.fromarray(slope()), kind, exif=exif)
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        assert difference(read_image(save(tmp_path, data)), np.asarray(upright)) <= 6


class TestSizes:
    def test_one_pixel(self, tmp_path: Path) -> None:
        pixels = read_image(save(tmp_path, encoded(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")))
        assert pixels.tolist() == [[[1, 2, 3]]]

    @pytest.mark.parametrize("size", [(12_000, 40), (40, 12_000)])
    @pytest.mark.parametrize("kind", ["PNG", "JPEG"])
    def test_12000_pixels_a_side(self, tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
        pixels = read_image(save(tmp_path, encoded(Image.new("RGB", size, (200, 9, 9)), kind)))
        assert pixels.shape == (size[1], size[0], 3)
        assert (pixels[-1, -1] == pixels[0, 0]).all()
        assert pixels[0, 0, 0] > 190

    def test_more_pixels_than_opencv_reads_is_said_so(self, tmp_path: Path) -> None:
        header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
        chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b"")]
        data = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))
            for tag, body in chunks
        )
        with pytest.raises(ImageError, match="larger than OpenCV reads"):
            read_image(save(tmp_path, data))


class TestNames:
    @pytest.mark.parametrize("name", ["Straße 東京 😀.png", "a b?c:d%20#.png", "-x.png"])
    def test_any_file_name_is_read(self, tmp_path: Path, name: str) -> None:
        data = encoded(Image.fromarray(slope()), "PNG")
        assert np.array_equal(read_image(save(tmp_path, data, name)), slope())

    def test_a_name_that_is_not_utf8_is_read(self, tmp_path: Path) -> None:
        path = os.fsencode(tmp_path) + b"/caf\xe9.png"
        Path(os.fsdecode(path)).write_bytes(encoded(Image.fromarray(slope()), "PNG"))
        assert np.array_equal(read_image(os.fsdecode(path)), slope())

    def test_the_suffix_does_not_matter_to_reading(self, tmp_path: Path) -> None:
        data = encoded(Image.fromarray(slope()), "PNG")
        assert np.array_equal(read_image(save(tmp_path, data, "x.jpg")), slope())

    def test_suffixes_are_known_in_any_case(self) -> None:
        assert is_picture_name(Path("IMG_1.JPG"))
        assert not is_picture_name(Path("clip.mp4"))


class TestBadFiles:
    def test_a_missing_file_names_the_nearest(self, tmp_path: Path) -> None:
        save(tmp_path, b"x", "street.png")
        with pytest.raises(
            ImageError, match=r"stret\.png: no such file.*Did you mean .*street\.png"
        ):
            read_image(tmp_path / "stret.png")

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="there is no folder"):
            read_image(tmp_path / "nowhere" / "a.png")

    def test_a_folder_is_no_picture(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="is a folder"):
            read_image(tmp_path)

    def test_a_device_is_no_picture(self) -> None:
        with pytest.raises(ImageError, match="is a device"):
            read_image("/dev/zero")

    def test_a_name_with_a_zero_byte_is_refused(self) -> None:
        with pytest.raises(ImageError, match=r"null (byte|character)"):
            read_image("a\0b.png")

    def test_an_empty_file_is_said_so(self, tmp_path: Path) -> None:
        with pytest.raises(ImageTruncated, match="is empty"):
            read_image(save(tmp_path, b""))

    @pytest.mark.parametrize(
        ("head", "said"),
        [
            (b"\x00\x00\x00\x18ftypheic\x00\x00", "is HEIC"),
            (b"\x00\x00\x00\x18ftypisom\x00\x00", "video"),
            (b"%PDF-1.7\n", "a PDF"),
            (b"\n <!DOCTYPE html><html>", "an HTML page"),
            (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            (b"PK\x03\x04....", "ZIP"),
        ],
    )
    def test_other_kinds_are_named(self, tmp_path: Path, head: bytes, said: str) -> None:
        with pytest.raises(ImageError, match=said):
            read_image(save(tmp_path, head + bytes(200)))

    def test_an_unknown_kind_shows_its_first_bytes(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="begins with b'hello world,'"):
            read_image(save(tmp_path, b"hello world, this is no picture"))

    def test_a_damaged_picture_is_said_so(self, tmp_path: Path) -> None:
        data = bytearray(encoded(Image.fromarray(slope()), "PNG"))
        data[len(data) // 2] ^= 0xFF
        with pytest.raises(ImageError, match="is PNG, but damaged"):
            read_image(save(tmp_path, bytes(data)))

    def test_a_cut_tiff_leaves_opencv_quiet(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        data = encoded(Image.fromarray(slope()), "TIFF")
        with pytest.raises(ImageError, match="is TIFF, but damaged"):
            read_image(save(tmp_path, data[: len(data) // 2]))
        assert capfd.readouterr().err == ""


class TestTruncation:
    @settings(max_examples=25, deadline=None)
    @given(data=st.data(), progressive=st.booleans())
    def test_a_jpeg_cut_anywhere_is_refused(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, progressive: bool
    ) -> None:
        whole = encoded(Image.fromarray(slope()), "JPEG", progressive=progressive)
        kept = data.draw(st.integers(3, len(whole) - 1))
        with pytest.raises(ImageTruncated, match="cut short"):
            read_image(save(tmp_path_factory.mktemp("cut"), whole[:kept]))

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
    @pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
    def test_other_kinds_cut_are_refused(self, tmp_path: Path, kind: str, part: float) -> None:
        whole = encoded(Image.fromarray(slope()), kind)
        with pytest.raises(ImageTruncated, match="cut short"):
            read_image(save(tmp_path, whole[: int(len(whole) * part)]))

    @pytest.mark.parametrize("kind", ["TIFF", "PPM", "JPEG2000"])
    def test_kinds_that_only_the_decoder_knows_are_refused(self, tmp_path: Path, kind: str) -> None:
        whole = encoded(Image.fromarray(slope()), kind)
        with pytest.raises(ImageError, match="damaged"):
            read_image(save(tmp_path, whole[: len(whole) // 2]))

    def test_the_end_mark_of_a_thumbnail_does_not_count(self, tmp_path: Path) -> None:
        thumbnail = encoded(Image.new("RGB", (16, 12)), "JPEG")
        body = b"Exif\0\0" + thumbnail
        whole = encoded(Image.fromarray(slope()), "JPEG")
        segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
        whole = whole[:2] + segment + whole[2:]
        assert read_image(save(tmp_path, whole)).shape == (HIGH, WIDE, 3)
        for kept in (len(whole) // 2, len(whole) - 2, 2 + len(segment)):
            with pytest.raises(ImageTruncated):
                read_image(save(tmp_path, whole[:kept]))

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
    def test_bytes_after_the_end_do_no_harm(self, tmp_path: Path, kind: str) -> None:
        whole = encoded(Image.fromarray(slope()), kind)
        assert read_image(save(tmp_path, whole + b"\0" * 100)).shape == (HIGH, WIDE, 3)

    def test_a_bmp_with_a_wrong_size_in_its_header_is_read(self, tmp_path: Path) -> None:
        data = bytearray(encoded(Image.fromarray(slope()), "BMP"))
        data[2:6] = b"\xff\xff\xff\x7f"
        assert np.array_equal(read_image(save(tmp_path, bytes(data))), slope())

    @settings(max_examples=60, deadline=None)
    @given(
        st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"BM"]),
        st.binary(max_size=80),
    )
    def test_any_bytes_give_a_picture_or_an_image_error(
        self, tmp_path_factory: pytest.TempPathFactory, head: bytes, rest: bytes
    ) -> None:
        kind_of(head + rest)
        path = save(tmp_path_factory.mktemp("any"), head + rest)
        with contextlib.suppress(ImageError):
            assert read_image(path).ndim == 3
