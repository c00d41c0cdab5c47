"""Each check on machines made of files: good ones, and each fault it is there to find."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgesam_rt.doctor.checks import (
    board,
    cameras,
    heat,
    jetson,
    memory,
    processor,
    software,
)
from tests import doctor_doubles as d
from tests.bench.machines import PMIC, THERMAL
from tests.doctor_doubles import Check, Tools, look

ZONE = f"{THERMAL}/thermal_zone0/temp"
Case = tuple[str, Check, Mapping[str, str], Tools, str, str]

# what it is about, the check, the machine, its tools, the status, words of what is said
GOOD: list[Case] = [
    ("a Pi 5", board.board, d.PI5, {}, "PASS", "Raspberry Pi 5 (rpi5), model"),
    ("its system", board.system, d.PI5, {}, "PASS", "Debian GNU/Linux 12"),
    ("SDOT", processor.processor, d.PI5, {}, "PASS", "dot products (SDOT, UDOT)"),
    ("no SDOT on A72", processor.processor, d.PI4, {}, "PASS", "no dot products"),
    ("memory", memory.memory, d.PI5, {}, "PASS", "6016 of 8064 MiB free, 200 MiB swap"),
    ("disk", memory.disk, d.PI5, {}, "PASS", "MiB free"),
    ("warmth", heat.temperature, d.PI5, {}, "PASS", "61 C (cpu-thermal)"),
    ("no throttling", heat.throttling, d.PI5, d.HEALTHY_PI, "PASS", "never since boot"),
    ("governor", heat.power_mode, d.PI5, {}, "PASS", "governor ondemand"),
    ("pmic", heat.power_sensor, d.PI5, {"vcgencmd pmic_read_adc": PMIC}, "PASS", "power chip"),
    ("a USB camera", cameras.cameras, d.PI5, {}, "PASS", "V4L2: video0 (HD Pro Webcam C920)"),
    ("rights", cameras.rights, d.PI5, {}, "PASS", "all 4 devices may be opened"),
    ("an Orin", board.board, d.ORIN, {}, "PASS", "Jetson Orin Nano (jetson-orin-nano)"),
    ("JetPack 6", jetson.jetpack, d.ORIN, {}, "PASS", "L4T R36.4.3, JetPack 6.1 or 6.2"),
    ("MAXN", heat.power_mode, d.ORIN, d.JETSON_TOOLS, "PASS", "power mode MAXN_SUPER"),
    ("INA", heat.power_sensor, d.ORIN, {}, "PASS", "INA monitor, VDD_IN"),
    ("its limit", heat.temperature, d.ORIN, {}, "PASS", "48 C"),
    ("its cooling", heat.throttling, d.ORIN, {}, "PASS", "not held back"),
    ("a PC", board.board, d.BARE, {}, "PASS", "generic CPU (cpu)"),
    ("another board", board.board, d.ACME_TREE, {}, "PASS", "no board file of its own"),
    ("python", board.python, d.BARE, {}, "PASS", "Python 3."),
    ("libraries", software.libraries, d.BARE, {}, "PASS", "numpy "),
    ("backends", software.backends, d.PI5, {}, "PASS", "onnxruntime: onnxruntime"),
]
BAD: list[Case] = [
    ("little memory", memory.memory, {"proc/meminfo": d.LITTLE}, {}, "FAIL", "100 of 512 MiB free"),
    (
        *("a container's limit", memory.memory),
        *({**d.PI5, "sys/fs/cgroup/memory.max": "134217728"}, {}, "FAIL", "128 of 8064 MiB free"),
    ),
    ("no /proc", memory.memory, d.BARE, {}, "WARN", "tells nothing"),
    ("under-voltage", heat.throttling, d.PI5, d.LOW_VOLTS, "FAIL", "now: under-voltage"),
    (
        *("earlier under-voltage", heat.throttling),
        *(d.PI5, d.LOW_VOLTS_BEFORE, "WARN", "since boot: under-voltage has occurred"),
    ),
    ("earlier heat", heat.throttling, d.PI5, d.HOT_BEFORE, "WARN", "soft temperature limit has"),
    ("no vcgencmd", heat.throttling, d.PI5, {}, "WARN", "vcgencmd is missing"),
    (
        "a hot Pi",
        heat.temperature,
        {**d.PI5, ZONE: "78000"},
        {},
        "WARN",
        "limit of cpu-thermal (80",
    ),
    ("a hot Orin", heat.temperature, {**d.ORIN, ZONE: "95500"}, {}, "WARN", "cpu-thermal (99 C)"),
    (
        *("a slowed Orin", heat.throttling),
        *({**d.ORIN, f"{THERMAL}/cooling_device0/cur_state": "1"}, {}, "WARN", "cpufreq-cpu0"),
    ),
    ("a slow mode", heat.power_mode, d.ORIN, d.SLOW_JETSON, "WARN", "power mode 15W; MAXN_SUPER"),
    ("no nvpmodel", heat.power_mode, d.ORIN, {}, "WARN", "nvpmodel tells no power mode"),
    ("old JetPack", jetson.jetpack, d.OLD_ORIN, {}, "WARN", "the wrong one for this board"),
    ("JetPack 4", jetson.jetpack, d.OLD_NANO, {}, "WARN", "TensorRT 8.2 is below 8.5"),
    ("Python 3.6", jetson.jetpack, d.OLD_NANO, {}, "WARN", "Python 3.6 is below 3.10"),
    ("old TensorRT", jetson.tensorrt, d.ORIN, d.SLOW_JETSON, "WARN", "8.5 or newer is needed"),
    ("no TensorRT", jetson.tensorrt, d.ORIN, {}, "WARN", "TensorRT not found"),
    ("no pycuda", jetson.tensorrt, d.ORIN, d.JETSON_TOOLS, "WARN", "pycuda not installed"),
    ("no TensorRT binding", software.backends, d.ORIN, {}, "WARN", "tensorrt is not installed"),
    ("AVX2 alone", processor.processor, {"proc/cpuinfo": "flags : avx2"}, {}, "WARN", "saturate"),
    ("nothing known", processor.processor, d.BARE, {}, "WARN", "no instructions known"),
]
NOT_HERE: list[Case] = [
    ("no camera", cameras.cameras, d.BARE, {}, "SKIP", "no camera is connected"),
    ("no device", cameras.rights, d.BARE, {}, "SKIP", "no device of this board"),
    ("no sensor", heat.temperature, d.BARE, {}, "SKIP", "no sensor"),
    ("no throttling", heat.throttling, d.BARE, {}, "SKIP", "nothing else tells"),
    ("no modes", heat.power_mode, d.BARE, {}, "SKIP", "nothing tells"),
    ("no Jetson", jetson.jetpack, d.PI5, {}, "SKIP", "not a Jetson"),
    ("no GPU", jetson.tensorrt, d.PI5, {}, "SKIP", "do not use TensorRT"),
    ("no TensorRT on a Nano", jetson.tensorrt, d.OLD_NANO, {}, "SKIP", "do not use TensorRT"),
    ("no power sensor", heat.power_sensor, d.PI4, {}, "SKIP", "no power sensor"),
    ("no tflite", software.numpy_of_tflite, d.BARE, {}, "SKIP", "not installed"),
]


@pytest.mark.parametrize("case", [*GOOD, *BAD, *NOT_HERE], ids=lambda case: case[0])
def test_a_check_says_what_there_is(case: Case, tmp_path: Path) -> None:
    _, check, files, tools, status, words = case
    found = look(check, tmp_path, files, tools)
    assert [f for f in found if f.status == status and words in f.said], found


@pytest.mark.parametrize("case", [*GOOD, *BAD, *NOT_HERE], ids=lambda case: case[0])
def test_what_is_not_good_comes_with_a_next_step(case: Case, tmp_path: Path) -> None:
    for found in look(case[1], tmp_path, case[2], case[3]):
        assert found.said
        if found.status in ("WARN", "FAIL"):
            assert found.next_step, found
        if found.status == "SKIP":
            assert found.next_step or "nothing to do" in found.said or "serves" in found.said


def test_the_next_step_of_a_power_mode_has_the_boards_own_number(tmp_path: Path) -> None:
    conf = d.NVPMODEL_CONF.replace("ID=2 NAME=MAXN_SUPER", "ID=7 NAME=MAXN_SUPER")
    files = {**d.ORIN, "etc/nvpmodel.conf": conf}
    (found,) = look(heat.power_mode, tmp_path, files, d.SLOW_JETSON)
    assert found.next_step.startswith("sudo nvpmodel -m 7 && sudo jetson_clocks")


def test_without_that_file_the_board_files_number_is_used(tmp_path: Path) -> None:
    files = {**d.ORIN, "etc/nvpmodel.conf": ""}
    (found,) = look(heat.power_mode, tmp_path, files, d.SLOW_JETSON)
    assert "nvpmodel -m 2 " in found.next_step


def test_a_board_that_is_named_wrongly_is_said(tmp_path: Path) -> None:
    (found,) = look(board.board, tmp_path, d.PI4, board="rpi5")
    assert (found.status, found.next_step) == ("WARN", "edgesam-doctor --board rpi4")
    (found,) = look(processor.processor, tmp_path, d.PI4, board="rpi5")
    assert "lacks asimddp, which a Raspberry Pi 5 has" in found.said


def test_devices_that_may_not_be_opened_name_user_and_group(tmp_path: Path) -> None:
    (found,) = look(cameras.rights, tmp_path, d.PI5, closed="vcio")
    assert found.said == "pi may not open /dev/vcio"
    assert found.next_step == "sudo usermod -aG video pi, then log in again"
    (found,) = look(cameras.rights, tmp_path, d.ORIN, closed="dri")
    assert "video,render" in found.next_step


def test_a_ribbon_camera_is_no_usb_camera(tmp_path: Path) -> None:
    files = {"dev/video0": "", "sys/class/video4linux/video0/name": "rp1-cfe-csi2_ch0"}
    (found,) = look(cameras.cameras, tmp_path, files)
    assert found.status == "WARN"
    assert "rp1-cfe-csi2_ch0" in found.said
    assert "edgesam-run picamera:0" in found.next_step


def hide(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == module else real(name)
    )


def test_a_missing_base_library_fails_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide("cv2", monkeypatch)
    first, rest = look(software.libraries, tmp_path, d.BARE)
    assert (first.status, first.next_step) == ("FAIL", "pip install opencv-python-headless")
    assert "numpy" in rest.said


def test_without_any_backend_nothing_runs_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software, "version_of", lambda module: None)
    for found in look(software.backends, tmp_path, d.PI5):
        assert found.status == "FAIL"
        assert "nothing else runs engines here" in found.said


@pytest.mark.parametrize(("numpy", "status"), [("2.4.6", "WARN"), ("1.26.4", "PASS")])
def test_tflite_runtime_wants_numpy_1(
    numpy: str, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software, "version_of", lambda module: numpy)
    (found,) = look(software.numpy_of_tflite, tmp_path, d.BARE)
    assert found.status == status


def test_two_boards_that_clash_are_a_finding_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.test_boards_detection import ACME, NEW_BOARD

    own = tmp_path / "boards"
    own.mkdir()
    for name in ("acme-one", "twin"):
        (own / f"{name}.toml").write_text(NEW_BOARD.replace("acme-one", name))
    monkeypatch.setenv("EDGESAM_BOARDS", str(own))
    (found,) = look(board.board, tmp_path, ACME)
    assert found.status == "WARN"
    assert "both claim this machine" in found.said
