from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from edgesam_rt.bench import report as reports
from edgesam_rt.bench.html import page
from edgesam_rt.bench.text import show
from edgesam_rt.errors import ConfigError, SinkError
from tests.bench.reports import accuracy, reading, report, series


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reports.SCHEMA_FILE.read_text())
    return found


def test_the_schema_beside_the_code_is_made_of_the_code() -> None:
    assert reports.SCHEMA_FILE.read_bytes() == reports.json_schema(), (
        "run python -m edgesam_rt.bench.report"
    )


@pytest.mark.parametrize("more", [{}, {"accuracy": accuracy(), "complete": False}])
def test_a_report_is_valid_by_the_schema(more: dict[str, Any]) -> None:
    jsonschema.validate(json.loads(reports.encode(report(**more))), schema())


def test_the_schema_refuses_what_is_no_report() -> None:
    raw = json.loads(reports.encode(report()))
    for change in ({"kind": "other"}, {"series": [{}]}, {"surplus": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**raw, **change}, schema())


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    made = report(accuracy=accuracy())
    reports.write(made, path)
    assert reports.read(path) == made


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        ("{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ("[1]", "not a report"),
        ('{"case": "speed"}', "not a report"),
        ('{"kind": "edgesam-bench", "schema": 99}', "schema 99"),
        ('{"kind": "edgesam-bench", "schema": 1, "seconds": "x"}', "seconds|missing"),
    ],
)
def test_a_file_that_is_no_report_is_refused_in_one_sentence(
    content: str | bytes | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "r.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=words) as caught:
        reports.read(path)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        reports.read(tmp_path)


def test_what_cannot_be_written_leaves_the_older_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.json"
    reports.write(report(), path)
    before = path.read_bytes()

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SinkError, match="as it was"):
        reports.write(report(series(1)), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_text_names_every_figure_and_what_is_doubtful() -> None:
    text = show(report(series(), series(side=384), accuracy=accuracy(), warnings=("Too warm.",)))
    assert "frame total (side 384, 3 threads), ms" in text
    assert "warning: Too warm." in text
    assert "energy: not available (no INA)" in text
    assert "mIoU at side 512: box 70.0" in text


STAGES = [series(5, stage=stage) for stage in ("fit", "encode", "score")]
PIPELINE = series(30, case="pipeline", stage="age")


def test_the_page_needs_nothing_else_and_is_small() -> None:
    made = report(*STAGES, series(), PIPELINE, accuracy=accuracy(), warnings=("<b>Hot</b>",))
    html = page([("a", made), ("b & c", made)])
    assert len(html.encode()) < 200_000
    assert not re.search(r"(https?:)?//|<script|<link|@import|url\(", html)
    assert 'name="viewport"' in html
    assert html.count("<svg") >= 5
    assert "b &amp; c" in html
    assert "&lt;b&gt;Hot" in html
    assert "Temperatures" in html
    assert "not available: no INA" in html


def test_a_page_of_a_stopped_run_has_what_there_is() -> None:
    html = page([("a", report(complete=False, series=(), readings=()))])
    assert "<svg" not in html
    assert "All figures" in html


def test_the_page_puts_the_same_figure_of_all_reports_together() -> None:
    two = [(name, report(series(), series(side=384))) for name in ("first", "second")]
    labels = re.findall(r">one picture, (\w+), side (\d+)", page(two))
    assert labels == [("first", "512"), ("second", "512"), ("first", "384"), ("second", "384")]


def test_every_reading_is_in_the_plot() -> None:
    readings = tuple(reading(10.0 * i) for i in range(7))
    assert page([("a", report(readings=readings))]).count("<circle") >= 14


def test_no_field_of_a_report_lacks_its_explanation() -> None:
    """docs/benchmarks.md says what each field means."""
    docs = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    kinds = [reports.Report, reports.Series, reports.Machine, reports.Settings, reports.Reading]
    kinds += [reports.Throttling, reports.Energy, reports.Engines, reports.Accuracy]
    missing = {f.name for kind in kinds for f in msgspec.structs.fields(kind)}
    missing = {name for name in missing if f"`{name}`" not in docs}
    assert not missing
