from __future__ import annotations

import time
from pathlib import Path

import pytest

from edgesam_rt.bench import power
from tests.bench.machines import ABSENT, JETSON, LAPTOP, PMIC, Firmware, write
from tests.camera_doubles import ManualClock

RAPL = "sys/class/powercap/intel-rapl:0/energy_uj"


def test_a_machine_without_sensors_says_why_for_each_kind(tmp_path: Path) -> None:
    meter, reason = power.find(tmp_path, ABSENT)
    assert meter is None
    assert all(word in reason for word in ("INA", "RAPL", "pmic_read_adc"))


def test_an_ina_monitor_gives_volts_times_amperes_of_the_rail_that_carries_all(
    tmp_path: Path,
) -> None:
    meter, _ = power.find(write(tmp_path, JETSON), ABSENT)
    assert meter is not None
    assert meter.source == "INA monitor, VDD_IN"
    assert meter.watts is not None
    assert meter.watts() == pytest.approx(7.5)


def test_without_such_a_rail_all_are_added_and_named(tmp_path: Path) -> None:
    files = {**JETSON, "sys/class/hwmon/hwmon3/in1_label": "VDD_GPU"}
    meter, _ = power.find(write(tmp_path, files), ABSENT)
    assert meter is not None
    assert meter.source == "INA monitor, sum of VDD_CPU_GPU_CV, VDD_GPU"
    assert meter.watts is not None
    assert meter.watts() == pytest.approx(9.5)


def test_rapl_counts_packages_alone(tmp_path: Path) -> None:
    meter, _ = power.find(write(tmp_path, LAPTOP), ABSENT)
    assert meter is not None
    clock = ManualClock()
    with meter.measure(clock) as spent:
        write(tmp_path, {RAPL: 4_000_000})
        clock.advance(2)
    assert meter.source == "RAPL, package-0"
    assert (spent.joules, spent.seconds, spent.watts) == (3.0, 2.0, 1.5)


def test_a_counter_that_starts_again_is_no_negative_energy(tmp_path: Path) -> None:
    meter, _ = power.find(write(tmp_path, LAPTOP), ABSENT)
    assert meter is not None
    with meter.measure(ManualClock()) as spent:
        write(tmp_path, {RAPL: 500_000})
    assert spent.joules == 4.5


def test_rapl_that_may_not_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    write(tmp_path, {**LAPTOP, RAPL: "no"})
    meter, reason = power.find(tmp_path, ABSENT)
    assert meter is None
    assert "root" in reason


def test_the_power_chip_of_a_raspberry_pi_adds_rails_that_have_both_figures(
    tmp_path: Path,
) -> None:
    meter, _ = power.find(tmp_path, Firmware(pmic=PMIC))
    assert meter is not None
    assert meter.watts is not None
    assert meter.watts() == pytest.approx(0.37 + 1.6)


def test_sampled_power_is_added_up_over_the_time_it_was_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(power, "SAMPLE_S", 0.001)
    meter = power.Meter("constant", watts=lambda: 4.0)
    with meter.measure() as spent:
        time.sleep(0.02)
    assert spent.seconds >= 0.02
    assert spent.joules == pytest.approx(4.0 * spent.seconds)
    assert power.idle_watts(meter, 0.01) == pytest.approx(4.0)
