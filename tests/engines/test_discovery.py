"""The discovery head: its graph, its loss, what it learns from, and the whole command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the factory's models need torch")

import msgspec
import torch

from edgesam_engines.checkpoints import write_fp16
from edgesam_engines.discovery import batches, config, loop
from edgesam_engines.discovery.attach import attach
from edgesam_engines.discovery.cli import main
from edgesam_engines.discovery.config import LossRules
from edgesam_engines.discovery.features import Stored, boxes_of, grids
from edgesam_engines.discovery.head import (
    FEATURES,
    DiscoveryGraph,
    DiscoveryHead,
    cells,
    graph_spec,
    multiply_adds,
    read_head,
)
from edgesam_engines.discovery.head import (
    boxes_of as decoded,
)
from edgesam_engines.discovery.loss import Goal, Places, assign, giou, loss_of, overlaps
from edgesam_engines.discovery.recalls import Recalls
from edgesam_engines.discovery.truth import truth_of
from edgesam_engines.errors import CheckpointError
from edgesam_engines.export import to_onnx
from edgesam_engines.recipe import load as load_recipe
from edgesam_engines.train.journal import read_journal
from edgesam_engines.train.sources import Labelled
from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import Bundle
from edgesam_rt.discovery import Discovery
from edgesam_rt.errors import ConfigError
from edgesam_rt.imaging.masks import box_iou
from edgesam_rt.segmenter import Encoder, EngineOptions
from edgesam_rt.types import U8
from tests.engines.graph_doubles import run
from tests.engines.train_doubles import COMMITTED, write_backdrops, write_photos

pytestmark = pytest.mark.torch

SIZES = (16, (1, 1, 1))
RULES = LossRules(box=2.0, negative=0.75, assigned=4)


@pytest.fixture(scope="module")
def recipe() -> config.DiscoveryRecipe:
    return config.load(config.DEFAULT)[0]


@pytest.fixture
def head() -> DiscoveryHead:
    torch.manual_seed(0)
    made = DiscoveryHead(*SIZES).eval()
    for parameter in made.parameters():  # larger, so that cells differ
        torch.nn.init.normal_(parameter, std=0.2)
    return made


@pytest.fixture
def checkpoint(head: DiscoveryHead, tmp_path: Path) -> Path:
    write_fp16(head.state_dict(), tmp_path / "head.safetensors")
    return tmp_path / "head.safetensors"


def maps(h8: int, w8: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    grid16 = torch.randn(h8 // 2, w8 // 2, FEATURES, generator=generator)
    return grid16, torch.randn(h8, w8, FEATURES, generator=generator)


# The head and its graph


@pytest.mark.parametrize("hw", [(12, 16), (16, 12), (8, 8), (4, 24)])
def test_one_graph_serves_pictures_of_every_shape(head: DiscoveryHead, hw: tuple[int, int]) -> None:
    grid16, grid8 = maps(*hw)
    with torch.no_grad():
        boxes, scores = DiscoveryGraph(head)(grid16.flatten(0, 1), grid8)
    made = run(to_onnx(graph_spec(head)), grid16=grid16.flatten(0, 1).numpy(), grid8=grid8.numpy())
    assert boxes.shape == (hw[0] * hw[1] * 21 // 16, 4)
    np.testing.assert_allclose(made[0], boxes.numpy(), atol=1e-4)
    np.testing.assert_allclose(made[1], scores.numpy(), atol=1e-5)


def test_cells_lie_where_the_encoder_has_them() -> None:
    centres, sizes = cells(4, 8, 8, torch.zeros(1))
    assert len(centres) == 32 + 8 + 2
    np.testing.assert_allclose(centres[0], [1 / 16, 1 / 16])
    np.testing.assert_allclose(centres[9], [3 / 16, 3 / 16])
    np.testing.assert_allclose(centres[-1], [6 / 8, 2 / 8])
    np.testing.assert_allclose(sizes[[0, 32, 40], 0], [1 / 8, 1 / 4, 1 / 2])


def test_a_cell_gives_its_distances_to_the_sides() -> None:
    distances = torch.log(torch.tensor([[1.0, 2.0, 3.0, 0.5]]))
    box = decoded(distances, torch.tensor([[0.5, 0.5]]), torch.tensor([[0.1]]))
    np.testing.assert_allclose(box, [[0.4, 0.3, 0.8, 0.55]], atol=1e-6)


def test_what_fills_up_a_batch_changes_nothing(head: DiscoveryHead) -> None:
    grid16, grid8 = maps(8, 12)
    wide16, wide8 = torch.zeros(1, 8, 8, FEATURES), torch.zeros(1, 16, 16, FEATURES)
    wide16[0, :4, :6], wide8[0, :8, :12] = grid16, grid8
    covered = torch.zeros(1, 1, 16, 16)
    covered[..., :8, :12] = 1
    with torch.no_grad():
        alone = head(grid16[None], grid8[None])[0]
        together = head(wide16, wide8, covered)[0]
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(12), indexing="ij")
    finest = together[: 16 * 16].view(16, 16, 5)[rows, columns].reshape(-1, 5)
    torch.testing.assert_close(finest, alone[: 8 * 12], atol=1e-5, rtol=1e-5)


def test_it_costs_well_under_a_tenth_of_the_encoder(recipe: config.DiscoveryRecipe) -> None:
    assert multiply_adds(recipe.head.width, recipe.head.blocks, 64, 64) < 0.05 * 2.5e9


def test_features_of_any_scale_fold_into_the_head(head: DiscoveryHead) -> None:
    statistics = torch.rand(2, 2, FEATURES) + 0.5
    scaled = loop.Scaled(head, statistics)
    grid16, grid8 = (m.unsqueeze(0) for m in maps(8, 8))
    batch = batches.Batch(grid16, grid8, torch.ones(1, 1, 8, 8), [], [])
    with torch.no_grad():
        torch.testing.assert_close(
            scaled.folded()(grid16, grid8), scaled(batch), atol=1e-4, rtol=1e-4
        )


def test_a_checkpoint_gives_the_head_back(head: DiscoveryHead, checkpoint: Path) -> None:
    again = read_head(checkpoint)
    for name, value in head.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, atol=1e-3, rtol=1e-3)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    write_fp16({"something": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="not a discovery head"):
        read_head(tmp_path / "other.safetensors")


# Loss


def boxes(*rows: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor(rows).reshape(-1, 4)


def goal(objects: torch.Tensor, perhaps: torch.Tensor | None = None) -> Goal:
    none = boxes()
    return Goal(
        objects,
        torch.ones(len(objects)),
        none if perhaps is None else perhaps,
        objects,
        background=0.3,
        near=0.5,
    )


def places() -> Places:
    centres, _ = cells(16, 16, 16, torch.zeros(1))
    return Places(centres, 1 / 16, torch.ones(len(centres), dtype=torch.bool))


def test_overlaps_are_those_of_the_runtime() -> None:
    generator = torch.Generator().manual_seed(1)
    corner = torch.rand(2, 9, 2, generator=generator)
    a, b = torch.cat([corner, corner + torch.rand(2, 9, 2, generator=generator)], -1)
    np.testing.assert_allclose(overlaps(a, b), box_iou(a.numpy(), b.numpy()), atol=1e-5)
    assert (giou(a, b) <= overlaps(a, b).diagonal() + 1e-6).all()
    np.testing.assert_allclose(giou(a, a), np.ones(9), atol=1e-4)


def test_an_object_is_given_to_the_cells_that_know_it_best() -> None:
    at = places()
    objects = boxes((0.1, 0.1, 0.4, 0.4), (0.6, 0.6, 0.9, 0.9))
    predicted = at.centres.repeat(1, 2) + torch.tensor([-0.1, -0.1, 0.1, 0.1])
    found = assign(predicted, torch.full((len(predicted),), 0.1), goal(objects), at, 4)
    assert int(found.is_taken.sum()) == 8
    middles = (objects[:, :2] + objects[:, 2:]) / 2
    away = (at.centres[found.is_taken] - middles[found.which[found.is_taken]]).abs()
    assert float(away.max()) < 0.08
    assert 0 < float(found.goal.max()) <= 1
    assert float(found.goal[~found.is_taken].max()) == 0


def test_the_smallest_object_still_has_a_cell() -> None:
    at = places()
    tiny = boxes((0.501, 0.501, 0.506, 0.507))
    predicted = at.centres.repeat(1, 2) + torch.tensor([-0.02, -0.02, 0.02, 0.02])
    found = assign(predicted, torch.full((len(predicted),), 0.1), goal(tiny), at, 4)
    assert found.is_taken.any()


def test_a_right_answer_costs_less_than_a_wrong_one() -> None:
    at, target = places(), goal(boxes((0.1, 0.1, 0.4, 0.4)))
    right = target.boxes.expand(len(at.centres), 4)
    wrong = right + 0.2
    hit = (at.centres - 0.25).abs().amax(1) < 0.06
    sure = torch.where(hit, 4.0, -6.0)
    losses = [loss_of(sure, b, target, at, RULES) for b in (right, wrong)]
    assert float(losses[0].box / losses[0].goals) < 0.01
    assert float(losses[1].box / losses[1].goals.clamp(min=1e-6)) > 0.5
    silent = loss_of(torch.full_like(sure, -6.0), right, target, at, RULES)
    assert float(losses[0].score) < float(silent.score)


def test_a_score_where_something_may_be_costs_nothing() -> None:
    at = places()
    anywhere = at.centres.repeat(1, 2)
    inside = (at.centres - 0.5).abs().amax(1) < 0.2
    logits = torch.where(inside, 3.0, -20.0)
    doubtful = goal(boxes(), boxes((0.3, 0.3, 0.7, 0.7)))
    assert float(loss_of(logits, anywhere, doubtful, at, RULES).score) < 1e-3
    assert float(loss_of(logits, anywhere, goal(boxes()), at, RULES).score) > 1


# Truth and recall


def stored(source: str, *, has_labels: bool = True) -> Stored:
    labelled = np.array([[0.1, 0.1, 0.3, 0.3]], np.float32)
    return Stored(
        source,
        np.zeros((4, 4, FEATURES), np.float16),
        np.zeros((8, 8, FEATURES), np.float16),
        8,
        labelled if has_labels else labelled[:0],
        np.array([[0.1, 0.1, 0.3, 0.31], [0.5, 0.5, 0.9, 0.9], [0, 0, 1, 1]], np.float32),
        np.array([0.9, 0.8, 0.07], np.float32),
        has_labels,
    )


def test_a_detectors_box_counts_where_nothing_is_labelled(recipe: config.DiscoveryRecipe) -> None:
    truth = truth_of(stored("household"), recipe.truth)
    np.testing.assert_allclose(truth.boxes, [[0.1, 0.1, 0.3, 0.3], [0.5, 0.5, 0.9, 0.9]])
    np.testing.assert_allclose(truth.weights, [1, 0.8])
    assert len(truth.perhaps) == 1
    assert truth.background == recipe.truth.beside


def test_without_labels_the_detector_is_the_truth(recipe: config.DiscoveryRecipe) -> None:
    truth = truth_of(stored("cocoy", has_labels=False), recipe.truth)
    np.testing.assert_allclose(truth.weights, [0.9, 0.8])
    assert truth.background == recipe.truth.beside_full


def test_recall_counts_the_best_boxes_only() -> None:
    recalls = Recalls()
    wanted = np.array([[0, 0, 10, 10], [20, 20, 40, 40]], np.float32)
    far = np.tile(np.array([[100, 100, 110, 110]], np.float32), (10, 1))
    recalls.add("a", wanted, np.concatenate([wanted[:1], far, wanted[1:]]))
    report = recalls.report(("a",))
    assert report["all"] == {"boxes": 2, "ar@10": 0.5, "ar@100": 1.0}
    assert report["coco"] == report["all"]


def test_boxes_of_an_id_map_leave_specks_out() -> None:
    ids = np.zeros((20, 30), np.uint16)
    ids[2:12, 3:13], ids[15, 20] = 7, 9
    content = Labelled(np.zeros((20, 30, 3), np.uint8), ids)
    np.testing.assert_array_equal(boxes_of(content, 30), [[3, 2, 13, 12]])


# Bundles


def test_a_head_in_a_bundle_gives_the_modules_boxes(
    default_bundle: Bundle,
    checkpoint: Path,
    recipe: config.DiscoveryRecipe,
    astronaut: U8,
    car: U8,
    tmp_path: Path,
) -> None:
    made = attach(default_bundle.folder, checkpoint, recipe.facts, tmp_path / "made")
    assert made.manifest.discovery == recipe.facts
    opened = Discovery(made, EngineOptions("onnxruntime"))
    head = read_head(checkpoint)
    for side in made.sides("onnxruntime"):
        encoder = Encoder(made, EngineOptions("onnxruntime"), side)
        for pixels in (astronaut, car):
            embedding = encoder.encode(pixels)
            rows, columns = embedding.tensors["grid8"].shape[:2]
            grid16 = torch.from_numpy(embedding.tensors["grid16"])
            with torch.no_grad():
                boxes_, scores = DiscoveryGraph(head)(
                    grid16, torch.from_numpy(embedding.tensors["grid8"])
                )
            xyxy, found = opened.every_box(embedding)
            assert len(xyxy) == rows * columns * 21 // 16
            corners = embedding.fit.from_unit(boxes_.numpy().reshape(-1, 2, 2)).reshape(-1, 4)
            np.testing.assert_allclose(xyxy, corners, atol=0.05)
            np.testing.assert_allclose(found, scores.numpy(), atol=1e-4)
            cut16, cut8 = grids(embedding)
            assert cut16.shape[0] * 2 == cut8.shape[0] <= rows
        encoder.close()
    opened.close()


def test_attaching_again_replaces_the_head(
    default_bundle: Bundle, checkpoint: Path, recipe: config.DiscoveryRecipe, tmp_path: Path
) -> None:
    once = attach(default_bundle.folder, checkpoint, recipe.facts, tmp_path / "made")
    again = attach(once.folder, checkpoint, recipe.facts, tmp_path / "again")
    assert [e.part for e in again.manifest.engines].count("discovery") == 1


def test_a_recipe_may_name_a_head() -> None:
    shipped, _ = load_recipe("pocketsam-fp32")
    plain = msgspec.to_builtins(shipped)
    facts = {"score_thresh": 0.1, "nms_thresh": 0.7, "max_boxes": 9, "chosen_on": "nothing"}
    plain["discovery"] = {"checkpoint": "head.safetensors", **facts}
    made = msgspec.convert(plain, type(shipped))
    assert made.discovery is not None
    assert msgspec.to_builtins(made.discovery.facts) == facts


# The whole command


def small_recipe(folder: Path) -> Path:
    """The committed recipe, made small; written beside a recipe of tiny photos."""
    photos = COMMITTED.read_text("utf-8")
    start, end = photos.index("[data.sources]"), photos.index("[canvas]")
    sources = "[data.sources]\nshapes = { weight = 1.0 }\n[data.backdrops]\nplain = 1.0\n"
    text = photos[:start] + sources + photos[end:]
    (folder / "photos.toml").write_text(text.replace("holdout = 0.05", "holdout = 0.5"), "utf-8")
    plain = msgspec.toml.decode(config.DEFAULT.read_bytes())
    plain["photos"] = "photos.toml"
    plain["features"] |= {"side": 384, "unlabelled": ["plain"], "all_of": [], "small_share": 0.0}
    plain["head"] = {"width": SIZES[0], "blocks": list(SIZES[1])}
    plain["training"] |= {"steps": 4, "batch": 2, "validate_every": 2, "save_every": 2}
    lines = []
    for key, value in plain.items():
        if not isinstance(value, dict):
            lines.append(f"{key} = {json.dumps(value)}")
    for key, value in plain.items():
        if isinstance(value, dict):
            lines += [f"[{key}]", *(f"{k} = {json.dumps(v)}" for k, v in value.items())]
    (folder / "head.toml").write_text("\n".join(lines) + "\n", "utf-8")
    return folder / "head.toml"


def test_one_command_from_photos_to_figures(tmp_path: Path) -> None:
    write_photos(tmp_path / "data", count=8)
    write_backdrops(tmp_path / "data")
    given = [
        *("--config", str(small_recipe(tmp_path)), "--data", str(tmp_path / "data")),
        *("--work", str(tmp_path / "work"), "--out", str(tmp_path / "figures.json")),
    ]
    assert main(["all", *given]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert figures["recall"].keys() == {"detector", "discovery_512", "discovery_384"}
    assert figures["recall"]["discovery_384"]["all"]["boxes"] > 0
    assert figures["ms_per_picture"]["threads_2"]["discovery_384"] > 0
    assert (tmp_path / "work/head.safetensors").exists()
    kinds = [row["kind"] for row in read_journal(tmp_path / "work/run/journal.jsonl")]
    assert kinds.count("validation") == 2
    made = bundles.load(tmp_path / "work/bundle")
    assert made.has("discovery", "onnxruntime", 512)
    assert main(["train", *given]) == 0  # there is nothing left to do


def test_features_of_another_encoder_are_not_mixed_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "work" / "features"
    folder.mkdir(parents=True)
    (folder / "features.json").write_text("{}")
    write_photos(tmp_path / "data", count=4)
    write_backdrops(tmp_path / "data")
    given = ["--config", str(small_recipe(tmp_path)), "--data", str(tmp_path / "data")]
    assert main(["features", *given, "--work", str(tmp_path / "work")]) == 2
    assert "Name another folder" in caplog.text


def test_training_without_features_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="discovery features"):
        batches.files(Path("nowhere"), "train")
