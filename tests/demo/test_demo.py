"""The demo runs from one command, and its page holds together."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo"
ASKED = json.loads((DEMO / "prompts.json").read_text("utf-8"))["frames"]


def run_demo(*options: str, flags: Sequence[str] = (), path: str = str(ROOT)) -> Any:
    command = [sys.executable, *flags, str(DEMO / "run.py"), *options]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


class Links(HTMLParser):
    """Collects what a page refers to, and the tags it leaves open."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key in ("src", "href") and value:
                self.targets.append(value)
            if key == "id" and value:
                self.ids.add(value)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder of a finished demo, and what it printed."""
    out = tmp_path_factory.mktemp("demo") / "new"
    done = run_demo("--quick", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return out, done.stdout


@pytest.fixture(scope="module")
def page(demo: tuple[Path, str]) -> Links:
    links = Links()
    links.feed((demo[0] / "index.html").read_text("utf-8"))
    return links


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def frame_count(path: Path) -> int:
    video, count = cv2.VideoCapture(str(path)), 0
    while video.read()[0]:
        count += 1
    return count


def test_says_where_the_page_is_and_sums_up_every_run(demo: tuple[Path, str]) -> None:
    out, printed = demo
    assert f"The page: {out / 'index.html'}" in printed
    assert (out / "index.html").as_uri() in printed
    assert len(re.findall(r" MiB$", printed, re.MULTILINE)) == 3


def test_files_the_page_refers_to_are_there(demo: tuple[Path, str], page: Links) -> None:
    files = [t for t in page.targets if not t.startswith(("data:", "https:", "#"))]
    assert {"clip.webm", "clip-overlay.webm", "photos/astronaut.png"} <= set(files)
    assert [t for t in files if not (demo[0] / t).is_file()] == []
    assert [t for t in page.targets if t.startswith("#") and t[1:] not in page.ids] == []


def test_pictures_of_the_page_decode_and_come_in_pairs_of_one_size(page: Links) -> None:
    data = [t.partition(",")[2] for t in page.targets if t.startswith("data:image/jpeg;base64,")]
    raw = [np.frombuffer(base64.b64decode(text), np.uint8) for text in data]
    sizes = [cv2.imdecode(jpeg, cv2.IMREAD_COLOR).shape for jpeg in raw]
    assert len(sizes) == 2 * (len(ASKED) + 1)
    assert sizes[::2] == sizes[1::2]


def test_page_loads_nothing_from_elsewhere_and_leaves_no_gap(demo: tuple[Path, str]) -> None:
    text = (demo[0] / "index.html").read_text("utf-8")
    assert not re.search(r"<(script|link|iframe)|src=.https?:|@import|url\(", text)
    assert not re.search(r"\$\w|\bNone\b|\bnan\b", re.sub(r"base64,[^\"]*", "", text))


def test_clip_and_its_overlay_have_the_same_frames(demo: tuple[Path, str]) -> None:
    out = demo[0]
    expected = len(rows(out / "clip.jsonl"))
    assert expected == 15
    assert frame_count(out / "clip.webm") == frame_count(out / "clip-overlay.webm") == expected


def test_every_prompt_of_the_photos_has_its_answer_and_mask(demo: tuple[Path, str]) -> None:
    out = demo[0]
    found = {row["name"]: row["objects"] for row in rows(out / "photos.jsonl")}
    assert {name: len(objects) for name, objects in found.items()} == {
        name: len(objects) for name, objects in ASKED.items()
    }
    assert all(one["area"] > 0 for objects in found.values() for one in objects)
    masks = {f"{name}_{i}.png" for name, o in ASKED.items() for i in range(1, len(o) + 1)}
    assert {p.name for p in (out / "masks").iterdir()} == masks


def test_things_of_the_clip_stay_in_their_boxes(demo: tuple[Path, str]) -> None:
    overlaps = [_overlap(one) for row in rows(demo[0] / "clip.jsonl") for one in row["objects"]]
    assert len(overlaps) == 3 * 15
    assert np.mean(overlaps) > 0.7


def _overlap(one: Mapping[str, Any]) -> float:
    """IoU of an answer's box with the box that was asked for."""
    a, b = one["box_xyxy"], one["prompt"]["box_xyxy"]
    wide, high = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    both = max(wide, 0) * max(high, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return float(both / (sum(areas) - both))


def test_exit_code_of_a_failing_command_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "photos.jsonl").mkdir()
    done = run_demo("--quick", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "photos.jsonl" in done.stderr
    assert "ended with exit code 2" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_package_it_says_what_to_do(tmp_path: Path) -> None:
    done = run_demo("--out", str(tmp_path), flags=("-S",), path="")
    assert done.returncode == 3
    assert "make demo" in done.stderr


def test_clip_without_masks_says_how_to_make_them(tmp_path: Path) -> None:
    command = [sys.executable, str(DEMO / "make_clip.py"), "--masks", str(tmp_path / "none")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "edgesam-run demo/photos" in done.stderr


def test_every_photo_has_prompts_words_and_credit() -> None:
    photos = sorted(path.stem for path in (DEMO / "photos").glob("*.jpg"))
    words = json.loads((DEMO / "captions.json").read_text("utf-8"))
    credits = (DEMO / "photos" / "CREDITS.md").read_text("utf-8")
    assert sorted(ASKED) == sorted(words) == photos
    assert all(len(ASKED[name]) == len(words[name]["objects"]) for name in photos)
    assert re.findall(r"^\| ([\w-]+)\.jpg \|", credits, re.MULTILINE) == photos


def test_photos_stay_small() -> None:
    sizes = [path.stat().st_size for path in (DEMO / "photos").iterdir()]
    assert sum(sizes) < 1 << 20
