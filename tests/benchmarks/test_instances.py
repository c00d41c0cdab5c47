from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import instances
from edgesam_rt.instances.find import find

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "instances.json"


def test_the_command_writes_the_cost_of_every_step(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    assert instances.main(["--objects", "4", "--repeats", "1", "--json", str(path)]) == 0
    (row,) = json.loads(path.read_text())["figures"]["rows"]
    assert row["sure_cells"] == 40
    assert row["instances"] >= 4
    assert set(row["wall_ms"]) == {"choose", "low_resolution", "to_picture", "points"}


def test_made_up_pictures_have_their_objects_once_or_little_more() -> None:
    embedding = instances.made_up(30)
    found = find(embedding, instances.FACTS)
    assert 30 <= len(found.scores) <= 60
    logits = np.zeros((len(found.scores), 144, 256), np.float32)
    masks = instances.masks_of(embedding, found, logits)
    assert masks.image_hw == instances.HW


def test_the_page_has_the_figures_of_the_result_file() -> None:
    page = (RESULT.parents[2] / "docs" / "fastsam.md").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(RESULT.read_text())["figures"]["rows"]
    for row in rows:
        p50 = {name: times["p50"] for name, times in row["wall_ms"].items()}
        wanted = (
            f"| {row['sure_cells']:,} | {row['instances']} | {p50['choose']:.1f} ms "
            f"| {p50['low_resolution']:.1f} ms, {row['logits_mib']:.0f} MiB "
            f"| {p50['to_picture']:.0f} ms | {p50['points']:.1f} ms |"
        )
        assert wanted in page, wanted
