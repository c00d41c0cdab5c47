"""The Android reference, which knows nothing of the runtime, gives the runtime's masks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam_rt as es
from edgesam_rt import bundle as bundles
from edgesam_rt.imaging.geometry import Fit, to_encoder_input
from tests.firmware.android import REFERENCE, SCRIPT
from tests.firmware.machines import REPOSITORY

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
pytestmark = pytest.mark.skipif(
    "litert" not in bundles.find(None).backends, reason="the bundle has no LiteRT files"
)

PHOTOS = REPOSITORY / "demo" / "photos"
PROMPTS = {
    "white-car": (
        ([[345.0, 120.0]], [1]),
        ([[345.0, 120.0], [40.0, 40.0]], [1, 0]),
        ([[285.0, 95.0], [415.0, 150.0]], [2, 3]),
    ),
    "astronaut": (
        ([[228.0, 111.0]], [1]),
        ([[228.0, 111.0], [374.0, 427.0]], [1, 0]),
        ([[345.0, 2.0], [470.0, 245.0]], [2, 3]),
    ),
}
# Resizing in float and OpenCV's in fixed point differ by one grey level here and there.
LEAST_IOU = 0.97


@pytest.mark.parametrize("side", [512, 384])
@pytest.mark.parametrize("photo", list(PROMPTS))
def test_it_gives_the_masks_of_the_runtime(photo: str, side: int) -> None:
    pixels = es.read_image(PHOTOS / f"{photo}.jpg")
    theirs = REFERENCE.Segmenter(bundles.find(None).folder, side, threads=1)
    embedding, fit = theirs.encode(pixels)
    is_resized = max(pixels.shape) != side
    with es.open(board="cpu", backend="litert", threads=1, encoder_side=side) as ours:
        encoded = ours.encode(pixels)
        for xy, labels in PROMPTS[photo]:
            coords, kinds = np.array(xy, np.float32), np.array(labels, np.float32)
            mask, score = theirs.segment(embedding, fit, coords, kinds)
            answer = ours.predict(encoded, es.Prompt(coords, np.array(labels)))
            (known,) = answer.masks
            assert _iou(mask, known) > (LEAST_IOU if is_resized else 0.9999)
            assert score == pytest.approx(answer.predicted_iou[0], abs=0.05 if is_resized else 1e-6)


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("side", [512, 384])
def test_its_resizing_is_at_most_one_grey_level_from_the_runtimes(side: int) -> None:
    pixels = es.read_image(PHOTOS / "white-car.jpg")
    hw = (pixels.shape[0], pixels.shape[1])
    theirs = REFERENCE.to_square(pixels, REFERENCE.Fit.of(hw, side), 127)
    ours = to_encoder_input(pixels, Fit.longest_side(hw, side), 127)
    assert np.abs(theirs.astype(int) - ours).max() <= 1


def test_the_command_reads_a_ppm_and_writes_a_mask(tmp_path: Path) -> None:
    pixels = es.read_image(PHOTOS / "astronaut.jpg")
    photo, out = tmp_path / "photo.ppm", tmp_path / "mask.pgm"
    photo.write_bytes(b"P6\n512 512\n255\n" + pixels.tobytes())
    command = [sys.executable, str(SCRIPT), str(bundles.find(None).folder), str(photo)]
    done = subprocess.run(
        [*command, "--point", "228,111", "--out", str(out)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "predicted IoU" in done.stdout
    mask = np.frombuffer(out.read_bytes()[-512 * 512 :], np.uint8).reshape(512, 512)
    assert mask[111, 228] == 255
    assert set(np.unique(mask)) == {0, 255}


def test_it_imports_nothing_of_the_runtime() -> None:
    text = SCRIPT.read_text()
    imported = re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE)
    third_party = set(imported) - sys.stdlib_module_names
    assert third_party == {"numpy", "ai_edge_litert"}
