from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from edgesam_rt.errors import ConfigError, SinkError
from edgesam_rt.sinks import open_sink, parse_sink
from edgesam_rt.sinks.base import RunInfo
from edgesam_rt.sinks.table import SINKS

ADDRESSES = {"mjpeg": ":0", "mqtt": "mqtt://127.0.0.1:9"}


def test_a_spec_is_scheme_target_and_options() -> None:
    spec = parse_sink("overlay:a/b c.mp4?fps=12.5")
    assert (spec.scheme, spec.target) == ("overlay", "a/b c.mp4")
    assert spec.options == {"fps": 12.5}
    assert spec.text == "overlay:a/b c.mp4?fps=12.5"


def test_a_target_may_contain_colons() -> None:
    assert parse_sink("jsonl:a:b.jsonl").target == "a:b.jsonl"


def test_a_sink_without_target_may_be_named_alone() -> None:
    assert parse_sink("null") == parse_sink("null") != parse_sink("null:")
    assert parse_sink("null").scheme == parse_sink("null:").scheme == "null"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected SCHEME:TARGET"),
        ("out.mp4", "expected SCHEME:TARGET, for example overlay:out.mp4"),
        ("overly:x", "unknown scheme 'overly'. Did you mean 'overlay'? Known: jsonl, masks, "),
        ("jsonl:", "jsonl needs a target: jsonl:PATH or -"),
        ("jsonl", "jsonl needs a target"),
        ("masks:?", "masks needs a target: masks:FOLDER"),
        ("overlay:?fps=3", "overlay needs a target: overlay:PATH"),
        ("null:somewhere", "null takes no target"),
        (
            "jsonl:x?rel=0",
            "unknown option 'rel'. Did you mean 'rle'? jsonl: knows append, keep, rle, ",
        ),
        ("masks:x?fps=3", "unknown option 'fps'. masks: knows no options."),
        ("jsonl:x?rle", "options are key=value joined by &, got 'rle'"),
        ("jsonl:x?rle=1&rle=0", "option rle is given twice"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_sink(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jsonl:{}/x?rle=maybe", "option rle: expected 1 or 0, got 'maybe'"),
        ("overlay:{}/x.mp4?fps=fast", "option fps: expected a number from 0 to 240, got 'fast'"),
        ("overlay:{}/x.mp4?fps=0", "option fps: expected a number from 0 to 240, got '0'"),
        ("overlay:{}/x.mp4?fps=nan", "option fps: expected a number from 0 to 240, got 'nan'"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_made(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_sink(text.format(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_named_with_its_install_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    find = importlib.util.find_spec

    def without_cv2(name: str, package: str | None = None) -> Any:
        return None if name == "cv2" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_cv2)
    with pytest.raises(SinkError, match="pip install opencv-python-headless"):
        open_sink(parse_sink(f"masks:{tmp_path}/m"), RunInfo())


def test_every_row_opens(tmp_path: Path) -> None:
    for scheme, row in SINKS.items():
        places = {"nothing": "", "address": ADDRESSES.get(scheme, f"{tmp_path}/{scheme}")}
        target = places.get(row.kind, f"{tmp_path}/{scheme}")
        open_sink(parse_sink(f"{scheme}:{target}"), RunInfo()).close()
