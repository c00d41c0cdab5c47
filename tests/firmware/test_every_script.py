"""What all provisioning scripts promise: a plan first, nothing twice, and a way back."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.firmware import machines
from tests.firmware.machines import SCRIPTS, Machine, snapshot

NOBODY = 65534
SCRIPT_NAMES = [
    *("pi", "jetson", "install", "uninstall", "collect-report", "trim", "android/deploy"),
]


@dataclass(frozen=True)
class Case:
    """A script on its machine, with the options it is given."""

    script: str
    words: tuple[str, ...]
    machine: Machine


@pytest.fixture(params=["pi", "jetson", "install-on-pi", "install-on-jetson"])
def case(request: pytest.FixtureRequest, pi: Machine, jetson: Machine, wheel: str) -> Case:
    """Every script that changes a machine, on each kind it is for."""
    installs = ("--wheel", wheel)
    return {
        "pi": Case("pi", ("--camera", "imx708,cam0"), pi),
        "jetson": Case("jetson", ("--clocks",), jetson),
        "install-on-pi": Case("install", installs, pi),
        "install-on-jetson": Case("install", installs, jetson),
    }[request.param]


def test_a_dry_run_prints_the_plan_and_changes_nothing(case: Case) -> None:
    before = snapshot(case.machine.root)
    done = case.machine.run(case.script, *case.words, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "To be changed:" in done.stderr
    assert "  1. " in done.stderr
    assert snapshot(case.machine.root) == before
    assert case.machine.changes() == []


def test_a_run_does_what_its_plan_says_and_a_second_finds_nothing_to_do(case: Case) -> None:
    first = case.machine.run(case.script, *case.words, "--yes")
    assert first.returncode == 0, first.stderr
    assert case.machine.changes()
    after = snapshot(case.machine.root)
    case.machine.forget_calls()
    second = case.machine.run(case.script, *case.words, "--yes")
    assert "Nothing to do." in second.stderr
    assert case.machine.changes() == []
    assert snapshot(case.machine.root) == after


@pytest.mark.parametrize("way_back", ["uninstall", "undo"])
def test_the_way_back_restores_every_byte(case: Case, way_back: str) -> None:
    before = snapshot(case.machine.root)
    case.machine.run(case.script, *case.words, "--yes")
    assert snapshot(case.machine.root) != before
    command = ("uninstall",) if way_back == "uninstall" else (case.script, "--undo")
    done = case.machine.run(*command, "--yes")
    assert done.returncode == 0, done.stderr
    left = snapshot(case.machine.root)
    assert _without_state_folders(left) == _without_state_folders(before)
    again = case.machine.run("uninstall", "--yes")
    assert "Nothing to do." in again.stderr


def _without_state_folders(tree: dict[str, tuple[int, bytes]]) -> dict[str, tuple[int, bytes]]:
    """/var and /var/lib are part of every system; these small ones have none before."""
    return {name: entry for name, entry in tree.items() if name not in ("var", "var/lib")}


def test_a_step_that_fails_is_done_by_the_next_run(case: Case) -> None:
    planned = case.machine.run(case.script, *case.words, "--dry-run").stderr
    steps = [line for line in planned.splitlines() if line[:4].strip().rstrip(".").isdigit()]
    case.machine.forget_calls()
    whole = machines.make(case.machine.root.parent / "whole", {})
    shutil.copytree(case.machine.root, whole.root, dirs_exist_ok=True)
    expected = whole.run(case.script, *case.words, "--yes")
    assert expected.returncode == 0, expected.stderr
    failing = sorted({call.split()[0] for call in whole.changes()})
    for command in failing:
        broken = case.machine.run(case.script, *case.words, "--yes", RECORDER_FAIL=f"{command} *")
        assert "Done." not in broken.stderr or broken.returncode == 0, (command, steps)
    mended = case.machine.run(case.script, *case.words, "--yes")
    assert mended.returncode == 0, mended.stderr
    assert _modes_and_names(case.machine.root) == _modes_and_names(whole.root)


def _modes_and_names(root: Path) -> dict[str, int]:
    return {name: mode for name, (mode, _) in snapshot(root).items() if "journal" not in name}


def test_without_a_terminal_it_asks_for_yes_and_changes_nothing(case: Case) -> None:
    before = snapshot(case.machine.root)
    done = case.machine.run(case.script, *case.words)
    assert done.returncode == 2
    assert "add --yes" in done.stderr
    assert snapshot(case.machine.root) == before


@pytest.mark.parametrize("script", SCRIPT_NAMES)
def test_help_is_the_head_of_the_script(script: str, pi: Machine) -> None:
    done = pi.run(script, "--help")
    assert done.returncode == 0
    assert f"./{script.rpartition('/')[2]}.sh" in done.stdout
    assert "--dry-run" in done.stdout
    assert "Exit codes: 0 good" in done.stdout
    assert "set -euo" not in done.stdout


@pytest.mark.parametrize("script", SCRIPT_NAMES)
def test_an_unknown_option_is_named(script: str, pi: Machine) -> None:
    done = pi.run(script, "--colour")
    assert done.returncode == 2
    name = script.rpartition("/")[2]
    assert f"error: {name}.sh: unknown option --colour. Next: {name}.sh --help" in done.stderr


@pytest.mark.parametrize("script", ["uninstall", "collect-report", "trim"])
def test_a_script_that_cannot_undo_refuses_to_be_asked(script: str, pi: Machine) -> None:
    done = pi.run(script, "--undo")
    assert done.returncode == 2
    assert "unknown option --undo" in done.stderr


@pytest.mark.parametrize(("script", "option"), [("pi", "--swap-mib"), ("jetson", "--power-mode")])
def test_an_option_without_its_value_is_named(script: str, option: str, pi: Machine) -> None:
    done = pi.run(script, option)
    assert done.returncode == 2
    assert f"{option} needs a value" in done.stderr


def test_a_number_that_is_none_is_refused(pi: Machine) -> None:
    done = pi.run("pi", "--swap-mib", "2G")
    assert done.returncode == 2
    assert "--swap-mib expects a whole number, got '2G'" in done.stderr


@pytest.mark.parametrize("script", ["install", "uninstall"])
def test_without_root_it_says_so(script: str) -> None:
    with TemporaryDirectory() as folder:  # pytest's own are closed to others
        Path(folder).chmod(0o755)
        copy = shutil.copytree(SCRIPTS, Path(folder) / "scripts")
        done = subprocess.run(
            ["bash", str(copy / f"{script}.sh"), "--yes"],
            capture_output=True,
            text=True,
            user=NOBODY if os.geteuid() == 0 else None,
        )
    assert done.returncode == 3
    assert "needs root. Next: sudo" in done.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    files = sorted([*SCRIPTS.rglob("*.sh"), *(machines.REPOSITORY / "benchmarks").rglob("*.sh")])
    done = subprocess.run(["shellcheck", *map(str, files)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
