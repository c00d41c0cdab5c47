"""The proof fails when a promise is broken, and says which."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from benchmarks.arm.verdict import broken
from tests.benchmarks.arm_figures import FIGURES


@pytest.fixture
def figures() -> dict[str, Any]:
    """Figures that keep all promises, to be broken."""
    good = copy.deepcopy(FIGURES)
    good["install"] = {name: copy.deepcopy(install) for name, install in good["install"].items()}
    for install in good["install"].values():
        install["jobs"]["prompt"]["equal"] = install["jobs"]["prompt"]["files"]
    return good


def test_good_figures_break_nothing(figures: dict[str, Any]) -> None:
    assert broken(figures) == []


def test_an_a76_without_dot_products_is_said(figures: dict[str, Any]) -> None:
    figures["runs"][0]["instructions"]["udot by element"] = 0
    assert broken(figures) == ["rpi5, onnxruntime: 0 dot-product instructions on cortex-a76."]


def test_an_a72_with_dot_products_is_said(figures: dict[str, Any]) -> None:
    figures["runs"][0]["cpu"] = "cortex-a72"
    assert broken(figures) == ["rpi5, onnxruntime: 72 dot-product instructions on cortex-a72."]


def test_a_bad_mask_is_said(figures: dict[str, Any]) -> None:
    figures["runs"][0]["masks"] = {**figures["runs"][0]["masks"], "iou": 0.5}
    assert broken(figures) == ["rpi5, onnxruntime: a mask has IoU 0.5000, expected 0.95 or more."]


@pytest.mark.parametrize("backend", ["onnxruntime", "litert"])
def test_an_encoder_that_is_not_equal_to_the_bit_is_said(
    figures: dict[str, Any], backend: str
) -> None:
    run = figures["runs"][0]
    run["backend"] = backend
    run["stages"][1] = {**run["stages"][1], "equal": 8}
    (words,) = broken(figures)
    assert words.startswith(f"rpi5, {backend}, side 512: 1 of 9 encoder outputs are not x86-64's")


@pytest.mark.parametrize("op", ["Conv", "Add"])
def test_an_operator_that_is_a_step_off_is_said(figures: dict[str, Any], op: str) -> None:
    figures["operators"][0]["kinds"][0] |= {"op": op, "worst_steps": 1, "differing": 2}
    (words,) = broken(figures)
    assert f"2 of 3 {op} differ" in words


def test_other_masks_after_trimming_are_said(figures: dict[str, Any]) -> None:
    figures["install"]["base"]["jobs"]["prompt"]["equal"] = 1
    assert broken(figures) == ["base: after trimming, prompt mode gives other masks."]
