"""EdgeSAM ranks its answers by how stable their masks are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="families need torch")

import onnxruntime as ort
import torch
from torch import Tensor, nn

from edgesam_engines.export import to_onnx
from edgesam_engines.families.base import GraphSpec
from edgesam_engines.families.edgesam import OFFSET, ByStability, EdgeSam
from edgesam_engines.families.sam_graphs import ANSWERS, SamModel
from edgesam_rt.imaging.masks import stability_scores
from edgesam_rt.types import F32

pytestmark = [pytest.mark.torch, pytest.mark.timeout(120)]
PARSED = json.loads(
    (Path(__file__).resolve().parents[1] / "tensorrt_operators.json").read_text(encoding="utf-8")
)


class Given(nn.Module):
    """A decoder that says what it is given, and scores that nobody trained."""

    def forward(self, low_res: Tensor) -> tuple[Tensor, Tensor]:
        return low_res * 1.0, torch.zeros(low_res.shape[:2])


def answers() -> F32:
    """(2, 4, 16, 16) logits; one mask is empty, one is sure of every cell."""
    made = np.random.default_rng(0).normal(0, 2, (2, 4, 16, 16)).astype(np.float32)
    made[0, 1], made[1, 2] = -9, 9
    return made


def wanted(low_res: F32) -> F32:
    return np.stack([stability_scores(each, 0.0, OFFSET) for each in low_res])


def test_scores_are_the_runtimes_own_stability_and_masks_stay() -> None:
    given = answers()
    low_res, scores = ByStability(Given())(torch.from_numpy(given))
    np.testing.assert_array_equal(low_res.numpy(), given)
    np.testing.assert_allclose(scores.numpy(), wanted(given), rtol=1e-6)
    assert scores[0, 1] == 0
    assert scores[1, 2] == 1


def test_the_exported_graph_says_the_same_of_any_number_of_prompts() -> None:
    module, given = ByStability(Given()).eval(), answers()
    free = {"low_res": {0: "prompts"}, **{name: {0: "prompts"} for name in ANSWERS}}
    graph = to_onnx(GraphSpec(module, {"low_res": torch.zeros(1, 4, 16, 16)}, ANSWERS, free))
    assert {node.op_type for node in graph.graph.node} <= set(PARSED)
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    _, scores = session.run(None, {"low_res": given})
    np.testing.assert_allclose(scores, wanted(given), rtol=1e-6)


def test_litert_counts_cells_as_the_exported_graph_does() -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    from tests.engines.litert_doubles import by_litert

    given = answers()
    module = ByStability(Given()).eval()
    graph = to_onnx(GraphSpec(module, {"low_res": torch.from_numpy(given)}, ANSWERS))
    made = by_litert(graph, {"low_res": given})
    np.testing.assert_allclose(made["iou_predictions"], wanted(given), rtol=1e-6)


def test_its_decoder_ranks_by_stability_and_the_manifest_says_so() -> None:
    family = EdgeSam()
    model = SamModel(nn.Identity(), 64, family.decoder.prompt_side).eval()
    (part,) = family.decoder_graphs(model, 1024).items()
    assert part[0] == "decoder"
    assert isinstance(part[1].module, ByStability)
    assert family.decoder.score_kind == "stability"
    assert family.decoder.ambiguous_answers == (1, 2, 3)
