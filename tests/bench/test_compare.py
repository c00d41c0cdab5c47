from __future__ import annotations

import msgspec
import pytest

from edgesam_rt.bench.compare import Comparison, compare, name_of, other_machine
from edgesam_rt.bench.report import Series
from edgesam_rt.bench.text import show_comparison
from tests.bench.reports import MACHINE, accuracy, report, series


def verdicts(a: Series, b: Series) -> list[str]:
    return [line.verdict for line in compare(report(a), report(b)).lines]


@pytest.mark.parametrize(
    ("b", "verdict"),
    [(100, "same"), (104.9, "same"), (95.3, "same"), (106, "slower"), (94, "faster")],
)
def test_steady_runs_differ_beyond_five_per_cent_in_both_directions(b: float, verdict: str) -> None:
    assert verdicts(series(100), series(b)) == [verdict]


def test_the_band_is_the_noise_of_both_runs() -> None:
    assert verdicts(series(100, 0.06), series(111, 0.06)) == ["same"]
    assert verdicts(series(100, 0.06), series(114, 0.06)) == ["slower"]
    assert verdicts(series(100, 0.06), series(111, 0.01)) == ["slower"]


def test_a_stopped_run_with_one_round_has_the_noise_of_its_values() -> None:
    one = series(100, rounds=(100.0,), p95=130.0)
    assert verdicts(one, series(120)) == ["same"]
    assert verdicts(one, series(140)) == ["slower"]


def test_twice_and_half_are_equally_far() -> None:
    assert verdicts(series(100, 0.45), series(185, 0.45)) == ["same"]
    assert verdicts(series(185, 0.45), series(100, 0.45)) == ["same"]


def test_more_frames_per_second_are_faster() -> None:
    rate = {"case": "pipeline", "stage": "rate", "unit": "fps", "better": "higher"}
    assert verdicts(series(30, **rate), series(40, **rate)) == ["faster"]
    assert verdicts(series(30, **rate), series(20, **rate)) == ["slower"]


def test_memory_is_worse_or_better() -> None:
    memory = {"case": "memory", "stage": "first result", "unit": "MiB"}
    assert verdicts(series(130, **memory), series(150, **memory)) == ["worse"]
    assert verdicts(series(150, **memory), series(130, **memory)) == ["better"]


def test_nobody_feels_a_fiftieth_of_a_millisecond() -> None:
    assert verdicts(series(0.30), series(0.34)) == ["same"]


def test_a_start_may_scatter_more() -> None:
    assert verdicts(series(100, case="start"), series(112, case="start")) == ["same"]


def test_figures_that_one_lacks_are_named_and_not_compared() -> None:
    a, b = report(series(side=512)), report(series(side=384))
    found = compare(a, b)
    assert found.lines == ()
    assert found.only_a == ("frame total (side 512, 3 threads)",)
    assert found.only_b == ("frame total (side 384, 3 threads)",)


def test_energy_and_power_of_a_case_have_different_names() -> None:
    power = series(case="energy", stage="pipeline", unit="W")
    assert name_of(power) != name_of(msgspec.structs.replace(power, unit="J"))


def test_other_machines_are_told_by_what_differs() -> None:
    other = msgspec.structs.replace(MACHINE, cores=2, model="Raspberry Pi 4")
    found = other_machine(report(), report(machine=other))
    assert found == ("cores: 4 and 2", "model: Raspberry Pi 5 and Raspberry Pi 4")
    assert other_machine(report(), report()) == ()


def test_what_else_differs_is_noted() -> None:
    b = report(software={"python": "3.12.0"}, power_mode="15W", warnings=("Too warm.",))
    notes = compare(report(), b).notes
    assert "software: python: 3.11.2 and 3.12.0" in notes
    assert "software: onnxruntime: 1.31.1 and None" in notes
    assert "power mode: None and 15W" in notes
    assert "B: Too warm." in notes


@pytest.mark.parametrize(
    ("box", "verdict"), [(0.7, "same"), (0.6995, "same"), (0.698, "worse"), (0.702, "better")]
)
def test_accuracy_on_the_same_photos_has_a_band_of_a_tenth_of_a_point(
    box: float, verdict: str
) -> None:
    found = compare(report(accuracy=accuracy()), report(accuracy=accuracy(box)))
    assert {line.name: line.verdict for line in found.lines}["mIoU box (side 512)"] == verdict


def test_accuracy_on_other_photos_is_not_compared() -> None:
    other = accuracy(0.5, annotations_sha256="3" * 64)
    assert len(compare(report(accuracy=accuracy()), report(accuracy=other)).lines) == 1


def test_the_text_ends_with_what_differs() -> None:
    found = compare(report(), report(series(200), warnings=("Too warm.",)))
    lines = show_comparison(found).splitlines()
    assert lines[-1] == ("1 of 1 figures differ beyond their band: 1 slower.")
    assert "note: B: Too warm." in lines
    assert any("+100.0 %" in line for line in lines)


def test_nothing_in_common_is_said_too() -> None:
    assert show_comparison(Comparison((), (), (), ())).endswith(
        "0 of 0 figures differ beyond their band.\n"
    )
