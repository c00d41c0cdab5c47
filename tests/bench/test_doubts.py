from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edgesam_rt.bench.doubts import doubts
from tests.bench.reports import MACHINE, SETTINGS, reading, report, series


def test_a_good_run_raises_no_doubts() -> None:
    assert doubts(report()) == ()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"complete": False}, "stopped"),
        ({"settings": msgspec.structs.replace(SETTINGS, quick=True)}, "quick"),
        (
            {"settings": msgspec.structs.replace(SETTINGS, board="rpi4")},
            "settings of board rpi4 on a machine recognised as rpi5",
        ),
        ({"others_cpu_share": 0.3}, "30 % of the cores"),
        ({"readings": (reading(), reading(5, firmware=("throttled",)))}, "was throttled (at 5 s)"),
        ({"readings": (reading(5, firmware=("throttling has occurred",)),)}, "Since boot"),
        ({"readings": (reading(firmware=None),)}, "vcgencmd"),
        (
            {"readings": (reading(counters={"c": 1}), reading(9, counters={"c": 4}))},
            "throttled 3 times",
        ),
        (
            {"readings": (msgspec.structs.replace(reading(), governors={"cpu0": "ondemand"}),)},
            "ondemand",
        ),
    ],
)
def test_what_makes_figures_doubtful_is_said(more: dict[str, Any], words: str) -> None:
    (found,) = doubts(report(**more))
    assert words in found


def test_a_machine_that_slows_down_is_noticed() -> None:
    (found,) = doubts(report(series(rounds=(100.0, 110.0, 120.0))))
    assert "1.20 times" in found


def test_a_pc_needs_no_vcgencmd() -> None:
    pc = msgspec.structs.replace(MACHINE, board="cpu")
    settings = msgspec.structs.replace(SETTINGS, board="cpu")
    readings = (reading(firmware=None),)
    assert doubts(report(machine=pc, settings=settings, readings=readings)) == ()


def test_a_board_of_another_release_is_no_error() -> None:
    new = msgspec.structs.replace(MACHINE, board="rpi9")
    settings = msgspec.structs.replace(SETTINGS, board="rpi9")
    readings = (reading(firmware=None),)
    assert doubts(report(machine=new, settings=settings, readings=readings)) == ()
