from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the factory's graphs need onnx")

from msgspec.structs import replace
from onnx import ModelProto, TensorProto, helper

from edgesam_engines import pack
from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import MANIFEST, Bundle
from edgesam_rt.errors import ConfigError
from tests.bundle_doubles import hollow_copy, load_all
from tests.engines.graph_doubles import make_graph, noise


def small_engine() -> ModelProto:
    return make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        inputs={"x": (1, 3)},
        outputs={"y": (1, 3)},
        values={"w": noise((1, 3))},
    )


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# Engines and manifests


def test_an_engine_is_described_as_it_was_written(tmp_path: Path) -> None:
    entry = pack.write_engine(tmp_path, small_engine(), "encoder", 64, {"x": "nhwc"})
    raw = (tmp_path / entry.file).read_bytes()
    assert entry.file == "encoder-64.onnx"
    assert entry.sha256 == hashlib.sha256(raw).hexdigest()
    assert entry.size_bytes == len(raw)
    assert [(t.name, t.shape, t.dtype, t.layout) for t in entry.inputs] == [
        ("x", (1, 3), "float32", "nhwc")
    ]
    assert [t.name for t in entry.outputs] == ["y"]


def test_an_engine_for_every_side_has_none_in_its_name(tmp_path: Path) -> None:
    assert pack.write_engine(tmp_path, small_engine(), "scorer", None, {}).file == "scorer.onnx"


def test_the_same_graph_gives_the_same_file(tmp_path: Path) -> None:
    entries = []
    for name in "ab":
        (tmp_path / name).mkdir()
        entries.append(pack.write_engine(tmp_path / name, small_engine(), "scorer", None, {}))
    assert entries[0] == entries[1]


def test_free_axes_keep_their_names_and_bytes_their_type() -> None:
    values = [
        helper.make_tensor_value_info("p", TensorProto.UINT8, [1, "rows", 3]),
        helper.make_tensor_value_info("n", TensorProto.INT64, ["rows"]),
    ]
    specs = pack.tensor_specs(values, {})
    assert [(s.shape, s.dtype) for s in specs] == [((1, "rows", 3), "uint8"), (("rows",), "int64")]


def test_no_free_axis_of_a_shipped_engine_is_named_by_a_tool(default_bundle: Bundle) -> None:
    """What a manifest says of axes is for people: "prompts", not "Squeeze_dim_1"."""
    engines = default_bundle.manifest.engines
    specs = [spec for e in engines for spec in (*e.inputs, *e.outputs)]
    names = {axis for spec in specs for axis in spec.shape if isinstance(axis, str)}
    assert [name for name in sorted(names) if "dim" in name] == []


def test_a_manifest_reads_back_as_it_was_written(default_bundle: Bundle, tmp_path: Path) -> None:
    folder = hollow_copy(default_bundle, tmp_path / "copy")
    manifest = replace(bundles.load(folder).manifest, origin="ä, “x”", verification={"n": [1, 2.5]})
    pack.write_manifest(folder, manifest)
    assert bundles.load(folder).manifest == manifest


def test_a_manifest_can_be_read_by_people(default_bundle: Bundle, tmp_path: Path) -> None:
    pack.write_manifest(tmp_path, default_bundle.manifest)
    text = (tmp_path / MANIFEST).read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert len(text.splitlines()) > 50


# Taking a bundle's place


@pytest.fixture
def old(default_bundle: Bundle, tmp_path: Path) -> Path:
    return hollow_copy(default_bundle, tmp_path / "out" / "bundle")


def fill(folder: Path) -> None:
    (folder / "new.bin").write_bytes(b"new")
    (folder / MANIFEST).write_text("{}")


def test_a_new_bundle_appears_when_all_went_well(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "bundle"
    with pack.new_bundle(out, replace=False) as folder:
        fill(folder)
        assert not out.exists()
    assert snapshot(out) == {"new.bin": b"new", MANIFEST: b"{}"}
    assert [p.name for p in out.parent.iterdir()] == ["bundle"]


def test_a_failed_build_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), pack.new_bundle(tmp_path / "b", replace=False) as folder:
        fill(folder)
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_build_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), pack.new_bundle(tmp_path / "b", replace=False) as folder:
        fill(folder)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_an_existing_bundle_is_not_replaced_unless_asked_to(old: Path) -> None:
    before = snapshot(old)
    with (
        pytest.raises(ConfigError, match=r"exists.*--replace"),
        pack.new_bundle(old, replace=False),
    ):
        pass
    assert snapshot(old) == before


def test_an_existing_bundle_is_replaced_whole(old: Path) -> None:
    with pack.new_bundle(old, replace=True) as folder:
        fill(folder)
        load_all(old)  # still there while the new one is built
    assert snapshot(old) == {"new.bin": b"new", MANIFEST: b"{}"}
    assert [p.name for p in old.parent.iterdir()] == ["bundle"]


def test_a_failed_build_keeps_the_old_bundle(old: Path) -> None:
    before = snapshot(old.parent)
    with pytest.raises(ZeroDivisionError), pack.new_bundle(old, replace=True) as folder:
        fill(folder)
        _ = 1 / 0
    assert snapshot(old.parent) == before


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(ConfigError, match=r"home is not a bundle"),
        pack.new_bundle(home, replace=True),
    ):
        pass
    assert snapshot(tmp_path) == {"home/thesis.txt": b"years of work"}


def test_an_empty_folder_is_replaced_when_asked_to(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pack.new_bundle(tmp_path / "b", replace=True) as folder:
        fill(folder)
    assert (tmp_path / "b" / "new.bin").is_file()


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("a file")
    with (
        pytest.raises(ConfigError, match="not a bundle"),
        pack.new_bundle(tmp_path / "b", replace=True),
    ):
        pass
    assert snapshot(tmp_path) == {"b": b"a file"}


def test_a_finished_bundle_can_be_read_by_others(tmp_path: Path) -> None:
    with pack.new_bundle(tmp_path / "b", replace=False) as folder:
        fill(folder)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o755


def test_sha256_is_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(np.arange(9, dtype=np.uint8).tobytes())
    assert pack.sha256(tmp_path / "x") == hashlib.sha256(bytes(range(9))).hexdigest()
