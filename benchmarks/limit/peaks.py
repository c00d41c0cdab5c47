"""What this machine can do at best, measured with ONNX Runtime's own kernels and with copies.

A peak is the most that any of some large, friendly shapes reaches: no engine can be expected to
beat what the same library does with one big layer. Bandwidth depends on how much is moved, because
small tensors stay in caches; so it is a curve, read at the size of each layer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgesam_rt.types import AnyArray

WARM_UP, REPEATS = 2, 12
# Rows, sums, columns: a layer of 64x64 places, a square, a wide one.
SHAPES = ((4096, 256, 256), (1024, 1024, 1024), (4096, 512, 1024))
COPIED = tuple(
    2**n for n in range(17, 29)
)  # bytes read and written in one copy: 128 KiB to 256 MiB
COPY_S = 0.02  # how long each size is copied in one trial
TRIALS = 5


class Probe(NamedTuple):
    """One way to multiply: the graph's operator, and the precision it stands for."""

    name: str
    precision: str


PROBES = (
    Probe("QLinearConv", "int8"),
    Probe("QLinearMatMul", "int8"),
    Probe("MatMulInteger", "int8"),
    Probe("Conv", "fp32"),
    Probe("MatMul", "fp32"),
)


def multiply_adds(threads: int) -> dict[str, dict[str, float]]:
    """Most multiply-adds per second, in 1e9, by precision and operator."""
    out: dict[str, dict[str, float]] = {}
    for probe in PROBES:
        rates = [_rate(probe, shape, threads) for shape in SHAPES]
        out.setdefault(probe.precision, {})[probe.name] = round(max(rates), 1)
    return out


def _rate(probe: Probe, shape: tuple[int, int, int], threads: int) -> float:
    model, feed = MAKERS[probe.name](*shape)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session: Any = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {session.get_inputs()[0].name: feed}
    taken = []
    for _ in range(WARM_UP + REPEATS):
        started = time.perf_counter_ns()
        session.run(None, feeds)
        taken.append(time.perf_counter_ns() - started)
    return float(np.prod(np.array(shape, np.float64)) / min(taken[WARM_UP:]))


def _numbers(shape: Sequence[int], kind: type[np.generic]) -> AnyArray:
    rng = np.random.default_rng(0)
    if kind is np.float32:
        return rng.standard_normal(shape).astype(np.float32)
    return rng.integers(-20 if kind is np.int8 else 0, 20, shape).astype(kind)


Made = tuple[ModelProto, AnyArray]


def _qlinear_conv(rows: int, sums: int, columns: int) -> Made:
    """As in the engines: channels last, uint8 activations, int8 weights per channel."""
    side = int(rows**0.5)
    weight = _numbers((columns, sums, 1, 1), np.int8)
    constants = _scales(columns) | {"w": weight, "bias": np.zeros(columns, np.int32)}
    node = helper.make_node(
        "QLinearConv",
        ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "bias"],
        ["y"],
        domain="com.microsoft",
        channels_last=1,
    )
    feed = _numbers((1, side, rows // side, sums), np.uint8)
    return _model(node, constants, feed, TensorProto.UINT8), feed


def _qlinear_matmul(rows: int, sums: int, columns: int) -> Made:
    constants = _scales(columns) | {"w": _numbers((sums, columns), np.int8)}
    node = helper.make_node("QLinearMatMul", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"])
    feed = _numbers((rows, sums), np.uint8)
    return _model(node, constants, feed, TensorProto.UINT8), feed


def _matmul_integer(rows: int, sums: int, columns: int) -> Made:
    constants = {"w": _numbers((sums, columns), np.int8)}
    feed = _numbers((rows, sums), np.uint8)
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    return _model(node, constants, feed, TensorProto.INT32), feed


def _conv(rows: int, sums: int, columns: int) -> Made:
    side = int(rows**0.5)
    feed = _numbers((1, sums, side, rows // side), np.float32)
    constants = {"w": _numbers((columns, sums, 1, 1), np.float32)}
    return _model(helper.make_node("Conv", ["x", "w"], ["y"]), constants, feed, 1), feed


def _matmul(rows: int, sums: int, columns: int) -> Made:
    feed = _numbers((rows, sums), np.float32)
    constants = {"w": _numbers((sums, columns), np.float32)}
    return _model(helper.make_node("MatMul", ["x", "w"], ["y"]), constants, feed, 1), feed


MAKERS: Mapping[str, Callable[[int, int, int], Made]] = {
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "MatMulInteger": _matmul_integer,
    "Conv": _conv,
    "MatMul": _matmul,
}


def _scales(columns: int) -> dict[str, AnyArray]:
    zero = np.array(128, np.uint8)
    return {
        "xs": np.array(0.05, np.float32),
        "xz": zero,
        "ws": np.full(columns, 0.01, np.float32),
        "wz": np.zeros(columns, np.int8),
        "ys": np.array(2.0, np.float32),
        "yz": zero,
    }


def _model(node: Any, constants: Mapping[str, AnyArray], feed: AnyArray, made: int) -> ModelProto:
    kind = helper.np_dtype_to_tensor_dtype(feed.dtype)
    graph = helper.make_graph(
        [node],
        "probe",
        [helper.make_tensor_value_info("x", kind, feed.shape)],
        [helper.make_tensor_value_info("y", made, None)],
        [
            numpy_helper.from_array(np.asarray(value), name)
            for name, value in constants.items()
            if name in node.input
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def bandwidth(threads: int) -> list[tuple[int, float]]:
    """Bytes moved by one copy (read and written), and gigabytes per second, by size."""
    return [(size, round(_copy_rate(size, threads), 1)) for size in COPIED]


def _copy_rate(size: int, threads: int) -> float:
    """The best of some trials in which all threads copy their part, over and over."""
    part = max(4096, size // 2 // threads)
    pairs = [(np.ones(part, np.uint8), np.empty(part, np.uint8)) for _ in range(threads)]
    return max(_copy(pairs) for _ in range(TRIALS))


def _copy(pairs: Sequence[tuple[AnyArray, AnyArray]]) -> float:
    """Gigabytes per second of all pairs at once, each copied by a thread of its own."""
    begin = threading.Barrier(len(pairs))
    rates: list[float] = []

    def work(source: AnyArray, target: AnyArray) -> None:
        begin.wait()
        started, rounds = time.perf_counter(), 0
        while (spent := time.perf_counter() - started) < COPY_S:
            np.copyto(target, source)
            rounds += 1
        rates.append(2 * source.nbytes * rounds / spent / 1e9)

    workers = [threading.Thread(target=work, args=pair) for pair in pairs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(rates)


def rate_at(curve: Sequence[tuple[int, float]], size: float) -> float:
    """Gigabytes per second for so many bytes, between the measured sizes."""
    sizes, rates = zip(*curve, strict=True)
    return float(np.interp(np.log2(max(size, 1.0)), np.log2(sizes), rates))
