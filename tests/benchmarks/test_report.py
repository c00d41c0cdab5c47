from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report, tables
from benchmarks.report import Report
from edgesam_rt.errors import ConfigError
from tests.bench.reports import MEANS
from tests.benchmarks.arm_figures import FIGURES as ARM
from tests.benchmarks.budget_figures import BUDGETS, OVERLAP
from tests.benchmarks.everything_figures import FIGURES as EVERYTHING
from tests.benchmarks.family_figures import FAMILIES
from tests.benchmarks.service_figures import HTTP_ATTACK, SOAK

ROW = {"n": 20, "min": 1.0, "p50": 2.0, "p95": 3.0, "p99": 4.0}
ENVIRONMENT = {
    "cpu": "a CPU",
    "cpu_flags": ["avx2"],
    "cores_usable": 2,
    "load_average": [0.1, 0.2, 0.3],
    "python": "3.11",
    "onnxruntime": "1.31",
    "git_commit": "abc",
    "date": "2026-01-02T03:04:05+00:00",
    "others_cpu_share": 0.02,
}
SIZES = ("all", "small", "medium")
MIOU = {**{s: {"objects": 9, **MEANS} for s in SIZES}, "large": {"objects": 0}}
LESS = {m: {"points": -0.25, "standard_error": 0.05} for m in ("box", "point", "clicks")}
ACCURACY = {
    "photos": 3,
    "objects": 9,
    "rows": [
        {"name": "float at 512", "miou": MIOU},
        {"name": "int8 at 512", "miou": MIOU, "compared_with": "float", "difference": LESS},
    ],
}
SPEED = {
    "encoder": [
        {
            "side": 512,
            "threads": 1,
            "float": {"engine_ms": ROW},
            "int8": {"engine_ms": ROW},
            "ratio_p50": 2.0,
            "ratio_min": 2.1,
        }
    ],
    "decoder": [{"prompts": 16, "wall_ms": ROW, "each_ms": 0.125, "scorer_ms": ROW}],
    "overhead": {"total": ROW, "added": ROW},
    "chunks": [{"set": "MASK_CHUNK=8", "each_ms": 0.5, "each_ms_min": 0.4}],
}
STAGES = {name: {"n": 9, "p50_ms": 1, "p95_ms": 2, "p99_ms": 3} for name in ("encode", "age")}
IMPORT = {"n": 15, "median_ms": 3.0, "min_ms": 2.0, "heavy_modules": []}
PIPELINE = {
    "import": IMPORT,
    "import_and_use": IMPORT,
    "runs": [
        {
            "clip": "a clip",
            "results": 9,
            "fps": 20.0,
            "allowed_fps": 21.0,
            "slowest_thread": "encode",
            "ratio": 0.95,
            "stages": STAGES,
            "peak_memory_mib": 200.0,
            "first_result_s": 1.5,
        }
    ],
}
SUMS = {
    "mmacs": 2500.0,
    "mbytes": 150.0,
    "ms": 25.0,
    "possible_ms": 10.0,
    "lost_ms": 15.0,
    "share": 0.4,
}
LIMIT = {
    "machine": [
        {
            "threads": 1,
            "gmacs_per_s": {"int8": {"QLinearConv": 300.0}, "fp32": {"Conv": 80.0}},
            "bandwidth": [[1048576, 60.0]],
        }
    ],
    "engines": [
        {
            "precision": "int8",
            "side": 512,
            "threads": 1,
            "run_ms": ROW,
            "all": SUMS,
            "kinds": [{"kind": "depthwise", "nodes": 24, **SUMS}],
            "worst": [{"name": "/conv", "op": "QLinearConv", "kind": "depthwise", **SUMS}],
        }
    ],
}
BACKENDS = {
    "bundles": [
        {
            "precision": "int8",
            "speed": [
                {
                    "backend": backend,
                    "side": 512,
                    "threads": 1,
                    **dict.fromkeys(("encoder", "point", "points"), ROW),
                }
                for backend in ("onnxruntime", "litert")
            ],
            "agreement": [
                {
                    "side": 512,
                    "photos": 2,
                    "prompts": 4,
                    "mean_iou": 0.99,
                    "p10_iou": 0.98,
                    "worst_iou": 0.97,
                }
            ],
        }
    ]
}
TRACKING: dict[str, Any] = {
    "clips": [
        {
            "clip": "davis_dog",
            "frames": 60,
            "ways": {"track": {"j": 0.8, "empty": 0.0}, "true box": {"j": 0.9, "empty": 0.0}},
        }
    ],
    "mean_j": {"track": 0.8, "true box": 0.9},
    "times": [{"objects": 4, "seen": 3.5, "wall_ms": {"p50": 10.0, "p95": 20.0}}],
}
FIGURES: dict[str, dict[str, Any]] = {
    "accuracy": ACCURACY,
    "accuracy-clips": ACCURACY,
    "accuracy-torch": ACCURACY,
    "backends": BACKENDS,
    "everything": EVERYTHING,
    "families": FAMILIES,
    "http-attack": HTTP_ATTACK,
    "soak": SOAK,
    "speed": SPEED,
    "overlap": OVERLAP,
    "pipeline": PIPELINE,
    **BUDGETS,
    "limit": LIMIT,
    "tracking": TRACKING,
    "arm-proof": ARM,
}


def made(case: str) -> Report:
    return Report(case, f"python -m benchmarks.{case}", ENVIRONMENT, {"threads": 1}, FIGURES[case])


@pytest.mark.parametrize("case", FIGURES)
def test_a_report_comes_back_from_its_file(case: str, tmp_path: Path) -> None:
    path = tmp_path / "results" / f"{case}.json"
    report.write(made(case), path)
    assert report.read(path) == made(case)
    assert json.loads(path.read_text())["schema"] == report.SCHEMA


@pytest.mark.parametrize("text", ["", "[1]", '{"case": "speed"}'])
def test_a_file_that_is_no_report_is_refused_by_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"other\.json"):
        report.read(path)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    report.write(Report("speed", "", {}, {}, {}, schema=0), path)
    with pytest.raises(ConfigError, match="schema 0"):
        report.read(path)


def test_there_is_a_row_of_figures_for_every_case() -> None:
    assert set(tables.MAKERS) == set(FIGURES)


@pytest.mark.parametrize("case", FIGURES)
def test_every_table_is_whole_and_says_how_it_was_made(case: str) -> None:
    for text in tables.make([made(case)]).values():
        lines = [line for line in text.splitlines() if line.startswith("|")]
        assert len(lines) >= 3
        assert len({line.count("|") for line in lines}) == 1
        assert f"python -m benchmarks.{case}" in text
        assert "2 % of the cores used by others" in text


def test_the_accuracy_table_shows_points_and_differences() -> None:
    text = tables.make([made("accuracy")])["accuracy"]
    assert "| float at 512 | 70.0 | 40.0 |" in text
    assert "| int8 at 512 | 70.0 (-0.25 ± 0.05) |" in text


def test_only_what_stands_between_markers_is_replaced() -> None:
    text = (
        "# Title\n<!-- bench:speed -->\nold\nolder\n<!-- /bench -->\nkept\n"
        "<!-- bench:import -->\n<!-- /bench -->\nend\n"
    )
    filled = report.fill(text, {"speed": "| 1 |\n", "import": "| 2 |\n", "other": "| 3 |\n"})
    assert filled == (
        "# Title\n<!-- bench:speed -->\n| 1 |\n<!-- /bench -->\nkept\n"
        "<!-- bench:import -->\n| 2 |\n<!-- /bench -->\nend\n"
    )
    assert report.fill(filled, {"speed": "| 1 |\n", "import": "| 2 |\n"}) == filled


def test_a_marker_without_a_table_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'speed'"):
        report.fill("<!-- bench:sped -->\n<!-- /bench -->\n", {"speed": ""})


def test_the_command_fills_a_readme(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, readme = tmp_path / "speed.json", tmp_path / "README.md"
    report.write(made("speed"), result)
    readme.write_text("a\n<!-- bench:speed-decoder -->\n<!-- /bench -->\nb\n")
    assert report.main([str(result), "--update", str(readme)]) == 0
    assert "| 16 (n = 20) | 2.00 |" in readme.read_text()
    assert report.main([str(result)]) == 0
    assert "| 16 (n = 20) | 2.00 |" in capsys.readouterr().out


def test_a_recorder_writes_what_it_was_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "speed.json"
    args = argparse.Namespace(json=path, data=Path("data"), threads=[1, 2])
    report.Recorder("speed", "benchmarks.speed", args, torch="2").finish(SPEED)
    found = report.read(path)
    assert found.parameters == {"data": "data", "threads": [1, 2]}
    assert found.environment["torch"] == "2"
    assert 0 <= found.environment["others_cpu_share"] <= 1
    assert "speed-encoder" in tables.make([found])
    assert "| side 512, 1 thread |" in capsys.readouterr().out
