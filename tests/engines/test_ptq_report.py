"""The verbs `ptq-report` and `sensitivity`, on a tiny encoder side and two pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="reports load the float model")

from edgesam_engines import cli, ptq_commands, recipe
from edgesam_engines.families.pocketsam import PocketSAM
from edgesam_engines.ptq.blocks import BLOCKS
from edgesam_engines.ptq_judges import Tally
from edgesam_engines.ptq_report import ESTIMATORS
from edgesam_rt import selftest
from tests.packaging.fresh import run_fresh

pytestmark = [pytest.mark.torch, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, weights nobody trained, and four pictures."""
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("ptq")
    text = (recipe.RECIPES / "pocketsam-int8.toml").read_text(encoding="utf-8")
    text = text.replace("[512, 384]", "[96]").replace("photos = 64", "photos = 2")
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    torch.manual_seed(0)
    weights = {name: value.clone() for name, value in PocketSAM().state_dict().items()}
    save_file(weights, folder / "weights.safetensors")
    (folder / "photos").mkdir()
    for i, pixels in enumerate(selftest.pictures()):
        for j in range(2):
            name = folder / "photos" / f"{2 * i + j}.png"
            cv2.imwrite(str(name), np.roll(pixels, 20 * j, 1)[..., ::-1])
    return folder


def arguments(place: Path, verb: str, *more: str) -> list[str]:
    return [
        *(verb, str(place / "tiny.toml"), "--checkpoint", str(place / "weights.safetensors")),
        *("--calibration", str(place / "photos"), *more),
    ]


@pytest.mark.slow
def test_a_report_has_a_row_per_estimator_with_and_without_bias_correction(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = place / "out" / "ptq.json"
    assert cli.main(arguments(place, "ptq-report", "--judged", "2", "--out", str(out))) == 0
    told, steps = capsys.readouterr()
    written = json.loads(out.read_text(encoding="utf-8"))
    rows = written["figures"]["ways"]
    plain = [n for e in ESTIMATORS for n in (e, f"{e} + bias")]
    equalised = [f"mse + bias + {mode} equalisation" for mode in ("exact", "calibrated")]
    assert list(rows) == plain + equalised
    for name, row in rows.items():
        assert name in told
        assert 0 <= row["mask_iou_mean"] <= 1
        assert row["size_bytes"] > 1e5
    assert written["figures"]["float"]["mask_iou_mean"] == 1
    assert written["case"] == "ptq"
    assert "judge: photo 2 of 2" in steps


@pytest.mark.slow
def test_sensitivity_lists_blocks_the_most_sensitive_first_and_takes_up_where_it_was(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGESAM_CACHE", str(place / "cache"))
    out = place / "out" / "sensitivity.json"
    assert cli.main(arguments(place, "sensitivity", "--top", "3", "--out", str(out))) == 0
    told, steps = capsys.readouterr()
    found = json.loads(out.read_text(encoding="utf-8"))
    noises = [row["rounded_alone"]["noise"] for row in found["rows"]]
    assert noises == sorted(noises, reverse=True)
    assert 5 < len(found["rows"]) <= BLOCKS
    for row in found["rows"]:
        assert row["rounded_alone"]["cosine"] > found["whole"]["cosine"]
        assert 0 <= row["float_alone"]["mask_iou"] <= 1
    assert len(told.splitlines()) == 3 + 3
    assert "as kept" not in steps
    assert cli.main(arguments(place, "sensitivity", "--json")) == 0
    again, steps = capsys.readouterr()
    assert json.loads(again) == found
    assert "as kept" in steps


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--side", "100"], "encoder side 100"),
        (["--calibration", "nowhere"], "no such folder"),
        (["--checkpoint", "nowhere"], "no such file"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    place: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    assert cli.main(arguments(place, "sensitivity", *more)) == 2
    assert told in capsys.readouterr().err


def test_a_float_recipe_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ptq-report", "pocketsam-fp32", "--calibration", str(place)]) == 2
    assert "Name an int8 recipe" in capsys.readouterr().err


def test_a_data_folder_without_labels_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = arguments(place, "ptq-report", "--truth", str(place))
    assert cli.main(command) == 2
    assert "masks/" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["ptq-report", "sensitivity"])
def test_help_needs_no_vendor_library(verb: str) -> None:
    code = f"""
from edgesam_engines.cli import main
try:
    main([{verb!r}, "--help"])
except SystemExit as end:
    assert end.code == 0, end.code
"""
    assert "--calibration" in run_fresh(code, blocked=("torch", "onnx", "onnxruntime", "cv2"))


def test_points_lost_are_those_of_the_same_objects() -> None:
    exact, got = Tally(), Tally()
    for tally, box in ((exact, [0.9, 0.8]), (got, [0.8, 0.8])):
        tally.encode_ms = [1.0]
        tally.truths = {"box": box, "point": [0.5, 0.5], "clicks": [0.6, 0.6]}
    lost = got.summary(exact)["points_lost"]
    assert lost["box"] == {"points": 5.0, "standard_error": 5.0}
    assert lost["clicks"] == {"points": 0.0, "standard_error": 0.0}


def test_a_table_has_a_line_per_way() -> None:
    row = {
        **{"mask_iou_mean": 0.9, "mask_iou_p10": 0.8, "cosine_mean": 0.99},
        **{"embedding_sqnr_db": 20.0, "size_bytes": 3_000_000, "encode_ms_p50": 30.0},
    }
    table = ptq_commands.table({"float": {}, "ways": {"mse": row, "mse + bias": row}})
    assert table.count("\n") == 4
    assert "| mse + bias | 0.9000 |" in table
