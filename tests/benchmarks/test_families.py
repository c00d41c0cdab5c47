"""`python -m benchmarks.families`: rows from several calls, kernels from ONNX Runtime's profile."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import families, kernels, report, tables
from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import Bundle
from tests.benchmarks.family_figures import FAMILIES


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, default_bundle: Bundle) -> Path:
    """Of one call about the bundle that ships, its INT8 encoder in both places."""
    out = tmp_path_factory.mktemp("families") / "families.json"
    folder = str(default_bundle.folder)
    words = ["--fp32", folder, "--int8", folder, "--threads", "1", "--repeats", "2"]
    assert families.main([*words, "--name", "first", "--json", str(out)]) == 0
    return out


def again(result: Path, *more: str) -> int:
    folder = str(bundles.find(None).folder)
    words = ["--fp32", folder, "--threads", "1", "--repeats", "1", "--json", str(result)]
    return families.main([*words, *more])


def test_a_second_call_adds_its_row_and_keeps_the_first(
    result: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = report.read(result).figures["families"]["first"]
    assert again(result, "--name", "second") == 0
    rows = report.read(result).figures["families"]
    assert list(rows) == ["first", "second"]
    assert rows["first"] == before
    assert "| second |" in capsys.readouterr().out


def test_the_shipped_encoder_runs_on_integers_but_for_what_its_recipe_leaves_float(
    result: Path,
) -> None:
    found = report.read(result).figures["families"]["first"]
    assert found["kernels"]["integer_operations"] > 50
    assert "Conv" not in found["kernels"]["float_operations"]
    assert found["kernels"]["ms"]["integer"] > found["kernels"]["ms"]["float"]
    assert 0.5 < found["ratio"] < 2  # the same file twice


def test_rows_of_another_machine_are_not_mixed_in(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = report.read(result)
    other = tmp_path / "other.json"
    report.write(replace(old, environment={**old.environment, "cpu": "another one"}), other)
    assert again(other) == 2
    assert "cpu = 'another one'" in capsys.readouterr().err
    assert json.loads(other.read_text(encoding="utf-8"))["environment"]["cpu"] == "another one"


def test_tables_leave_out_what_was_not_measured() -> None:
    made = dict(tables.MAKERS["families"](FAMILIES))
    assert "| edgesam | 462 | 385 | 170 | 2.27 | 3 |" in made["families"]
    assert "| sam |  | 4000 |  |  | 3 |" in made["families"]
    assert "sam |" in made["families-float"]
    assert "1 Conv, 2 LayerNormalization" in made["families-float"]
    assert "0.99910 | 0.9600 | 0.9550 | 0.9700" in made["families-quality"]


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("QLinearConv", kernels.INTEGER),
        ("DynamicQuantizeMatMul", kernels.INTEGER),
        ("FusedConv", kernels.FLOAT),
        ("QuantizeLinear", kernels.CONVERSION),
        ("Transpose", kernels.MOVE),
    ],
)
def test_kernels_are_told_apart(operation: str, kind: str) -> None:
    assert kernels.kind_of(operation) == kind


def test_the_first_run_warms_up_and_is_not_counted() -> None:
    names = {"cat": "Node", "name": "/conv_kernel_time", "args": {"op_name": "QLinearConv"}}
    events = [{**names, "dur": d} for d in (9000, 1000, 3000)]
    other = {"cat": "Session", "name": "model_loading", "dur": 5, "args": {}}
    found = kernels.from_events([other, *events])
    assert found.ms[kernels.INTEGER] == 2
    assert found.counts[kernels.INTEGER] == {"QLinearConv": 1}
