"""What engines are asked when they are checked, what is made of the answers, and worst layers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="verification loads the float model")

from onnx import numpy_helper

from edgesam_engines import cli, recipe, verify, verify_cases, worst_layers
from edgesam_engines.encoders import FloatEncoder
from edgesam_engines.errors import VerificationError
from edgesam_engines.ptq.apply import quantize
from edgesam_engines.ptq_judges import is_telling
from edgesam_engines.recipe import Acceptance, Calibration, Quantization
from edgesam_engines.verify_tally import Answer, Tally, Truth
from edgesam_rt import selftest
from edgesam_rt.errors import ConfigError
from edgesam_rt.manifest import Preprocess
from tests.engines.ptq_doubles import bottleneck, source

pytestmark = pytest.mark.torch
RECIPE, _ = recipe.load("pocketsam-int8")


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """Four photos, of which two have an id map beside them: a large object and a small one."""
    ids = np.zeros((240, 320), np.uint8)
    ids[20:200, 30:230], ids[210:230, 250:300] = 1, 2
    for i, pixels in enumerate((*selftest.pictures(), *selftest.pictures())):
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), pixels[..., ::-1])
        if i % 2:
            cv2.imwrite(str(tmp_path / f"{i}.png"), ids)
    return tmp_path


# What is asked


def test_photos_with_masks_are_asked_about_by_point_and_box(masked: Path) -> None:
    photos, masks = verify_cases.with_masks(masked, RECIPE)
    assert [p.name for p in photos] == ["1.jpg", "3.jpg"]
    case = next(verify_cases.cases(photos, masks))
    assert case.kinds == ["point", "point", "box", "box"]
    areas = [int(np.count_nonzero(t)) for t in case.truths]
    assert areas == [180 * 200, 20 * 50] * 2  # the larger object first
    for prompt, truth in zip(case.prompts[:2], case.truths, strict=False):
        x, y = prompt.point_coords[0].astype(int)
        assert truth[y, x]
    assert case.prompts[2].point_coords.tolist() == [[30, 20], [230, 200]]


def test_photos_without_masks_are_asked_about_without_truths(masked: Path) -> None:
    for path in masked.glob("*.png"):
        path.unlink()
    photos, masks = verify_cases.with_masks(masked, RECIPE)
    assert len(photos) == 4
    case = next(verify_cases.cases(photos, masks))
    assert case.kinds == ["point"] * 4 + ["box"]
    assert case.truths == []


def test_masks_may_come_from_coco_json(masked: Path, tmp_path: Path) -> None:
    square = [20, 20, 120, 20, 120, 120, 20, 120]
    note = {"id": 1, "image_id": 7, "category_id": 1, "segmentation": [square], "iscrowd": 0}
    images = [{"id": 7, "file_name": "0.jpg", "height": 240, "width": 320}]
    path = tmp_path / "notes.json"
    path.write_text(json.dumps({"images": images, "annotations": [note], "categories": []}))
    photos, masks = verify_cases.with_masks(masked, RECIPE, path)
    assert [p.name for p in photos] == ["0.jpg"]
    assert len(next(verify_cases.cases(photos, masks)).truths) == 2


def test_calibration_takes_no_mask_for_a_photo(masked: Path) -> None:
    used, rest = verify_cases.calibrate.chosen_photos(masked, RECIPE.calibration)
    assert {p.suffix for p in [*used, *rest]} == {".jpg"}


def test_a_folder_of_masks_that_is_not_there_is_said(masked: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        verify_cases.with_masks(masked, RECIPE, masked / "nowhere")


def test_the_built_in_pictures_serve_where_there_are_no_photos() -> None:
    assert len(list(verify_cases.cases([], {}))) == 2


# What is made of the answers


def test_masks_of_next_to_nothing_or_all_tell_nothing_and_are_counted_apart() -> None:
    nothing, some, everything = (np.zeros((40, 50), bool) for _ in range(3))
    some[:10], everything[:] = True, True
    assert [is_telling(m) for m in (nothing, some, everything)] == [False, True, False]
    tally = Tally(
        pictures=1,
        cosines={"e": [0.9, 1.0]},
        answers=[Answer("point", 0.0, False), Answer("point", 0.8, True), Answer("box", 1.0, True)],
    )
    found = tally.figures()
    assert found["mean_iou"] == 0.6
    assert found["by_point"] == {"prompts": 1, "mean_iou": 0.8}
    assert found["by_box"] == {"prompts": 1, "mean_iou": 1.0}
    assert (found["cosine"], found["least_cosine"]) == ({"e": 0.95}, {"e": 0.9})
    assert "truth" not in found


def test_true_masks_are_reported_for_the_float_model_and_for_ours() -> None:
    answers = [Answer(kind, 0.9, True) for kind in ("point", "box")]
    truths = [Truth("point", 0.7, 0.6), Truth("point", 0.5, 0.5), Truth("box", 0.8, 0.9)]
    found = Tally(1, {"e": [1.0]}, answers, truths).figures()["truth"]
    assert found["point"] == {"objects": 2, "float_miou": 0.6, "miou": 0.55}
    assert found["box"] == {"objects": 1, "float_miou": 0.8, "miou": 0.9}


GOOD = {"mean_iou": 0.99, "cosine": {}}


@pytest.mark.parametrize(
    ("report", "label"),
    [
        ({"side_64": {**GOOD, "mean_iou": 0.4}}, "side_64"),
        (
            {"side_64": GOOD, "engines": {"litert": {"side_64": {**GOOD, "mean_iou": 0.4}}}},
            "litert",
        ),
        ({"side_64": GOOD, "tensorrt": {"side_64": {**GOOD, "mean_iou": 0.4}}}, "tensorrt"),
    ],
)
def test_any_engine_under_the_target_is_named(report: dict[str, object], label: str) -> None:
    with pytest.raises(VerificationError, match=f"^{label}.*0.4"):
        verify.require(report, Acceptance(mean_iou=0.85))


def test_engines_that_reach_the_target_pass() -> None:
    verify.require({"side_64": GOOD, "tensorrt": {"side_64": GOOD}}, Acceptance(mean_iou=0.85))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_shipped_bundles_engines_of_every_backend_are_compared_with_torch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT engines are run")
    assert cli.main(["verify", "pocketsam-int8"]) == 0
    told = json.loads(capsys.readouterr().out)
    for found in (told, told["engines"]["litert"], told["tensorrt"]):
        assert found["side_512"]["mean_iou"] > 0.5
    assert len(told["worst_layers"]["side_512"]) == worst_layers.SHOWN


# Worst layers


def test_the_layer_that_was_made_worse_is_the_worst_one() -> None:
    graph = bottleneck()
    made = quantize(source(graph), Calibration(), Quantization()).graph
    for constant in made.graph.initializer:
        if constant.name == "wp_quantized":
            rough = numpy_helper.to_array(constant) // 32 * 32
            constant.CopyFrom(numpy_helper.from_array(rough, constant.name))
    encoder = FloatEncoder(graph, 12, (1, 3, 12, 12), RULE, ())
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    rows = worst_layers.worst_layers(made, encoder, pixels, lambda _: None)
    assert rows[0]["name"] == "project"
    assert rows[0]["added_noise"] > 3 * rows[1]["added_noise"]
    assert {row["name"] for row in rows} == {"start", "expand", "depthwise", "project", "out"}
    assert all(0 < row["cosine"] <= 1 for row in rows)


def test_equalised_channels_are_compared_at_their_exact_size() -> None:
    graph = bottleneck(uneven=100)
    made = quantize(source(graph), Calibration(), Quantization(equalise="exact")).graph
    encoder = FloatEncoder(graph, 12, (1, 3, 12, 12), RULE, ())
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    rows = worst_layers.worst_layers(made, encoder, pixels, lambda _: None)
    assert min(row["cosine"] for row in rows) > 0.999


RULE = Preprocess(
    resize="longest_side",
    colour="rgb",
    mean=(127.0, 127.0, 127.0),
    std=(64.0, 64.0, 64.0),
    pad_value=0,
    pad_order="after_normalising",
    input_dtype="float32",
    layout="nchw",
    normalised_in_engine=False,
)
