"""What boards say of heat and throttling, from files as their kernels write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesam_rt import boards
from edgesam_rt.system import sensors, tegrastats
from edgesam_rt.system.probes import Probes, Readings
from tests.bench.machines import ABSENT, HWMON, JETSON, RASPBERRY, THERMAL, Firmware, write

# JetPack 6 on Orin Nano, and JetPack 4 on Nano, as users quote them.
ORIN = (
    "11-21-2026 10:00:00 RAM 2448/7620MB (lfb 2x4MB) SWAP 0/3810MB (cached 0MB) "
    "CPU [5%@729,2%@729,off,off,1%@729,0%@729] EMC_FREQ 0%@2133 GR3D_FREQ 0%@[305] NVDEC off "
    "CPU@47.5C SOC2@46.437C SOC0@47.093C CV0@-256C GPU@46.718C tj@47.5C SOC1@46.5C "
    "VDD_IN 4470mW/4470mW VDD_CPU_GPU_CV 482mW/482mW VDD_SOC 1446mW/1446mW"
)
NANO = (
    "RAM 1903/3956MB (lfb 3x2MB) SWAP 0/1978MB (cached 0MB) CPU [10%@1479,6%@1479,4%@1479,3%@1479] "
    "EMC_FREQ 0% GR3D_FREQ 0% PLL@38C CPU@41.5C PMIC@100C GPU@39C AO@47C thermal@40.25C "
    "POM_5V_IN 2532/2532 POM_5V_GPU 40/40"
)


def probes(name: str, root: Path, said: str | None = None, stats: str = "") -> Probes:
    command = ABSENT if said is None else Firmware(said)
    return Probes(boards.load(name).heat, root, command, lambda: stats)


def test_a_cool_raspberry_pi_may_rise(tmp_path: Path) -> None:
    found = probes("rpi5", write(tmp_path, RASPBERRY), "throttled=0x50000").read()
    assert found.temperature_c == 61.25
    assert (found.throttled, found.near, found.may_rise) == (False, (), True)


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        ("0x1", ("under-voltage",)),
        ("0x6", ("frequency capped", "throttled")),
        ("0xe0008", ("soft temperature limit",)),
    ],
)
def test_its_firmware_says_what_holds_it_back_now(
    bits: str, reasons: tuple[str, ...], tmp_path: Path
) -> None:
    found = probes("rpi5", write(tmp_path, RASPBERRY), f"throttled={bits}").read()
    assert (found.reasons, found.throttled, found.may_rise) == (reasons, True, False)


def test_kernels_that_show_the_firmwares_word_are_not_asked_by_a_tool(tmp_path: Path) -> None:
    files = {**RASPBERRY, sensors.FIRMWARE_FILE: "80008"}
    assert probes("rpi5", write(tmp_path, files)).read().reasons == ("soft temperature limit",)


def test_an_alarm_of_the_supply_holds_it_back(tmp_path: Path) -> None:
    files = {**RASPBERRY, f"{HWMON}/hwmon1/in0_lcrit_alarm": 1}
    assert probes("rpi5", write(tmp_path, files)).read().reasons == ("rpi_volt/in0_lcrit_alarm",)


def test_within_five_degrees_of_the_limit_it_may_not_rise(tmp_path: Path) -> None:
    files = {**RASPBERRY, f"{THERMAL}/thermal_zone0/temp": 75500}
    found = probes("rpi5", write(tmp_path, files)).read()
    assert (found.near, found.throttled, found.may_rise) == (("cpu-thermal",), False, False)


def test_a_jetson_is_judged_by_its_cooling_and_its_zones_own_trip_points(tmp_path: Path) -> None:
    trips = {
        f"{THERMAL}/thermal_zone1/trip_point_0_type": "passive",
        f"{THERMAL}/thermal_zone1/trip_point_0_temp": 51000,
    }
    found = probes("jetson-orin-nano", write(tmp_path, {**JETSON, **trips})).read()
    assert found.temperatures_c == {"cpu-thermal": 48.0, "gpu-thermal": 47.5}
    assert found.reasons == ("cpufreq-cpu0",)
    assert found.near == ("gpu-thermal",)


def test_where_a_container_hides_the_zones_tegrastats_is_read(tmp_path: Path) -> None:
    found = probes("jetson-orin-nano", tmp_path, stats=ORIN).read()
    assert found.temperature_c == 47.5
    assert "CV0" not in found.temperatures_c


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (ORIN, {"CPU", "SOC0", "SOC1", "SOC2", "GPU", "tj"}),
        (NANO, {"PLL", "CPU", "GPU", "AO", "thermal"}),
        ("", set()),
        ("tegrastats: command not found", set()),
    ],
)
def test_tegrastats_lines_of_old_and_new_boards_are_read(line: str, names: set[str]) -> None:
    found = tegrastats.temperatures(line)
    assert set(found) == names
    assert all(30 < celsius < 60 for celsius in found.values())


def test_the_first_line_of_the_tool_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "tegrastats"
    tool.write_text(f"#!/bin/sh\nwhile :; do echo '{NANO}'; sleep 0.1; done\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert tegrastats.first_line().strip() == NANO


def test_a_machine_that_tells_nothing_may_rise(tmp_path: Path) -> None:
    found = Probes.of(boards.load("cpu"))
    assert isinstance(found.read(), Readings)
    assert probes("rpi5", tmp_path).read() == Readings()
    assert Readings().temperature_c is None
