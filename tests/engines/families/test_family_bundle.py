"""From a checkpoint to masks out of the runtime, with the real decoder and a small encoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="builds need torch")

import torch
from msgspec.structs import replace

import edgesam_rt as es
from edgesam_engines import build
from edgesam_engines.errors import VerificationError
from edgesam_engines.families.sam_graphs import DecoderGraph
from edgesam_engines.recipe import Acceptance
from edgesam_rt import selftest
from edgesam_rt.bundle import Bundle
from edgesam_rt.tracking.cells import CellReader
from tests.engines.families import toy

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def toy_family() -> Iterator[None]:
    with toy.in_the_table():
        yield


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.checkpoint_in(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.photos_in(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("out") / "toy"
    return build.run(toy.job("fp32", checkpoint, photos, out), lambda step: None)


def asked(h: int, w: int) -> list[es.Prompt]:
    point = es.Prompt.point(0.3 * w, 0.5 * h)
    return [point, es.Prompt.box(10, 20, 0.6 * w, 0.8 * h), point + es.Prompt.point(5, 5, 0)]


def test_the_manifest_says_whose_weights_they_are_and_how_near_the_engines_come(
    bundle: Bundle,
) -> None:
    assert "MobileSAM" in bundle.manifest.licence
    assert bundle.manifest.verification["side_1024"]["mean_iou"] > 0.999
    assert {e.part for e in bundle.manifest.engines} == {"encoder", "decoder"}


def test_the_runtime_answers_as_the_model_in_torch(bundle: Bundle, checkpoint: Path) -> None:
    model, pixels = toy.Toy().load(checkpoint), selftest.pictures()[0]
    prompts = asked(*pixels.shape[:2])
    with es.open(bundle=bundle.folder) as seg:
        embedding = seg.encode(pixels)
        found = seg.predict(embedding, prompts, multimask_output=True)
        alone = [seg.predict(embedding, p, multimask_output=True) for p in prompts]
    names = toy.Toy().encoder_graph(model, 1024, for_int8=False).outputs
    given = [torch.from_numpy(embedding.tensors[n].copy()) for n in names]
    coords = torch.tensor([[[0.3 * 1024, 0.5 * 768], [0.0, 0.0]]])
    with torch.no_grad():
        low_res, iou = DecoderGraph(model)(
            *given,
            coords,
            torch.tensor([[1.0, -1.0]]),
            torch.zeros(1, 1, 256, 256),
            torch.zeros(1, 1),
        )
    np.testing.assert_allclose(found[0].low_res_logits, low_res[0], atol=1e-3)
    np.testing.assert_allclose(found[0].predicted_iou, iou[0], atol=1e-4)
    for beside, one in zip(found, alone, strict=True):  # neighbours change nothing
        np.testing.assert_allclose(beside.low_res_logits, one.low_res_logits, atol=1e-3)


def test_everything_and_cells_for_tracking_work(bundle: Bundle) -> None:
    pixels = selftest.pictures()[0]
    with es.open(bundle=bundle.folder) as seg:
        found = seg.everything(
            pixels, points_per_side=2, pred_iou_thresh=0.0, stability_score_thresh=0.0
        )
        embedding = seg.encode(pixels)
    assert len(found) > 0
    cells = CellReader.of(bundle, "onnxruntime", 1024).read(embedding)
    assert cells.features.shape == (48 * 64, 257)


def test_integers_come_near(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    made = build.run(toy.job("int8", checkpoint, photos, tmp_path / "toy"), lambda step: None)
    figures = made.manifest.verification["side_1024"]
    assert figures["cosine"]["image_embeddings"] > 0.99
    assert "quantization" in made.manifest.verification


def test_a_board_without_onnx_runtime_gets_litert_engines_that_answer_the_same(
    checkpoint: Path, photos: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert", reason="comparing needs LiteRT")
    wanted = toy.job("fp32", checkpoint, photos, tmp_path / "toy")
    made = build.run(dataclasses.replace(wanted, litert=True), lambda step: None)
    assert made.sides("litert") == (1024,)
    for report in (
        made.manifest.verification["litert"],
        made.manifest.verification["engines"]["litert"],
    ):
        assert report["side_1024"]["mean_iou"] > 0.99


def test_what_misses_its_target_is_not_packed(
    checkpoint: Path, photos: Path, tmp_path: Path
) -> None:
    wanted = toy.job("fp32", checkpoint, photos, tmp_path / "toy")
    strict = replace(wanted.recipe, acceptance=Acceptance(mean_iou=1.0))
    with pytest.raises(VerificationError):
        build.run(build.Job(strict, checkpoint, photos, wanted.out), lambda step: None)
    assert list(tmp_path.iterdir()) == []
