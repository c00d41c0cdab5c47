"""The parts of the proof on Arm that need no other machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.arm import adds, compare, opcodes, ops, run_graph, site, sizes
from benchmarks.arm.board_runs import CPUS
from benchmarks.arm.userland import HERE, ArmError
from edgesam_rt import boards
from edgesam_rt import bundle as bundles
from edgesam_rt.errors import ConfigError
from edgesam_rt.system import cpu

# Words as GNU as assembles them, and as QEMU 7.2 prints them.
DOTS = {
    "sdot": 0x4E829420,  # sdot v0.4s, v1.16b, v2.16b
    "udot": 0x6E829420,  # udot v0.4s, v1.16b, v2.16b
    "sdot by element": 0x4F82E020,  # sdot v0.4s, v1.16b, v2.4b[0]
    "udot by element": 0x6FA2E820,  # udot v0.4s, v1.16b, v2.4b[3]
}
OTHERS = {
    "nop": 0xD503201F,
    "mla v0.4s, v1.4s, v2.4s": 0x4EA29420,
    "mul v0.16b, v1.16b, v2.16b": 0x4E229C20,
    "umlal v0.8h, v1.8b, v2.8b": 0x2E228020,
    "fmla v0.4s, v1.4s, v2.s[0]": 0x4F821020,
}


@pytest.mark.parametrize("name", DOTS)
def test_a_dot_product_is_known_by_its_bits(name: str) -> None:
    assert opcodes.name_of(DOTS[name]) == name


@pytest.mark.parametrize("name", OTHERS)
def test_other_instructions_are_no_dot_products(name: str) -> None:
    assert opcodes.name_of(OTHERS[name]) is None


def test_the_log_of_qemu_is_counted_line_by_line() -> None:
    log = [
        "----------------\n",
        "IN: \n",
        "0x550081be40:  d503201f  nop      \n",
        f"0x5500ac7470:  {DOTS['udot by element']:08x}  .byte    0x20, 0xe8, 0xa2, 0x6f\n",
        "\n",
    ]
    counts = opcodes.count(log)
    assert counts.pop("instructions") == 2
    assert counts == {"sdot": 0, "udot": 0, "sdot by element": 0, "udot by element": 1}


def test_arrays_are_compared_by_their_bytes_stage_by_stage() -> None:
    here = {
        "photo/pixels": np.zeros(4, np.uint8),
        "512/encoder/a": np.array([0.0, 1.0], np.float32),
        "512/encoder/b": np.array([2.0, 2.0], np.float32),
    }
    there = {**here, "512/encoder/b": np.array([2.0, 2.5], np.float32)}
    photo, encoder = compare.stages(here, there)
    assert (photo["side"], photo["stage"], photo["equal"]) == ("", "photo", 1)
    assert encoder["arrays"] == 2
    assert encoder["equal"] == 1
    assert encoder["differing_share"] == 0.25
    assert encoder["largest"] == 0.5


def test_other_arrays_than_the_references_are_refused() -> None:
    with pytest.raises(ConfigError, match="not the same arrays"):
        compare.stages({"a/b": np.zeros(1)}, {"a/c": np.zeros(1)})


def test_mask_files_are_compared_pixel_by_pixel(tmp_path: Path) -> None:
    mask = np.zeros((4, 5), np.uint8)
    mask[:2] = 255
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "same.png"), mask)
        cv2.imwrite(str(tmp_path / name / "other.png"), mask)
        mask = mask.copy()
        mask[2, 0] = 255  # the second "other.png" has a pixel more
    cv2.imwrite(str(tmp_path / "there" / "same.png"), np.where(np.arange(4)[:, None] < 2, 255, 0))
    found = compare.masks(tmp_path / "here", tmp_path / "there")
    assert (found["files"], found["equal"]) == (2, 1)
    assert (found["differing_pixels"], found["pixels"]) == (1, 40)
    assert found["iou"] == pytest.approx(10 / 11)


def test_folders_without_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has masks"):
        compare.masks(tmp_path, tmp_path)


def test_a_package_is_as_large_as_the_files_it_lists(tmp_path: Path) -> None:
    info = tmp_path / "thing-1.0.dist-info"
    info.mkdir()
    metadata = "Name: thing\nVersion: 1.0\n"
    (info / "METADATA").write_text(metadata)
    (tmp_path / "thing.py").write_text("x" * 100)
    (tmp_path / "stray").write_text("y" * 7)
    (info / "RECORD").write_text("thing.py,,\nthing-1.0.dist-info/METADATA,,\ngone.py,,\n")
    (row,) = sizes.packages(tmp_path)
    assert row == {"name": "thing", "version": "1.0", "bytes": 100 + len(metadata)}
    assert sizes.total(tmp_path) == sum(
        p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()
    )


def test_operators_taken_apart_give_what_they_give_in_the_whole_graph(
    tmp_path: Path,
) -> None:
    source, whole, apart = (tmp_path / f"{n}.onnx" for n in ("source", "whole", "apart"))
    _tiny_graph(source)
    ops.with_all_outputs(source, whole)
    ops.taken_apart(source, apart)
    x = np.array([[1.0, -2.0, 3.5]], np.float32)
    tensors = _run(whole, {"x": x}, tmp_path)
    given = {ops.GIVEN + name: array for name, array in tensors.items()}
    made = _run(apart, {"x": x, **given}, tmp_path)
    assert ops.inputs_of(source) == ["x"]
    kinds = ops.compare(source, tensors, made)
    assert {row["op"]: (row["count"], row["differing"]) for row in kinds} == {
        "Add": (1, 0),
        "input": (1, 0),
    }


def test_an_operator_that_differs_is_named_first(tmp_path: Path) -> None:
    source, whole = tmp_path / "source.onnx", tmp_path / "whole.onnx"
    _tiny_graph(source)
    ops.with_all_outputs(source, whole)
    here = _run(whole, {"x": np.ones((1, 3), np.float32)}, tmp_path)
    there = {**here, "sum_q": here["sum_q"] + np.array([[0, 2, 0]], np.uint8)}
    first, _ = ops.compare(source, here, there)
    assert first == {
        "op": "Add",
        "count": 1,
        "differing": 1,
        "worst_share": pytest.approx(1 / 3),
        "worst_steps": 2,
    }


def _tiny_graph(path: Path) -> None:
    """Quantise, add to itself, quantise: (1, 3) float32 to uint8."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    node, array = onnx.helper.make_node, onnx.numpy_helper.from_array
    graph = onnx.helper.make_graph(
        [
            node("QuantizeLinear", ["x", "s", "z"], ["x_q"]),
            node("DequantizeLinear", ["x_q", "s", "z"], ["x_f"]),
            node("Add", ["x_f", "x_f"], ["sum"]),
            node("QuantizeLinear", ["sum", "s", "z"], ["sum_q"]),
        ],
        "tiny",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3])],
        [onnx.helper.make_tensor_value_info("sum_q", onnx.TensorProto.UINT8, [1, 3])],
        [array(np.float32(0.1), "s"), array(np.uint8(100), "z")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, str(path))


def _run(graph: Path, feeds: dict[str, np.ndarray], folder: Path) -> dict[str, run_graph.Array]:
    inputs, out = folder / "in.npz", folder / "out.npz"
    np.savez(inputs, **{run_graph.member(name): array for name, array in feeds.items()})
    assert run_graph.main([str(graph), str(inputs), str(out)]) == 0
    with np.load(out) as arrays:
        return run_graph.names(arrays)


def test_an_unknown_processor_is_refused_by_name(tmp_path: Path) -> None:
    command = ["bash", str(HERE / "enter.sh"), str(tmp_path), "cortex-a99", "true"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (2, 3)
    assert "cortex-a99" in done.stderr or "need root" in done.stderr


def test_the_probe_needs_the_runtime_alone() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import probe;"
        "print(sorted(m for m in sys.modules if m.startswith('benchmarks')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(HERE)],
        capture_output=True,
        text=True,
        cwd=HERE.parents[1],
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_additions_of_one_machine_agree_with_themselves_by_every_rule(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    graph, inputs = tmp_path / "adds.onnx", tmp_path / "adds.npz"
    adds.write(graph, inputs)
    with np.load(inputs) as feeds:
        made = _run(graph, dict(feeds), tmp_path)
    rows = adds.compare(made, made)
    assert [row["rule"] for row in rows] == list(adds.RULES)
    assert all((row["count"], row["differing"]) == (adds.CASES, 0) for row in rows)


@pytest.mark.parametrize("denominator", [1023, 4095])
def test_with_an_odd_denominator_no_sum_comes_near_a_half(denominator: int) -> None:
    snap = adds.RULES["1023rds" if denominator == 1023 else "4095ths"]
    a, b = (np.float32(snap(ratio)) for ratio in (0.7316, 0.4189))
    grid = np.arange(-255, 256, dtype=np.float32)
    sums = grid[:, None] * a + grid * b
    from_half = np.abs(sums - np.floor(sums) - 0.5)
    assert from_half.min() > 0.9 / (2 * denominator)


@pytest.mark.parametrize("side", [512, 384])
def test_the_shipped_encoders_additions_have_odd_fractions(side: int) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    found = bundles.find(None)
    source = found.path(found.engine("encoder", "onnxruntime", side))
    graph = onnx.load(str(source)).graph
    value = {t.name: t for t in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    readers = {name: node for node in graph.node for name in node.input}
    adds_found = [node for node in graph.node if node.op_type == "Add"]
    assert adds_found
    for add in adds_found:
        names = [readers[add.output[0]].input[1], *(makers[i].input[1] for i in add.input)]
        out, *inputs = (float(onnx.numpy_helper.to_array(value[name])) for name in names)
        for scale in inputs:
            steps = scale / out * 4095
            assert abs(steps - round(steps)) < 1e-2


@pytest.mark.parametrize("board", ["rpi4", "rpi5"])
def test_the_emulated_processor_is_the_one_of_the_boards_file(board: str, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    written = HERE / "cpus" / f"{CPUS[board]}.cpuinfo"
    (tmp_path / "proc" / "cpuinfo").write_text(written.read_text())
    info = cpu.cpuinfo(tmp_path)
    assert set(cpu.flags(info)) == set(boards.load(board).cpu.features)
    assert cpu.name(info).lower() == CPUS[board]


def test_versions_are_pinned_to_those_installed_here(tmp_path: Path) -> None:
    wheel = tmp_path / "edgesam_rt-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            "edgesam_rt-1.0.dist-info/METADATA",
            "Name: edgesam_rt\nVersion: 1.0\nRequires-Dist: numpy<3,>=1.24\n"
            "Requires-Dist: tomli>=2; python_version < '3.11'\n"
            "Requires-Dist: torch>=2.6; extra == 'engines'\n",
        )
    assert site.pins(wheel) == [f"numpy=={np.__version__}"]
    with pytest.raises(ArmError, match="no-such-package is not installed here"):
        site.pins(wheel, ("no-such-package",))


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
@pytest.mark.skipif(shutil.which("qemu-aarch64-static") is None, reason="QEMU is not installed")
def test_a_userland_with_something_mounted_in_it_is_not_removed(tmp_path: Path) -> None:
    inside = tmp_path / "rootfs" / "proc"
    inside.mkdir(parents=True)
    (tmp_path / "first-stage.tar").touch()  # as after a second stage that was killed
    script = 'mount -t tmpfs none "$1/rootfs/proc" && touch "$1/rootfs/proc/kept" && "$2" "$1"'
    script += '; code=$?; ls "$1/rootfs/proc"; exit $code'
    command = ["unshare", "--mount", "--propagation", "private", "bash", "-c", script, "bash"]
    done = subprocess.run(
        [*command, str(tmp_path), str(HERE / "userland.sh")], capture_output=True, text=True
    )
    assert done.returncode == 3
    assert "something is mounted below" in done.stderr
    assert done.stdout == "kept\n"
