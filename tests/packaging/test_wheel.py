"""The wheel, alone in a clean environment without the repository, cuts out an object."""

from __future__ import annotations

import email
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgesam_rt as es
from edgesam_rt import bundle as bundles
from edgesam_rt.imaging import rle
from tests.packaging.fresh import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PHOTO = ROOT / "demo" / "photos" / "white-car.jpg"
KNOWN = ROOT / "tests" / "golden" / "white-car.json"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the working tree."""
    pytest.importorskip("build", reason="the package `build` is not installed")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)]
    try:
        import hatchling  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        pass
    else:
        command.insert(4, "--no-isolation")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clean environment that has the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    done = subprocess.run(
        [folder / "bin/python", "-m", "pip", "install", "--quiet", str(wheel)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "Connection" in done.stderr + done.stdout:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    yield folder / "bin" / "python"
    shutil.rmtree(folder)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder far from the repository, with a photo."""
    shutil.copy(PHOTO, tmp_path / "car.jpg")
    return tmp_path


def run(command: list[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "EDGESAM"))}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=clean, check=False
    )


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_has_the_bundle_that_ships_and_all_its_files(wheel: Path) -> None:
    found = bundles.find(None)
    wanted = {bundles.MANIFEST, *(entry.file for entry in found.manifest.engines)}
    assert {f"edgesam_rt/bundles/{bundles.DEFAULT}/{name}" for name in wanted} <= names_in(wheel)


def test_the_wheel_has_all_data_files_and_the_types_mark(wheel: Path) -> None:
    data = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "edgesam_rt").rglob("*")
        if path.suffix in (".toml", ".typed", ".html", ".css", ".json")
        and "bundles" not in path.parts
    }
    assert {"edgesam_rt/py.typed", "edgesam_rt/bench/report.schema.json"} <= data
    assert data <= names_in(wheel)


def test_the_wheel_has_nothing_that_belongs_to_the_repository_alone(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in names_in(wheel)}
    info = next(top for top in tops if top.endswith(".dist-info"))
    assert tops == {"edgesam_rt", "edgesam_engines", info}
    assert not [n for n in names_in(wheel) if n.endswith((".safetensors", ".pt", ".pyc"))]


def test_the_wheel_is_small_enough_for_a_board(wheel: Path) -> None:
    assert wheel.stat().st_size < 20e6


def test_the_wheel_says_version_and_what_it_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("METADATA"))
        meta = email.message_from_bytes(archive.read(name))
    needs = [n for n in meta.get_all("Requires-Dist", []) if "extra ==" not in n]
    assert meta["Version"] == es.__version__
    assert not [n for n in needs if n.startswith(("torch", "onnx>", "safetensors"))]


def test_the_package_comes_from_the_environment_and_not_from_here(
    python: Path, outside: Path
) -> None:
    done = run([python, "-c", "import edgesam_rt; print(edgesam_rt.__file__)"], outside)
    assert str(python.parent.parent) in done.stdout


def test_torch_is_not_installed(python: Path, outside: Path) -> None:
    code = (
        "import importlib.util as u; print([n for n in ('torch', 'onnx', 'safetensors') "
        "if u.find_spec(n)])"
    )
    assert run([python, "-c", code], outside).stdout.strip() == "[]"


def test_the_command_cuts_an_object_out_of_a_photo(python: Path, outside: Path) -> None:
    command: list[str | Path] = [python.parent / "edgesam-run", "car.jpg", "--point", "345,60"]
    done = run([*command, "--out", "jsonl:out.jsonl", "--out", "overlay:out.png"], outside)
    assert done.returncode == 0, done.stderr
    (row,) = (json.loads(line) for line in (outside / "out.jsonl").read_text().splitlines())
    text = json.dumps(row)
    known = json.loads(KNOWN.read_text())
    truth = rle.from_runs(rle.decompress(known["counts"]), tuple(known["size"]))
    counts = next(v for v in _values_of(row, "counts"))
    found = rle.from_runs(rle.decompress(str(counts)), tuple(known["size"]))
    assert (found & truth).sum() / (found | truth).sum() > 0.85, text[:300]
    assert (outside / "out.png").stat().st_size > 1000


def _values_of(data: object, key: str) -> Iterator[object]:
    """All values of a key, wherever they stand in plain data."""
    if isinstance(data, dict):
        for name, value in data.items():
            if name == key:
                yield value
            yield from _values_of(value, key)
    elif isinstance(data, list):
        for value in data:
            yield from _values_of(value, key)


def test_the_board_can_be_measured(python: Path, outside: Path) -> None:
    command: list[str | Path] = [python.parent / "edgesam-bench", "--quick", "--quiet"]
    done = run([*command, "--out", "bench.json"], outside)
    assert done.returncode == 0, done.stderr
    assert json.loads((outside / "bench.json").read_text())["complete"] is True


def test_the_program_interface_works(python: Path, outside: Path) -> None:
    code = """
import edgesam_rt as es
with es.open() as seg:
    found = seg.predict(seg.encode(es.read_image("car.jpg")), es.Prompt.point(345, 60))
print(int(found.areas[0]))
"""
    done = run([python, "-W", "error", "-c", code], outside)
    assert done.returncode == 0, done.stderr
    assert 15_000 < int(done.stdout) < 40_000


def test_the_factorys_command_lists_the_bundle(python: Path, outside: Path) -> None:
    done = run([python.parent / "edgesam-engines", "inspect", bundles.DEFAULT], outside)
    assert done.returncode == 0, done.stderr
    assert bundles.DEFAULT in done.stdout


def test_a_missing_file_is_one_sentence_and_exit_code_2(python: Path, outside: Path) -> None:
    done = run([python.parent / "edgesam-run", "no-such.jpg", "--point", "1,1"], outside)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "no-such.jpg" in done.stderr
