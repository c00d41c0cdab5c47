from __future__ import annotations

from pathlib import Path

import pytest

from edgesam_rt.bench import environment, reading
from edgesam_rt.bench.report import Reading, Throttling
from edgesam_rt.system import files, sensors
from tests.bench.machines import ABSENT, HWMON, JETSON, LAPTOP, RASPBERRY, Firmware, write


def test_a_raspberry_pi_tells_heat_clock_and_what_its_firmware_knows(tmp_path: Path) -> None:
    found = reading.read(12.34, write(tmp_path, RASPBERRY), Firmware("throttled=0x50005"))
    assert found.at_s == 12.3
    assert found.temperatures_c == {"cpu-thermal": 61.25}
    assert found.clocks_mhz == {"cpu0": 2400.0}
    assert found.governors == {"cpu0": "ondemand"}
    assert found.throttling.firmware == (
        *("under-voltage", "throttled"),
        *("under-voltage has occurred", "throttling has occurred"),
    )
    assert found.throttling.alarms == ()
    assert sensors.is_held_back(found.throttling)


def test_a_jetson_tells_all_zones_clocks_of_the_gpu_and_cooling(tmp_path: Path) -> None:
    found = reading.read(0, write(tmp_path, JETSON), ABSENT)
    assert found.temperatures_c == {"cpu-thermal": 48.0, "gpu-thermal": 47.5}
    assert found.clocks_mhz == {"cpu0": 1510.4, "cpu4": 729.6, "17000000.gpu": 624.8}
    assert found.throttling.cooling == {"cpufreq-cpu0": 1}
    assert found.throttling.firmware is None
    assert sensors.is_held_back(found.throttling)


def test_where_no_zone_is_the_processors_own_sensors_are_read(tmp_path: Path) -> None:
    found = reading.read(0, write(tmp_path, LAPTOP), ABSENT)
    assert found.temperatures_c == {"coretemp/Package id 0": 55.0, "coretemp/temp2": 53.0}
    assert found.throttling.counters == {"core_throttle_count": 5}


def test_a_machine_that_tells_nothing_gives_an_empty_reading(tmp_path: Path) -> None:
    assert reading.read(0, tmp_path, ABSENT) == Reading(at_s=0)


def test_unreadable_numbers_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, {**RASPBERRY, "sys/class/thermal/thermal_zone0/temp": "broken"})
    assert reading.read(0, tmp_path, ABSENT).temperatures_c == {}


def test_sensors_of_one_name_are_numbered(tmp_path: Path) -> None:
    zones = {f"sys/class/thermal/thermal_zone{i}/type": "x" for i in range(2)}
    temperatures = {f"sys/class/thermal/thermal_zone{i}/temp": 1000 * i for i in range(2)}
    found = sensors.temperatures(write(tmp_path, {**zones, **temperatures}))
    assert found == {"x": 0.0, "x #2": 1.0}


@pytest.mark.parametrize(
    ("found", "held_back"),
    [
        (Throttling(firmware=()), False),
        (Throttling(firmware=("throttling has occurred",)), False),
        (Throttling(firmware=("frequency capped",)), True),
        (Throttling(cooling={"pwm-fan": 3}), False),
        (Throttling(cooling={"Processor": 3}), True),
        (Throttling(alarms=("rpi_volt/in0_lcrit_alarm",)), True),
    ],
)
def test_a_running_fan_is_no_throttling_and_an_alarm_is(found: Throttling, held_back: bool) -> None:
    assert sensors.is_held_back(found) is held_back


def test_an_alarm_of_the_supply_is_named(tmp_path: Path) -> None:
    write(tmp_path, {**RASPBERRY, f"{HWMON}/hwmon1/in0_lcrit_alarm": 1})
    assert sensors.throttling(tmp_path, ABSENT).alarms == ("rpi_volt/in0_lcrit_alarm",)


def test_the_machine_is_described_from_its_own_files(tmp_path: Path) -> None:
    found = environment.machine(write(tmp_path, RASPBERRY))
    assert (found.cpu, found.cpu_flags) == ("Cortex-A76", ("asimd", "asimddp"))
    assert (found.model, found.board) == ("Raspberry Pi 5 Model B Rev 1.0", "rpi5")
    assert found.memory_mib == 8064


def test_a_pc_is_called_what_its_firmware_calls_it(tmp_path: Path) -> None:
    found = environment.machine(write(tmp_path, LAPTOP))
    assert (found.cpu, found.model, found.board) == ("A Core", "ACME Book 14", "cpu")
    assert found.cpu_flags == ("avx2", "avx_vnni")


def test_an_empty_machine_is_described_all_the_same(tmp_path: Path) -> None:
    found = environment.machine(tmp_path)
    assert found.memory_mib == 0
    assert found.cpu


def test_versions_are_those_of_what_is_installed() -> None:
    found = environment.software()
    for name in ("python", "edgesam_rt", "numpy", "onnxruntime", "system"):
        assert found[name], name


def test_a_tool_that_is_missing_fails_or_hangs_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert files.said_by(("edgesam-no-such-tool",)) is None
    assert files.said_by(("false",)) is None
    monkeypatch.setattr(files, "PATIENCE_S", 0.05)
    assert files.said_by(("sleep", "5")) is None
    assert files.said_by(("echo", "hello")) == "hello"


def test_neighbours_are_a_share_of_all_cores() -> None:
    share = environment.Neighbours().share()
    assert share is None or share >= 0
