from __future__ import annotations

from pathlib import Path

from benchmarks import environment
from tests.bench.machines import RASPBERRY, write


def test_the_environment_says_what_figures_depend_on() -> None:
    found = environment.collect()
    for key in ("cpu", "cpu_flags", "cores_usable", "load_average", "onnxruntime", "date"):
        assert found[key], key


def test_the_governor_is_read_where_there_is_one(tmp_path: Path) -> None:
    assert environment.collect(tmp_path)["governor"] is None
    assert environment.collect(write(tmp_path, RASPBERRY))["governor"] == "ondemand"
