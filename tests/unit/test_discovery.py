"""The runtime side of the discovery head, with an engine whose boxes the test chooses."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the made-up engine is written with onnx")

from onnx import TensorProto, helper, numpy_helper

from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import Bundle
from edgesam_rt.discovery import Discovery, has_discovery
from edgesam_rt.errors import BackendError, BundleError, ConfigError
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import EngineOptions
from tests.bundle_doubles import Plain, edit_manifest, linked_copy

OPTIONS = EngineOptions("onnxruntime")
WIDTH = 8
FACTS = {"score_thresh": 0.2, "nms_thresh": 0.5, "max_boxes": 3, "chosen_on": "nothing"}
IMAGE_HW = (240, 320)


def rows_engine(outputs: tuple[str, str] = ("boxes_xyxy", "scores")) -> bytes:
    """Each row of grid16 is a box in encoder sides, then its score."""
    values = {"zero": [0], "four": [4], "five": [5], "columns": [1]}
    nodes = [
        helper.make_node("Slice", ["grid16", "zero", "four", "columns"], [outputs[0]]),
        helper.make_node("Slice", ["grid16", "four", "five", "columns"], ["score_column"]),
        helper.make_node("Squeeze", ["score_column", "columns"], [outputs[1]]),
    ]

    def value(name: str, shape: list[int | str]) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "rows",
        [value("grid16", ["cells16", WIDTH]), value("grid8", ["rows8", "columns8", WIDTH])],
        [value(outputs[0], ["cells16", 4]), value(outputs[1], ["cells16"])],
        [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def spec(name: str, *shape: int | str) -> Plain:
    return {"name": name, "shape": shape, "dtype": "float32", "layout": ""}


def bundle_with_head(
    original: Bundle, to: Path, outputs: tuple[str, str] = ("boxes_xyxy", "scores")
) -> Path:
    folder, content = linked_copy(original, to), rows_engine(outputs)
    (folder / "discovery.onnx").unlink(missing_ok=True)
    (folder / "discovery.onnx").write_bytes(content)
    row = {
        "part": "discovery",
        "backend": "onnxruntime",
        "file": "discovery.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "inputs": [spec("grid16", "cells16", WIDTH), spec("grid8", "rows8", "columns8", WIDTH)],
        "outputs": [spec(outputs[0], "cells16", 4), spec(outputs[1], "cells16")],
    }

    def add(manifest: Plain) -> None:
        manifest["engines"] = [e for e in manifest["engines"] if e["part"] != "discovery"] + [row]
        manifest["discovery"] = FACTS

    edit_manifest(folder, add)
    return folder


@pytest.fixture
def folder(default_bundle: Bundle, tmp_path: Path) -> Path:
    return bundle_with_head(default_bundle, tmp_path / "bundle")


@pytest.fixture
def discovery(folder: Path) -> Discovery:
    return Discovery(bundles.load(folder), OPTIONS)


def embedding_of(label: str, rows: list[list[float]]) -> Embedding:
    """An embedding from which the engine reads boxes in px of the picture, and scores."""
    fit = Fit.longest_side(IMAGE_HW, 512)
    grid16 = np.zeros((len(rows), WIDTH), np.float32)
    if rows:
        table = np.array(rows, np.float32)
        grid16[:, :4] = fit.to_unit(table[:, :4].reshape(-1, 2, 2)).reshape(-1, 4)
        grid16[:, 4] = table[:, 4]
    grid8 = np.zeros((4, 6, WIDTH), np.float32)
    return Embedding({"grid16": grid16, "grid8": grid8}, fit, label, "made up")


def find(
    discovery: Discovery, label: str, *rows: list[float]
) -> tuple[list[list[float]], list[float]]:
    found = discovery.find(embedding_of(label, list(rows)))
    assert (found.xyxy.dtype, found.score.dtype) == (np.float32, np.float32)
    assert found.xyxy.shape == (len(found.score), 4)
    return np.float64(found.xyxy).round(2).tolist(), np.float64(found.score).round(2).tolist()


def test_boxes_come_in_pixels_best_first(discovery: Discovery, default_bundle: Bundle) -> None:
    boxes, scores = find(
        discovery, default_bundle.label, [10, 20, 60, 70, 0.4], [100, 20, 160, 70, 0.9]
    )
    assert boxes == [[100, 20, 160, 70], [10, 20, 60, 70]]
    assert scores == [0.9, 0.4]


def test_boxes_end_at_the_picture_and_those_outside_are_dropped(
    discovery: Discovery, default_bundle: Bundle
) -> None:
    boxes, _ = find(
        discovery, default_bundle.label, [-9, -9, 50, 300, 0.9], [20, 245, 60, 300, 0.8]
    )
    assert boxes == [[0, 0, 50, 240]]


def test_of_two_that_overlap_the_better_is_kept(
    discovery: Discovery, default_bundle: Bundle
) -> None:
    boxes, scores = find(
        discovery, default_bundle.label, [10, 10, 60, 60, 0.5], [12, 10, 62, 60, 0.6]
    )
    assert (boxes, scores) == ([[12, 10, 62, 60]], [0.6])


def test_no_more_than_the_manifest_says(discovery: Discovery, default_bundle: Bundle) -> None:
    rows = [[30 * i, 0, 30 * i + 20, 20, 0.3 + i / 20] for i in range(6)]
    _, scores = find(discovery, default_bundle.label, *rows)
    assert scores == [0.55, 0.5, 0.45]


def test_no_sure_box_is_an_empty_result(discovery: Discovery, default_bundle: Bundle) -> None:
    assert find(discovery, default_bundle.label, [10, 20, 60, 70, 0.1]) == ([], [])


def test_every_box_is_given_unclipped_when_asked(
    discovery: Discovery, default_bundle: Bundle
) -> None:
    xyxy, scores = discovery.every_box(
        embedding_of(default_bundle.label, [[-9, -9, 50, 300, 0.1], [0, 0, 9, 9, 0.3]])
    )
    np.testing.assert_allclose(xyxy, [[-9, -9, 50, 300], [0, 0, 9, 9]], atol=1e-3)
    np.testing.assert_allclose(scores, [0.1, 0.3])


def test_an_embedding_of_another_bundle_is_refused(discovery: Discovery) -> None:
    with pytest.raises(ConfigError, match=r"other 1\.0 made\. Encode the picture"):
        discovery.find(embedding_of("other 1.0", [[0, 0, 9, 9, 0.9]]))


def test_a_closed_head_says_so(discovery: Discovery, default_bundle: Bundle) -> None:
    discovery.close()
    discovery.close()
    with pytest.raises(BackendError, match="closed"):
        discovery.find(embedding_of(default_bundle.label, [[0, 0, 9, 9, 0.9]]))


def test_a_bundle_without_a_head_says_what_to_do(folder: Path) -> None:
    def remove(manifest: Plain) -> None:
        manifest["engines"] = [e for e in manifest["engines"] if e["part"] != "discovery"]

    edit_manifest(folder, remove)
    found = bundles.load(folder)
    assert not has_discovery(found, "onnxruntime")
    with pytest.raises(ConfigError, match=r"no discovery head for onnxruntime\. Build"):
        Discovery(found, OPTIONS)


def test_a_head_without_facts_is_refused(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest.pop("discovery"))
    found = bundles.load(folder)
    assert has_discovery(found, "onnxruntime")
    with pytest.raises(BundleError, match="key 'discovery'"):
        Discovery(found, OPTIONS)


def test_an_engine_with_other_outputs_is_refused(default_bundle: Bundle, tmp_path: Path) -> None:
    folder = bundle_with_head(default_bundle, tmp_path / "other", ("boxes", "scores"))
    with pytest.raises(BundleError, match="has the outputs 'boxes_xyxy' and 'scores'"):
        Discovery(bundles.load(folder), OPTIONS)
