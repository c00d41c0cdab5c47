"""Files with quantised inputs and outputs take and give what the manifest says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesam_rt.backends import BackendOptions
from edgesam_rt.errors import EngineLoadError
from edgesam_rt.manifest import TensorSpec
from edgesam_rt.types import AnyArray

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

from edgesam_engines.litert.flatbuffer import File, Quant
from edgesam_rt.backends.litert import LiteRt

SCALE, ZERO = 0.5, 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that turns int8 (2, 3) into int8 (3, 2), value for value."""
    file, quant = File("test"), Quant(np.array([SCALE]), np.array([ZERO]))
    graph = file.graph("all")
    x = graph.tensor("x", (2, 3), "int8", quant)
    y = graph.tensor("y", (3, 2), "int8", quant)
    shape = np.array([3, 2], np.int32)
    graph.operator("RESHAPE", [x, graph.constant("shape", shape)], [y], newShape=shape)
    file.sign(graph, {"x": x}, {"y": y})
    made = tmp_path / "turned.tflite"
    made.write_bytes(file.content())
    return made


def run(path: Path, values: AnyArray) -> AnyArray:
    takes = TensorSpec(name="x", shape=(2, 3), dtype=values.dtype.name)
    gives = TensorSpec(name="y", shape=(3, 2), dtype="float32")
    backend = LiteRt(path, [takes], [gives], BackendOptions())
    made = backend.run({"x": values})["y"]
    backend.close()
    return made


def test_floats_are_rounded_to_the_files_scale_and_cut_at_its_ends(path: Path) -> None:
    values = np.array([[0.2, 0.3, -1.0], [100, -100, 0.25]], np.float32)
    want = [0.0, 0.5, -1.0, (127 - ZERO) * SCALE, (-128 - ZERO) * SCALE, 0.0]
    np.testing.assert_array_equal(run(path, values).ravel(), np.array(want, np.float32))


def test_bytes_of_a_picture_keep_their_values(path: Path) -> None:
    values = np.array([[0, 1, 127], [128, 254, 255]], np.uint8)
    want = (values.astype(np.float32) - 128 - ZERO) * SCALE
    np.testing.assert_array_equal(run(path, values).ravel(), want.ravel())


def test_values_that_the_file_already_has_go_through_as_they_are(path: Path) -> None:
    values = np.array([[-128, -1, 0], [1, 3, 127]], np.int8)
    want = (values.astype(np.float32) - ZERO) * SCALE
    np.testing.assert_array_equal(run(path, values).ravel(), want.ravel())


def test_types_that_cannot_become_the_files_are_refused_with_its_own(path: Path) -> None:
    takes = TensorSpec(name="x", shape=(2, 3), dtype="int64")
    gives = TensorSpec(name="y", shape=(3, 2), dtype="float32")
    with pytest.raises(EngineLoadError, match=r"turned\.tflite.*x \(2, 3\) int8"):
        LiteRt(path, [takes], [gives], BackendOptions())


def test_a_file_without_signatures_is_refused(tmp_path: Path) -> None:
    file = File("none")
    graph = file.graph("all")
    x = graph.tensor("x", (2,), "float32")
    y = graph.tensor("y", (2,), "float32")
    graph.operator("ABS", [x], [y])
    file.sign(graph, {"x": x}, {"y": y})
    file._model.signatureDefs = []
    (tmp_path / "bare.tflite").write_bytes(file.content())
    spec = TensorSpec(name="x", shape=(2,), dtype="float32")
    with pytest.raises(EngineLoadError, match="no signature"):
        LiteRt(tmp_path / "bare.tflite", [spec], [spec], BackendOptions())
