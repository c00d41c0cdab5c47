from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from benchmarks import accuracy, pipeline, report, speed
from benchmarks import all as everything
from edgesam_rt.bench.coco import CocoFolder
from edgesam_rt.bench.protocols import Contestant
from edgesam_rt.cameras.synthetic import SyntheticCamera
from edgesam_rt.errors import ConfigError
from edgesam_rt.imaging import rle
from edgesam_rt.records import Prompt
from edgesam_rt.types import Bool
from tests.bench.toys import Guess, Toy, disc

FRAMES = 2
BUNDLE = "pocketsam-int8"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Synthetic frames and what is in them, as coco-val."""
    folder = tmp_path / "data" / accuracy.PHOTOS
    (folder / "images").mkdir(parents=True)
    camera = SyntheticCamera(size_wh=(320, 240))
    images: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for i in range(FRAMES):
        name = f"{i}.png"
        cv2.imwrite(str(folder / "images" / name), camera.draw(i * 40)[..., ::-1].copy())
        images.append({"id": i, "file_name": name})
        for truth in camera.truth(i * 40):
            counts = rle.compress(rle.run_lengths(truth.mask))
            notes.append({"image_id": i, "segmentation": {"counts": counts}})
    found = {"images": images, "annotations": notes}
    (folder / "annotations.json").write_text(json.dumps(found))
    return tmp_path / "data"


def toy(name: str, side: int, radius: float) -> Contestant:
    return Contestant(name, lambda pixels: Toy(guess(radius)), (1, 2, 3), {"side": side})


def guess(radius: float) -> Guess:
    def around(prompt: Prompt) -> Bool:
        x, y = prompt.point_coords.mean(0).tolist()
        return disc(x, y, radius, 320)[:240]

    return around


def test_contestants_are_compared_with_the_first_of_their_side(data: Path) -> None:
    named = [toy("a", 512, 30), toy("b", 512, 20), toy("c", 384, 30), toy("d", 384, 30)]
    found: Any = accuracy.measure(named, CocoFolder(data / accuracy.PHOTOS))
    assert found["photos"] == FRAMES
    assert found["objects"] == found["rows"][0]["miou"]["all"]["objects"] > 4
    assert [row.get("compared_with") for row in found["rows"]] == [None, "a", None, "c"]
    assert found["rows"][3]["difference"]["box"] == {"points": 0.0, "standard_error": 0.0}
    assert found["rows"][1]["difference"]["box"]["points"] < 0


def test_photos_without_objects_are_no_base_for_figures(data: Path) -> None:
    path = data / accuracy.PHOTOS / "annotations.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": []}))
    with pytest.raises(ConfigError, match="none of the photos"):
        accuracy.measure([toy("a", 512, 30)], CocoFolder(path.parent))


def test_accuracy_judges_the_bundle_that_ships(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "accuracy.json"
    words = ["--side", "384", "--data", str(data), "--photos", "1", "--json", str(out)]
    assert accuracy.main(words) == 0
    (row,) = report.read(out).figures["rows"]
    assert row["precision"] == "int8"
    assert row["miou"]["all"]["box"] > 0.5
    assert "| pocketsam-int8 at 384 |" in capsys.readouterr().out


def test_without_photos_the_command_says_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert accuracy.main(["--data", str(tmp_path)]) == 2
    assert "--data" in capsys.readouterr().err


def test_speed_measures_every_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "speed.json"
    words = ["--float", BUNDLE, "--threads", "1", "--repeats", "1", "--json", str(out)]
    assert speed.main(words) == 0
    figures = report.read(out).figures
    assert [row["prompts"] for row in figures["decoder"]] == list(speed.PROMPTS)
    parts = figures["overhead"]
    assert parts["added"]["p50"] == pytest.approx(
        parts["total"]["p50"] - parts["engines"]["p50"], rel=0.5
    )
    assert "chunks" not in figures
    capsys.readouterr()


def test_throughput_is_compared_with_the_slowest_thread_of_the_steady_part() -> None:
    n = pipeline.STARTING + 11
    times = {"capture_ms": 1, "fit_ms": 5, "encode_ms": 35, "decode_ms": 9, "mask_ms": 1}
    rows = [{"captured_at_ns": i * 50e6, "age_ms": 80, "timings": times} for i in range(n)]
    stages = {"sink jsonl:/tmp/x": {"p50_ms": 2.0}, "encode": {"p50_ms": 35.0}}
    summary = {
        "stages": stages,
        "dropped": {},
        "bundle": "b 1",
        "backend": "onnxruntime",
        "encoder_sides": [512],
    }
    found: Any = pipeline.figures_of(pipeline.Ran(summary, rows, 120.0, -1_000_000_000, 3.0))
    assert found["fps"] == 20
    assert (found["slowest_thread"], found["allowed_fps"], found["ratio"]) == ("encode", 25, 0.8)
    assert found["first_result_s"] == 1.08
    assert set(found["stages"]) == {"sink jsonl", "encode"}


def test_importing_the_package_loads_no_heavy_module() -> None:
    for code in (pipeline.IMPORT, pipeline.USE):
        assert pipeline.import_time(code, 1)["heavy_modules"] == []


@pytest.mark.slow
def test_the_pipeline_runs_the_real_command_on_a_clip(tmp_path: Path) -> None:
    out = tmp_path / "pipeline.json"
    words = ["--frames", "30", "--imports", "1", "--data", str(tmp_path), "--json", str(out)]
    assert pipeline.main(words) == 0
    (run,) = report.read(out).figures["runs"]
    assert run["results"] == 30
    assert 50 < run["peak_memory_mib"] < 250


def test_all_gives_every_benchmark_its_file(tmp_path: Path) -> None:
    args = argparse.Namespace(
        bundle=BUNDLE, float="twin", photos=None, data=Path("data"), out=tmp_path
    )
    found = everything.commands(args)
    cases = ("speed", "pipeline", "limit", "everything", "accuracy", "accuracy-clips")
    assert {case: words[-1] for case, words in found.items()} == {
        case: str(tmp_path / f"{case}.json") for case in cases
    }
    assert found["accuracy"][:4] == ["--bundle", "twin", "--bundle", BUNDLE]
    assert found["speed"][:4] == ["--bundle", BUNDLE, "--float", "twin"]


@pytest.mark.torch
def test_the_float_model_in_torch_stands_beside_its_bundle(data: Path, tmp_path: Path) -> None:
    evaluate = pytest.importorskip("edgesam_engines.evaluate")
    checkpoint = Path("engines/checkpoints/pocketsam-0.3.safetensors")
    out = tmp_path / "torch.json"
    words = ["--checkpoint", str(checkpoint), "--bundle", BUNDLE, "--side", "384"]
    assert evaluate.main([*words, "--data", str(data), "--json", str(out)]) == 0
    ours, bundle = report.read(out).figures["rows"]
    assert ours["backend"].startswith("torch")
    assert bundle["compared_with"] == ours["name"]
    assert abs(bundle["difference"]["box"]["points"]) < 10
