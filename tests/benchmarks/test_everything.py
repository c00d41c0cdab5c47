from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import tables
from benchmarks.everything import oracle, quality, strategies
from benchmarks.everything.recall import average_recall
from benchmarks.report import Report
from edgesam_rt.errors import ConfigError
from edgesam_rt.imaging import rle
from edgesam_rt.types import Bool
from tests.benchmarks.everything_figures import FIGURES
from tests.benchmarks.test_report import ENVIRONMENT
from tests.result_doubles import make_masks

HW = (40, 60)


def made(figures: dict[str, Any]) -> dict[str, str]:
    return tables.make([Report("everything", "python -m …", ENVIRONMENT, {}, figures)])


def test_every_part_has_a_table() -> None:
    found = made(FIGURES)
    assert sorted(found) == sorted(f"everything-{part}" for part in FIGURES)
    assert "29 match at IoU 0.99 or more, 1 missing, 2 extra" in found["everything-oracle"]
    assert "| grid, 2 threads | 2.0 | 3.0 | 4.0 | 7.50x |" in found["everything-times"]
    assert "| grid, 25 % | 10.0 | 9 | 30 % | 2.0 | 4.0 | 4.5 |" in found["everything-deadlines"]
    assert "failed: took longer" in found["everything-memory"]


def test_parts_that_were_not_measured_have_none() -> None:
    assert list(made({"times": FIGURES["times"]})) == ["everything-times"]


def test_published_rows_say_that_they_are_of_another_place() -> None:
    text = made(FIGURES)["everything-recall"]
    assert "Not measured, this runtime does not know them: objects." in text
    lines = [line for line in text.splitlines() if "MobileSAMv2" in line or "FastSAM" in line]
    assert len(lines) == 5
    assert all("published, not comparable" in line and line.startswith("| *") for line in lines)


# Matching


def box(left: int, top: int, right: int, bottom: int) -> Bool:
    mask = np.zeros(HW, np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def text(mask: Bool) -> dict[str, object]:
    return {"size": list(HW), "counts": rle.compress(rle.run_lengths(mask))}


def test_masks_are_matched_one_to_one() -> None:
    a, b, c = (text(box(x, 5, x + 10, 35)) for x in (0, 20, 40))
    same = oracle.compare([a, b], [b, a])
    assert (same["matched"], same["missing"], same["extra"]) == (2, 0, 0)
    twice = oracle.compare([a, a], [a, c])
    assert (twice["matched"], twice["missing"], twice["extra"]) == (1, 1, 1)
    assert twice["worst_iou"] == 0.0
    for ours, plain, missing, extra in (([], [a], 1, 0), ([a], [], 0, 1), ([], [], 0, 0)):
        found = oracle.compare(ours, plain)
        assert (found["missing"], found["extra"]) == (missing, extra)


# Average recall


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two photos with two objects each, and a crowd."""
    folder = tmp_path / "coco-val"
    folder.mkdir()
    notes = []
    for i, (image_id, mask, crowd) in enumerate(
        [
            (7, box(0, 0, 20, 20), 0),
            (7, box(30, 0, 60, 40), 0),
            (9, box(0, 0, 30, 30), 0),
            (9, box(40, 10, 50, 20), 0),
            (9, box(50, 0, 60, 40), 1),
        ],
        1,
    ):
        ys, xs = np.nonzero(mask)
        notes.append(
            {
                "id": i,
                "image_id": image_id,
                "category_id": 1 + i % 2,
                "iscrowd": crowd,
                "area": int(mask.sum()),
                "bbox": [int(xs.min()), int(ys.min()), int(np.ptp(xs)), int(np.ptp(ys))],
                "segmentation": text(mask),
            }
        )
    images = [{"id": i, "height": HW[0], "width": HW[1], "file_name": f"{i}.png"} for i in (7, 9)]
    raw = {"images": images, "annotations": notes, "categories": [{"id": 1}, {"id": 2}]}
    (folder / "annotations.json").write_text(json.dumps(raw))
    return tmp_path


def test_all_objects_found_is_a_recall_of_one_whatever_their_class(data: Path) -> None:
    found = {
        7: [text(box(30, 0, 60, 40)), text(box(0, 0, 20, 20))],
        9: [text(box(0, 0, 30, 30)), text(box(40, 10, 50, 20))],
    }
    figures = average_recall(data, found)
    assert figures["ar10"] == figures["ar1000"] == 1.0
    assert figures["ar1000_large"] is None


def test_half_of_the_objects_found_is_a_recall_of_a_half(data: Path) -> None:
    found = {7: [text(box(30, 0, 60, 40))], 9: [text(box(0, 0, 30, 30))]}
    assert average_recall(data, found)["ar100"] == 0.5
    assert average_recall(data, {7: [], 9: []})["ar100"] == 0.0


def test_only_so_many_count_the_best_first(data: Path) -> None:
    junk = [text(box(x, 30, x + 1, 31)) for x in range(10)]
    true = [text(box(0, 0, 20, 20)), text(box(30, 0, 60, 40))]
    figures = average_recall(data, {7: [*junk, *true]})
    assert (figures["ar10"], figures["ar100"]) == (0.0, 1.0)


# Strategies


class Half:
    """A segmenter that knows one strategy and no deadline."""

    def everything(self, image: Any, *, strategy: str, **options: Any) -> Any:
        if strategy != "grid" or options:
            raise ConfigError(f"unknown: {strategy} {options}")
        return make_masks([(5, 5, 30, 30)], image.shape[:2])


def test_strategies_that_are_not_there_are_named() -> None:
    seg: Any = Half()
    absent = strategies.missing(seg)
    assert sorted(absent) == ["hierarchical", "objects"]
    assert strategies.known(absent) == ["grid"]
    assert len(strategies.missing(seg, with_deadline=True)) == 3
    made, ms = strategies.ask(seg, np.zeros((40, 60, 3), np.uint8), "grid")
    assert ms > 0
    assert strategies.completeness(made) == 1.0


def test_without_deadlines_there_are_no_rows(data: Path) -> None:
    found = quality.with_deadlines(Half(), data, 0)  # type: ignore[arg-type]
    assert found["rows"] == []
    assert len(found["unknown"]) == 3  # type: ignore[arg-type]
