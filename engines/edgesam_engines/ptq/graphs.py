"""Questions about ONNX graphs, and sessions that run them: one thread, so that bits repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from edgesam_rt.types import AnyArray

Feed = Mapping[str, AnyArray]
Progress = Callable[[str], None]
Item = TypeVar("Item")

MOVING = {  # operations that change where values lie, and no value
    *("Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split"),
    *("Squeeze", "Transpose", "Unsqueeze"),
}
ACTIVATIONS = {"Clip", "Relu"}
_WEIGHTED = {"Conv": 1, "ConvTranspose": 1, "Gemm": -1, "MatMul": -1}  # and where channels lie


@dataclass(frozen=True)
class Feeds:
    """A graph's inputs over the calibration pictures; every `iter` starts a new pass.

    Attributes:
        items: what stands for the pictures, such as their paths: small, for it stays in memory.
        make: gives the inputs for each of them in turn; it may leave some out.
        tell: gives a hash of all that `make` would give for some items, without making it; None
            where nobody knows.
    """

    items: Sequence[Any]
    make: Callable[[Sequence[Any]], Iterator[Feed]]
    tell: Callable[[Sequence[Any]], str] | None = None

    def __iter__(self) -> Iterator[Feed]:
        return self.make(self.items)

    @property
    def digest(self) -> str | None:
        """A hash of the pictures as the graph gets them; None where nobody knows."""
        return None if self.tell is None else self.tell(self.items)

    def few(self, count: int) -> Feeds:
        """Some of them, evenly spread."""
        return replace(self, items=spread(self.items, count))


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """Return `count` of them (all, if there are fewer), evenly spread."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


@dataclass(frozen=True)
class Layer:
    """An operation with weights.

    Attributes:
        name: of its node.
        kind: of its node.
        source: the tensor it reads.
        output: the tensor it makes, before any activation.
        channel_axis: of its output.
        activation: the node behind it, if that is the only reader and a Clip or Relu.
    """

    name: str
    kind: str
    source: str
    output: str
    channel_axis: int
    activation: onnx.NodeProto | None

    @property
    def nodes(self) -> set[str]:
        """Names of the nodes that are quantized together."""
        return {self.name, *([self.activation.name] if self.activation is not None else [])}


def constants(model: onnx.ModelProto) -> dict[str, AnyArray]:
    """Initializers by name."""
    return {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}


def readers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that read each tensor, one entry per input that is it."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The node that makes each tensor."""
    return {name: node for node in model.graph.node for name in node.output}


def layers(model: onnx.ModelProto) -> list[Layer]:
    """All operations whose weights are known, in the graph's order."""
    known, read = {i.name for i in model.graph.initializer}, readers(model)
    outputs = {o.name for o in model.graph.output}
    found = []
    for node in model.graph.node:
        if node.op_type not in _WEIGHTED or node.input[1] not in known or node.input[0] in known:
            continue
        made = node.output[0]
        behind = read.get(made, [])
        follows = made not in outputs and _only_activated(behind)
        axis = _WEIGHTED[node.op_type]
        found.append(
            Layer(
                node.name, node.op_type, node.input[0], made, axis, behind[0] if follows else None
            )
        )
    return found


def float_tensors(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Float tensors with known shapes that the graph computes or takes, in its order."""
    graph = model.graph
    shapes = {}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        kind = value.type.tensor_type
        if kind.elem_type == onnx.TensorProto.FLOAT:
            shapes[value.name] = tuple(d.dim_value for d in kind.shape.dim)
    made = [v.name for v in graph.input] + [name for node in graph.node for name in node.output]
    return {name: shapes[name] for name in made if name in shapes}


def grouped(shapes: Mapping[str, tuple[int, ...]], watched_bytes: int) -> Iterator[list[str]]:
    """Divide tensors, in their order, so that each group of several fits the limit."""
    group: list[str] = []
    held = 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape, dtype=np.int64))
        if group and held + size > watched_bytes:
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    if group:
        yield group


def session(
    model: onnx.ModelProto, outputs: Sequence[str] | None = None, *, integers: bool = False
) -> ort.InferenceSession:
    """Open a graph; with `outputs` those tensors are what it gives, and the rest is cut away.

    No arena: it would hold on to the most that was ever used.

    Args:
        model: any graph.
        outputs: None for the graph's own.
        integers: whether a quantized graph computes in integers, as it will when it is used.
            Else it computes in float and rounds where it says so, and nothing but where it says so.
    """
    if outputs is not None:
        model = with_outputs(model, outputs)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    if not integers:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def with_outputs(model: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """Copy the part of a graph that some tensors need, with these as its outputs."""
    graph = model.graph
    made = makers(model)
    wanted, needed = list(outputs), set[str]()
    while wanted:
        name = wanted.pop()
        if name not in needed:
            needed.add(name)
            wanted += made[name].input if name in made else []
    known = {v.name: v for v in [*graph.input, *graph.value_info, *graph.output]}
    part = helper.make_graph(
        [n for n in graph.node if needed.intersection(n.output)],
        graph.name,
        list(graph.input),
        [known.get(n) or helper.make_empty_tensor_value_info(n) for n in outputs],
        [i for i in graph.initializer if i.name in needed],
    )
    out: onnx.ModelProto = helper.make_model(
        part, opset_imports=model.opset_import, ir_version=model.ir_version
    )
    return out


def moved_together(model: onnx.ModelProto) -> dict[str, str]:
    """Each float tensor's first tensor that holds the same values, only elsewhere.

    They share one range: a second one would round the same values once more.
    """
    floats = float_tensors(model)
    first: dict[str, str] = {name: name for name in floats}
    for node in model.graph.node:
        sources = {first[name] for name in node.input if name in first}
        if node.op_type in MOVING and len(sources) == 1:
            (root,) = sources
            data = [name for name in node.input if name not in floats]
            if node.op_type == "Concat" and data:
                continue  # something else is mixed in
            first.update({name: root for name in node.output if name in first})
    return first


def ranged_tensors(model: onnx.ModelProto) -> list[str]:
    """Float tensors that get a range of their own, in the graph's order.

    Not those that another one's values moved to, and not those that only a Clip or Relu reads:
    quantization makes one step of an operation and the activation behind it.
    """
    read, outputs = readers(model), {o.name for o in model.graph.output}
    return [
        name
        for name, first in moved_together(model).items()
        if name == first and (name in outputs or not _only_activated(read.get(name, [])))
    ]


def _only_activated(behind: Sequence[onnx.NodeProto]) -> bool:
    return len(behind) == 1 and behind[0].op_type in ACTIVATIONS


def operations(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that compute something from float tensors, and do more than limit it."""
    floats = float_tensors(model)
    left_out = MOVING | ACTIVATIONS
    return [
        n
        for n in model.graph.node
        if n.op_type not in left_out and any(name in floats for name in n.input)
    ]


def replace_constant(model: onnx.ModelProto, name: str, value: AnyArray) -> None:
    """Give an initializer another value, in place."""
    for initializer in model.graph.initializer:
        if initializer.name == name:
            initializer.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model of its own."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    return out
