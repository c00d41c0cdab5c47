"""deploy.sh with an adb whose device is a folder of this machine."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.firmware import machines
from tests.firmware.machines import Machine, snapshot

ADB = machines.RECORDER.with_name("adb")
PHONE = {
    "ro.product.model": "Pixel 8",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.build.version.sdk": "35",
}
Deploy = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def phone(tmp_path: Path) -> Machine:
    """One device that answers."""
    machine = machines.make(tmp_path / "phone", {})
    shutil.copy(ADB, machine.recorder / "bin" / "adb")
    (machine.recorder / "devices").write_text("emulator-5554\n")
    set_properties(machine, PHONE)
    return machine


def set_properties(machine: Machine, properties: dict[str, str]) -> None:
    """What the device says of itself."""
    text = "".join(f"{name}={value}\n" for name, value in properties.items())
    (machine.recorder / "properties").write_text(text)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A manifest with two LiteRT files, one of them listed twice, and an ONNX file."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    engines = []
    for name in ("encoder.tflite", "encoder.tflite", "scorer.tflite", "encoder-512.onnx"):
        (folder / name).write_bytes(name.encode() * 100)
        sha = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        engines.append({"part": "encoder", "file": name, "sha256": sha, "outputs": [{"name": "x"}]})
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "engines": engines}, indent=2))
    return folder


@pytest.fixture
def deploy(phone: Machine, bundle: Path, tmp_path: Path) -> Deploy:
    """Run the script on that bundle and device."""

    def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        places = ("--bundle", str(bundle), "--to", str(tmp_path / "edgesam"))
        report = ("--report", str(tmp_path / "report.txt"))
        return phone.run("android/deploy", *places, *report, *words, **more)

    return run


def test_it_pushes_the_litert_files_and_the_manifest_and_no_others(
    deploy: Deploy, tmp_path: Path, bundle: Path
) -> None:
    done = deploy("--yes")
    assert done.returncode == 0, done.stderr
    there = tmp_path / "edgesam"
    assert {p.name for p in there.iterdir()} == {"encoder.tflite", "scorer.tflite", "manifest.json"}
    assert (there / "scorer.tflite").read_bytes() == (bundle / "scorer.tflite").read_bytes()
    report = (tmp_path / "report.txt").read_text()
    assert "ro.product.model: Pixel 8" in report
    assert "encoder.tflite" in report


def test_a_second_run_pushes_nothing(deploy: Deploy, phone: Machine) -> None:
    deploy("--yes")
    phone.forget_calls()
    assert "Nothing to do." in deploy("--yes").stderr
    assert not any(" push " in call for call in phone.calls())


def test_a_changed_file_alone_is_pushed_again(
    deploy: Deploy, phone: Machine, tmp_path: Path
) -> None:
    deploy("--yes")
    (tmp_path / "edgesam" / "scorer.tflite").write_bytes(b"old")
    phone.forget_calls()
    deploy("--yes")
    pushed = [call.split("/")[-1] for call in phone.calls() if " push " in call]
    assert pushed == ["scorer.tflite"]


def test_a_dry_run_touches_neither_device_nor_folder(deploy: Deploy, tmp_path: Path) -> None:
    done = deploy("--dry-run")
    assert "push encoder.tflite to" in done.stderr
    assert not (tmp_path / "edgesam").exists()
    assert not (tmp_path / "report.txt").exists()


def test_undo_removes_the_folder_from_the_device(deploy: Deploy, tmp_path: Path) -> None:
    before = snapshot(tmp_path / "bundle")
    deploy("--yes")
    deploy("--undo", "--yes")
    assert not (tmp_path / "edgesam").exists()
    assert snapshot(tmp_path / "bundle") == before


def test_a_push_that_was_cut_short_is_noticed(deploy: Deploy) -> None:
    done = deploy("--yes", RECORDER_CUT="yes")
    assert done.returncode == 1
    assert "arrived damaged" in done.stderr


def test_a_damaged_bundle_is_noticed_before_anything_is_pushed(
    deploy: Deploy, bundle: Path, tmp_path: Path
) -> None:
    (bundle / "scorer.tflite").write_bytes(b"altered")
    done = deploy("--yes")
    assert done.returncode == 1
    assert "scorer.tflite: its sha256 is not the manifest's" in done.stderr
    assert not (tmp_path / "edgesam").exists()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ro.product.cpu.abi", "x86_64", "ABI is 'x86_64', expected arm64-v8a"),
        ("ro.build.version.sdk", "21", "API level is 21, expected 23"),
    ],
)
def test_a_device_that_cannot_is_refused(
    deploy: Deploy, phone: Machine, name: str, value: str, words: str
) -> None:
    set_properties(phone, PHONE | {name: value})
    done = deploy("--yes")
    assert done.returncode == 3
    assert words in done.stderr


def test_without_a_device_it_says_what_to_look_at(deploy: Deploy, phone: Machine) -> None:
    (phone.recorder / "devices").write_text("")
    done = deploy("--yes")
    assert done.returncode == 3
    assert "no device answers. Next: adb devices" in done.stderr


def test_of_several_devices_one_has_to_be_named(deploy: Deploy, phone: Machine) -> None:
    (phone.recorder / "devices").write_text("one\ntwo\n")
    assert "several devices: one two. Next: --serial" in deploy("--yes").stderr
    assert deploy("--serial", "two", "--yes").returncode == 0
    assert any(call.startswith("adb -s two push") for call in phone.calls())


def test_the_benchmark_runs_on_every_file_and_its_words_are_in_the_report(
    deploy: Deploy, tmp_path: Path
) -> None:
    tool = tmp_path / "benchmark_model"
    tool.write_text('#!/bin/sh\necho "benchmarked $*"\n')
    assert deploy("--benchmark", str(tool), "--threads", "2", "--yes").returncode == 0
    report = (tmp_path / "report.txt").read_text()
    assert report.count("benchmarked --graph=") == 2
    assert "--num_threads=2 --use_xnnpack=true" in report


def test_a_folder_that_is_not_ours_is_refused(deploy: Deploy) -> None:
    done = deploy("--to", "/data/local/tmp", "--undo", "--yes")
    assert done.returncode == 2
    assert "expected a folder of our own" in done.stderr
