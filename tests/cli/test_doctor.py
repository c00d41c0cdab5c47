"""`edgesam-doctor` in this process: on this machine with real engines, and on machines of files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgesam_rt import backends
from edgesam_rt.bundle import Bundle
from edgesam_rt.cli import doctor
from edgesam_rt.doctor import report as reports
from edgesam_rt.doctor import table, visit
from tests import doctor_doubles as d
from tests.bundle_doubles import linked_copy
from tests.cli.workplace import Ran
from tests.doubles.nvidia.install import GENERATIONS, installed, with_tensorrt
from tests.packaging.fresh import run_fresh
from tests.unit.test_boards_detection import ACME, NEW_BOARD

pytestmark = pytest.mark.timeout(180)

Doctor = Callable[..., Ran]
NO_ENGINES = tuple(row for row in table.CHECKS if row.name != "engines")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Doctor:
    def call(*args: str | Path, on: doctor.Machine | None = None) -> Ran:
        capsys.readouterr()
        try:
            code = doctor.main([str(a) for a in args], on)
        except SystemExit as left:  # argparse
            code = int(left.code or 0)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return call


@pytest.fixture
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the engines at work: what they need is no file below a root."""
    monkeypatch.setattr(visit, "CHECKS", NO_ENGINES)


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reports.SCHEMA_FILE.read_text())
    return found


def found_by(report: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return [check["finding"] for check in report["checks"] if check["name"] == name]


def test_the_schema_beside_the_code_is_made_of_the_code() -> None:
    assert reports.SCHEMA_FILE.read_bytes() == reports.json_schema(), (
        "run python -m edgesam_rt.doctor.report"
    )


def test_this_machine_with_the_real_bundle_and_real_engines(run: Doctor) -> None:
    ran = run("--board", "cpu", "--quick", "--json")
    assert ran.code == 0, ran.out
    report = json.loads(ran.out)
    jsonschema.validate(report, schema())
    engine = next(f for f in found_by(report, "engines") if f["facts"].get("backend"))
    assert "self-test passed" in engine["said"]
    assert engine["facts"]["encode_ms"] > 0
    assert {row.name for row in table.CHECKS} == {check["name"] for check in report["checks"]}
    assert sum(report["counts"].values()) == len(report["checks"])
    assert report["proofs"] is None


def test_the_text_is_grouped_plain_and_fits_eighty_columns(run: Doctor) -> None:
    ran = run("--board", "cpu", "--quick")
    assert ran.err == ""
    for group in dict.fromkeys(row.group for row in table.CHECKS):
        assert f"\n{group}\n" in ran.out
    assert "\x1b" not in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    assert ran.out.splitlines()[-1].endswith("Nothing fails.")


def test_a_proof_is_one_file_with_findings_environment_and_figures(
    run: Doctor, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "board.json"
    ran = run("--board", "cpu", "--quick", "--prove", "--out", out)
    assert ran.code == 0, ran.out + ran.err
    assert "please send it back" in ran.err
    report = json.loads(out.read_text())
    jsonschema.validate(report, schema())
    proof = report["proofs"]["onnxruntime"]
    assert proof["passed"]
    assert {side["side"] for side in proof["sides"]} == {512, 384}
    assert report["machine"]["cpu"]
    assert report["software"]["python"]


@pytest.mark.usefixtures("quick_checks")
@pytest.mark.parametrize(
    ("files", "tools", "code", "words"),
    [
        (d.PI5, d.HEALTHY_PI, 0, "Raspberry Pi 5 (rpi5)"),
        (d.PI5, d.LOW_VOLTS, 1, "under-voltage"),
        (d.OLD_NANO, {}, 0, "TensorRT 8.2 is below 8.5"),
        (d.ORIN, d.JETSON_TOOLS, 0, "JetPack 6.1 or 6.2"),
        ({"proc/meminfo": d.LITTLE}, {}, 1, "100 of 512 MiB free"),
    ],
    ids=["healthy Pi", "under-voltage", "old Jetson", "Orin", "little memory"],
)
def test_the_exit_code_says_whether_something_fails(
    files: Mapping[str, str],
    tools: d.Tools,
    code: int,
    words: str,
    run: Doctor,
    tmp_path: Path,
) -> None:
    ran = run(on=d.machine(tmp_path, files, tools))
    assert ran.code == code, ran.out
    assert words in " ".join(ran.out.split())


@pytest.mark.usefixtures("quick_checks")
def test_a_report_of_a_machine_of_files_is_valid_by_the_schema(run: Doctor, tmp_path: Path) -> None:
    ran = run("--json", on=d.machine(tmp_path, d.ORIN, d.JETSON_TOOLS))
    report = json.loads(ran.out)
    jsonschema.validate(report, schema())
    assert (report["board"], report["detected"]) == ("jetson-orin-nano", "jetson-orin-nano")
    assert report["reading"]["temperatures_c"] == {"cpu-thermal": 48.0}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**report, "surplus": 1}, schema())


@pytest.mark.usefixtures("quick_checks")
def test_a_new_board_is_one_file_for_the_doctor_too(
    run: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "boards"
    own.mkdir()
    (own / "acme-one.toml").write_text(NEW_BOARD)
    monkeypatch.setenv("EDGESAM_BOARDS", str(own))
    machine = d.machine(tmp_path / "root", {**ACME, "proc/meminfo": d.MEMINFO})
    for board in ("auto", "acme-one"):
        ran = run("--board", board, on=machine)
        assert ran.code == 0, ran.out
        assert "Acme One (acme-one)" in ran.out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--board", "rpi6"], "Did you mean 'rpi"),
        (["--bundle", "no-such"], "unknown bundle"),
        (["--bundle", "/no/such"], "no such folder"),
        (["--surplus"], "unrecognized arguments"),
        (["--out", "."], "is a folder"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(
    args: list[str], words: str, run: Doctor
) -> None:
    ran = run(*args)
    assert ran.code == 2
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert ran.out == ""


def test_an_altered_engine_fails_with_the_next_step(
    run: Doctor, default_bundle: Bundle, tmp_path: Path
) -> None:
    folder = linked_copy(default_bundle, tmp_path / "altered")
    engine = folder / "scorer.onnx"
    content = bytearray(engine.read_bytes())
    content[100] ^= 1
    engine.unlink()
    engine.write_bytes(content)
    ran = run("--board", "cpu", "--quick", "--bundle", folder)
    assert ran.code == 1
    assert "was altered" in ran.out
    assert "Install the bundle again." in ran.out


def test_a_proof_without_the_boards_first_backend_is_exit_code_3_with_a_report(
    run: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = backends.available()
    monkeypatch.setattr(backends, "available", lambda: tuple(n for n in real if n != "tensorrt"))
    out = tmp_path / "jetson.json"
    ran = run("--board", "jetson-orin-nano", "--quick", "--prove", "--out", out)
    assert ran.code == 3
    assert "not proved: tensorrt is not installed here" in ran.err
    report = json.loads(out.read_text())
    assert report["proofs"]["onnxruntime"]["passed"]
    assert found_by(report, "tensorrt")[-1]["said"] == "not installed"


def test_a_jetson_without_plans_gets_them_built_and_proved(
    run: Doctor, default_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On doubles of TensorRT and pycuda: no GPU was met."""
    monkeypatch.setenv("EDGESAM_CACHE", str(tmp_path / "cache"))
    words = ("--board", "jetson-orin-nano", "--quick", "--json")
    with installed(GENERATIONS[-1]):
        folder = with_tensorrt(default_bundle, tmp_path / "bundle")
        out = tmp_path / "jetson.json"
        first = run(*words, "--bundle", folder, "--prove", "--out", out)
        second = run(*words, "--bundle", folder)
    assert first.code == 0, first.out
    report = json.loads(out.read_text())
    jsonschema.validate(report, schema())
    assert "no plan was built here yet" in found_by(report, "engines")[0]["said"]
    assert report["proofs"]["tensorrt"]["passed"]
    assert report["proofs"]["tensorrt"]["sides"][0]["compared"]["prompts"] > 0
    engines = found_by(json.loads(second.out), "engines")
    assert "tensorrt at side 512: self-test passed" in engines[0]["said"]


@pytest.mark.usefixtures("quick_checks")
def test_a_proof_that_breaks_is_in_the_report(
    run: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **more: object) -> None:
        raise AttributeError("no attribute 'execute_async_v3'")

    monkeypatch.setattr(visit, "prove", broken)
    out = tmp_path / "r.json"
    ran = run("--board", "cpu", "--prove", "--out", out)
    assert ran.code == 1
    proof = json.loads(out.read_text())["proofs"]["onnxruntime"]
    assert proof["problems"] == ["AttributeError: no attribute 'execute_async_v3'"]
    assert "Traceback" in proof["traceback"]


@pytest.mark.usefixtures("quick_checks")
def test_a_proof_with_many_problems_tells_the_first_and_counts_the_rest(
    run: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = [f"problem {i}" for i in range(5)]
    monkeypatch.setattr(visit, "prove", lambda *a, **k: {"passed": False, "problems": problems})
    out = tmp_path / "r.json"
    ran = run("--board", "jetson-nano", "--prove", "--out", out)
    assert ran.code == 1
    assert "problem 0; problem 1; 3 more in the report" in ran.out
    assert json.loads(out.read_text())["proofs"]["onnxruntime"]["problems"] == problems


@pytest.mark.usefixtures("quick_checks")
def test_the_findings_are_on_disk_before_a_proof_begins(
    run: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "r.json"
    seen: list[Any] = []

    def dies(*args: object, **more: object) -> dict[str, Any]:
        seen.append(json.loads(out.read_text())["checks"])
        return {"passed": False, "problems": ["died"]}

    monkeypatch.setattr(visit, "prove", dies)
    run("--board", "cpu", "--prove", "--out", out)
    assert len(seen[0]) >= len(NO_ENGINES)


def test_a_machine_without_onnxruntime_is_told_so() -> None:
    code = """
from edgesam_rt.cli.doctor import main
print("code", main(["--board", "jetson-nano", "--quick"]))
"""
    out = " ".join(run_fresh(code, blocked=["onnxruntime"]).split())
    assert "onnxruntime is not installed, and nothing else runs engines here" in out
    assert "pip install" in out
    assert out.endswith("code 1")


@pytest.mark.parametrize("package", ["numpy", "msgspec"])
def test_a_broken_base_install_is_said_in_one_sentence(package: str) -> None:
    code = """
import io, sys
from edgesam_rt.cli.entry import doctor
sys.stderr = io.StringIO()
code = doctor()
print(code, sys.stderr.getvalue())
"""
    out = run_fresh(code, blocked=[package])
    assert out.startswith("3 error: edgesam_rt is not installed in full: ")
    assert package in out
    assert "pip install" in out


def test_a_damaged_bundle_is_a_finding_and_the_rest_is_examined(
    run: Doctor, default_bundle: Bundle, tmp_path: Path
) -> None:
    folder = linked_copy(default_bundle, tmp_path / "damaged")
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").write_text("{")
    ran = run("--board", "cpu", "--bundle", folder)
    assert ran.code == 1
    assert "is damaged" in ran.out
    assert "generic CPU" in ran.out


def test_help_fits_eighty_columns(run: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = run("--help")
    assert ran.code == 0
    assert not [line for line in ran.out.splitlines() if len(line) > 80]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_normal_user_who_may_write_nowhere_is_examined_too() -> None:
    """The first visit loads the libraries: `nobody` may not read every interpreter's folder."""
    code = """
import os
from edgesam_rt.cli.doctor import main
visit = ["--board", "cpu", "--quick"]
main(visit)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print("as nobody")
print("code", main(visit))
"""
    out = " ".join(run_fresh(code).partition("as nobody")[2].split())
    assert "self-test passed" in out
    assert out.endswith("code 0")
