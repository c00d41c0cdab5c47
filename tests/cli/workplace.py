"""Pictures, clips, prompts and bundles for the command line's tests; and ways to run it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from edgesam_rt import bundle
from edgesam_rt.types import U8
from tests.camera_doubles import cut, write_video

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "edgesam_rt")
SMALL = ("--encoder-side", "384", "--threads", "1")  # the quickest there is
DISC_XY, DISC_RADIUS = (80, 60), 36  # in `scene()`
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def scene(size_wh: tuple[int, int] = (200, 150)) -> U8:
    """A bright disc at DISC_XY before a dark ground: (H, W, 3) uint8 RGB."""
    wide, high = size_wh
    y, x = np.mgrid[:high, :wide]
    pixels = np.stack([40 + x // 8, 50 + y // 6, 70 - x // 9], 2).clip(0, 255)
    inside = (x - DISC_XY[0]) ** 2 + (y - DISC_XY[1]) ** 2 <= DISC_RADIUS**2
    pixels[inside] = (235, 190, 60)
    return pixels.astype(np.uint8)


def is_disc(row: dict[str, Any]) -> bool:
    """Whether the first object of a result is the disc of `scene`, to a few pixels."""
    (cx, cy), r = DISC_XY, DISC_RADIUS
    box = row["objects"][0]["box_xyxy"]
    return bool(np.abs(np.array(box) - [cx - r, cy - r, cx + r, cy + r]).max() <= 8)


def make_workplace(folder: Path) -> Path:
    """Fill a folder with good and bad input; returns it."""
    good = Image.fromarray(scene())
    good.save(folder / "good.png")
    good.save(folder / "good.jpg", quality=92)
    _pictures_of_every_mode(folder, good)
    _folders(folder, good)
    _bundles(folder)
    write_video(folder / "clip.avi", 6, size_wh=(96, 64))
    cut(write_video(folder / "short.avi", 12, size_wh=(96, 64)), keep=0.6)
    (folder / "broken.mp4").write_bytes((folder / "clip.avi").read_bytes()[:100])
    (folder / "text.jpg").write_text("no picture")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "cut.jpg").write_bytes((folder / "good.jpg").read_bytes()[:-400])
    for name, content in PROMPTS.items():
        (folder / f"{name}.json").write_text(content)
    for name, content in CONFIGS.items():
        (folder / f"{name}.toml").write_text(content)
    return folder


def _pictures_of_every_mode(folder: Path, good: Image.Image) -> None:
    good.convert("L").save(folder / "grey.png")
    good.convert("L").save(folder / "grey.jpg", quality=95)
    good.convert("P").save(folder / "palette.png")
    good.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    clear = good.convert("RGBA")
    clear.putalpha(255)
    clear.save(folder / "rgba.png")
    cv2.imwrite(str(folder / "deep.png"), scene()[..., ::-1].astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "deep_grey.png"), scene()[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right to stand upright
    good.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", exif=exif, quality=95)
    Image.new("RGB", (1, 1), (9, 9, 9)).save(folder / "dot.png")
    wide = np.tile(scene((200, 200)), (1, 60, 1))
    Image.fromarray(wide).save(folder / "wide.png", compress_level=1)


def _folders(folder: Path, good: Image.Image) -> None:
    for name in ("empty", "texts", "damaged", "mixed", "locked"):
        (folder / name).mkdir()
    (folder / "texts" / "a.txt").write_text("a")
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        good.save(folder / "damaged" / name)
    middle = folder / "damaged" / "b.jpg"
    middle.write_bytes(middle.read_bytes()[:-500])
    good.save(folder / "mixed" / "large.png")
    good.crop((0, 0, 40, 40)).save(folder / "mixed" / "small.png")


def _bundles(folder: Path) -> None:
    prebuilt = bundle.find("pocketsam-int8").folder
    for name in ("tampered", "half", "unsigned", "shorter", "future"):
        shutil.copytree(prebuilt, folder / "bundles" / name)
    scorer = folder / "bundles" / "tampered" / "scorer.onnx"
    data = bytearray(scorer.read_bytes())
    data[5000] ^= 0xFF
    scorer.write_bytes(data)
    (folder / "bundles" / "half" / "mask_head.onnx").unlink()
    (folder / "bundles" / "unsigned" / "manifest.json").unlink()
    os.truncate(folder / "bundles" / "shorter" / "encoder-384.onnx", 1000)
    manifest = folder / "bundles" / "future" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema": 99}))


PROMPTS = {
    "good": '{"objects": [{"points": [[80, 60]]}, {"box": [40, 20, 120, 100]}]}',
    "by_frame": '{"objects": [{"points": [[5, 5]]}], "frames": {"good": [{"points": [[80, 60]]}]}}',
    "not_json": '{"objects": [',
    "a_list": "[]",
    "nothing": "{}",
    "no_objects": '{"objects": []}',
    "no_prompts_in_frames": '{"frames": {"good": []}}',
    "hollow": '{"objects": [{"points": [[1, 2]]}, {}]}',
    "misspelt": '{"object": [{"points": [[1, 2]]}]}',
    "short_point": '{"objects": [{"points": [[1]]}]}',
    "half_label": '{"objects": [{"points": [[80, 60, 0.5]]}]}',
    "label_7": '{"objects": [{"points": [[80, 60, 7]]}]}',
    "words": '{"objects": [{"points": [["a", 2]]}]}',
    "nan": '{"objects": [{"points": [[NaN, 2]]}]}',
    "huge": '{"objects": [{"points": [[1e39, 2]]}]}',
    "crossed_box": '{"objects": [{"box": [50, 50, 10, 10]}]}',
    "negative_only": '{"objects": [{"points": [[80, 60, 0]]}]}',
    "nobody": '{"frames": {"goood": [{"points": [[80, 60]]}]}}',
    "many": json.dumps({"objects": [{"points": [[80 + i, 60] for i in range(9)]}]}),
}

CONFIGS = {
    "good": 'source = "{d}/good.png"\nmode = "everything"\nout = ["null:"]\nencoder_side = 384\n',
    "unknown_key": 'sorce = "a.jpg"\n',
    "wrong_type": 'budget_ms = "fast"\n',
    "one_out": 'out = "jsonl:-"\n',
    "not_toml": "a = = 1\n",
    "bad_mode": 'mode = "promt"\n',
}


def environment(**more: str) -> dict[str, str]:
    """The environment of a command that imports this working tree."""
    path = os.pathsep.join(p for p in (str(REPOSITORY), os.environ.get("PYTHONPATH", "")) if p)
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "80", **more}


def run_process(*args: str | Path, before: str = "", **more: Any) -> Ran:
    """Run the command as a process; `before` is shell code that sets it up (`ulimit -f 10`)."""
    command: Sequence[str] = (*COMMAND, *map(str, args))
    if before:
        command = ("bash", "-c", f'{before}; exec "$@"', "bash", *command)
    options: dict[str, Any] = {"env": environment(), "timeout": PATIENCE_S, **more}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    return Ran(done.returncode, done.stdout, done.stderr)


def start_process(*args: str | Path, **more: Any) -> subprocess.Popen[str]:
    """Start the command; the caller waits for it."""
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen((*COMMAND, *map(str, args)), text=True, env=environment(), **options)


def wait_for_lines(path: Path, lines: int, process: subprocess.Popen[str]) -> None:
    """Wait until a file has so many lines."""
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists() or path.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, f"it ended too early: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end_with(process: subprocess.Popen[str], number: int | signal.Signals) -> Ran:
    """Send a signal and wait for the end."""
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    return Ran(process.returncode, out or "", err or "")


def rows_in(path: Path) -> list[dict[str, Any]]:
    """A JSONL file, which must end with a whole line."""
    text = path.read_text()
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]
