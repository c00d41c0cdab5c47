"""The cache of plans: real files, real locks, real processes that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgesam_rt.backends.tensorrt.plans import FACTS, PLAN, VERDICT, Plan, plan_for, plans_dir
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import BackendError
from tests.doubles.nvidia.install import environment

FACTS_OF_A_PLAN = {"onnx": "a" * 64, "gpu": "Orin", "tensorrt": "10.3.0"}
PREPARE = """
import sys
from edgesam_rt import backends, bundle
backends.prepare(bundle.find(sys.argv[1]), "tensorrt", lambda text: print(text, flush=True))
"""


@pytest.fixture
def plan(cache: Path) -> Plan:
    del cache
    return plan_for(FACTS_OF_A_PLAN)


def test_a_plan_is_missing_then_unproven_then_trusted(plan: Plan) -> None:
    assert plan.state() == "missing"
    plan.write(b"plan", {"build_seconds": 3.0})
    assert plan.state() == "unproven"
    plan.judge([])
    assert plan.state() == "trusted"
    assert plan.path.read_bytes() == b"plan"


def test_a_plan_that_failed_its_proof_is_refused_with_the_reason(plan: Plan) -> None:
    plan.write(b"plan", {})
    plan.judge(["masks differ"])
    assert plan.state() == "refused"
    assert plan.problems() == ["masks differ"]


def test_a_plan_that_is_built_again_must_be_proved_again(plan: Plan) -> None:
    plan.write(b"plan", {})
    plan.judge(["masks differ"])
    plan.write(b"other", {})
    assert plan.state() == "unproven"


@pytest.mark.parametrize("file", [PLAN, FACTS])
@pytest.mark.parametrize("content", [b"", b"pla", b"{}", b"[1]"])
def test_a_file_that_is_not_as_it_was_written_is_damaged(
    plan: Plan, file: str, content: bytes
) -> None:
    plan.write(b"plan", {})
    plan.judge([])
    (plan.folder / file).write_bytes(content)
    assert plan.state() == "damaged"


def test_a_damaged_verdict_is_none(plan: Plan) -> None:
    plan.write(b"plan", {})
    (plan.folder / VERDICT).write_bytes(b'{"probl')
    assert plan.state() == "unproven"


@pytest.mark.parametrize("key", FACTS_OF_A_PLAN)
def test_whatever_a_plan_depends_on_gives_it_another_place(plan: Plan, key: str) -> None:
    assert plan_for({**FACTS_OF_A_PLAN, key: "other"}).folder != plan.folder
    assert plan_for(dict(reversed(FACTS_OF_A_PLAN.items()))).folder == plan.folder


def test_the_facts_are_kept_beside_the_plan(plan: Plan) -> None:
    plan.write(b"plan", {"build_seconds": 3.0})
    noted = json.loads((plan.folder / FACTS).read_text(encoding="utf-8"))
    assert noted["gpu"] == "Orin"
    assert noted["build_seconds"] == 3.0


def test_a_cache_that_cannot_be_written_to_is_said_with_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EDGESAM_CACHE", str(tmp_path / "file"))
    with pytest.raises(BackendError, match=r"cannot keep plans .*EDGESAM_CACHE"):
        plan_for(FACTS_OF_A_PLAN).write(b"plan", {})


def start(bundle: Bundle, cache: Path, seconds: str) -> subprocess.Popen[str]:
    """A process that builds the bundle's plans, each in this time."""
    env = environment(cache, "10.3.0", TENSORRT_DOUBLE_SECONDS=seconds)
    command = [sys.executable, "-c", PREPARE, str(bundle.folder)]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finished(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    return out


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Until the process says these words."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}")


def test_of_two_processes_one_builds_each_plan(tensorrt_bundle: Bundle, cache: Path) -> None:
    both = [start(tensorrt_bundle, cache, "0.3") for _ in range(2)]
    told = [finished(process) for process in both]
    plans = [e.file for e in tensorrt_bundle.manifest.engines if e.backend == "tensorrt"]
    for file in plans:
        assert sum(text.count(f"{file}: built in") for text in told) == 1, told
    assert any("another process builds this plan; waiting" in text for text in told)


def test_a_build_that_is_killed_leaves_nothing_in_the_way(
    tensorrt_bundle: Bundle, cache: Path
) -> None:
    process = start(tensorrt_bundle, cache, "30")
    wait_for(process, "building a plan")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [p for p in plans_dir().iterdir() if p.is_dir() and not p.name.startswith(".")] == []
    started = time.monotonic()
    assert "built in" in finished(start(tensorrt_bundle, cache, "0"))
    assert time.monotonic() - started < 20, "the killed process's lock was waited for"


def test_what_a_killed_process_left_half_written_is_swept_away(plan: Plan) -> None:
    left = plan.folder.with_name(f".{plan.folder.name}.killed")
    left.mkdir(parents=True)
    (left / PLAN).write_bytes(os.urandom(64))
    with plan.lock(lambda: None):
        plan.write(b"plan", {})
    assert not left.exists()
    assert plan.state() == "unproven"
