"""Finished LiteRT engines: what they compute with, and whether they give the same masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edgesam_engines.errors import VerificationError
from edgesam_rt import selftest
from edgesam_rt.bench.agreement import agreement
from edgesam_rt.bundle import Bundle
from edgesam_rt.imaging.files import read_image
from edgesam_rt.manifest import Precision
from edgesam_rt.proof import probes
from edgesam_rt.segmenter import Decoder, Encoder, EngineOptions

BACKEND, REFERENCE = "litert", "onnxruntime"
# Below it an engine is broken. Ties in sums are rounded in two ways, and may tip a prompt that
# means several things from one answer to another: that is why integers are allowed more.
LEAST_IOU: Mapping[Precision, float] = {"int8": 0.95, "fp16": 0.95, "fp32": 0.99}
_CONVOLUTIONS = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D)
_TYPES = {schema.TensorType.FLOAT32: "float32", schema.TensorType.INT8: "int8"}


def report(bundle: Bundle, photos: Sequence[Path]) -> dict[str, Any]:
    """Test a bundle's LiteRT engines and compare them with ONNX Runtime's.

    Args:
        bundle: that has both.
        photos: to ask both backends about.

    Returns:
        The encoder's convolutions by type, and into how many parts XNNPACK takes it; per side what
        `bench.agreement` finds.

    Raises:
        SelfTestError: they give wrong answers to the self-test.
    """
    sides = bundle.sides(BACKEND)
    encoder = bundle.path(bundle.engine("encoder", BACKEND, sides[0])).read_bytes()
    found: dict[str, Any] = {
        "compared_with": REFERENCE,
        "encoder_convolutions": dict(convolutions(encoder)),
        "encoder_partitions": partitions(encoder),
    }
    cases = [(pixels, probes(pixels)) for pixels in map(read_image, photos)]
    for side in sides:
        options = EngineOptions(BACKEND)
        selftest.run(bundle, Encoder(bundle, options, side), Decoder(bundle, options, side))
        agreed = agreement(bundle, (REFERENCE, BACKEND), side, cases)
        found[f"side_{side}"] = agreed.figures()
    return found


def require(found: Mapping[str, Any], precision: Precision, float_convolutions: int = 0) -> None:
    """Refuse engines whose masks are others, or whose encoder computes with the wrong numbers.

    Args:
        found: by `report`.
        precision: of the bundle.
        float_convolutions: how many an INT8 encoder may have; see there.

    Raises:
        VerificationError: with the figures.
    """
    wanted = "int8" if precision == "int8" else "float32"
    counts = Counter(found["encoder_convolutions"])
    others = counts.total() - counts[wanted]
    if not counts[wanted] or others > (float_convolutions if wanted == "int8" else 0):
        raise VerificationError(
            f"litert: the encoder has convolutions {found['encoder_convolutions']}, expected only "
            f"{wanted}, but for {float_convolutions} that its ONNX file has in float."
        )
    for key, figures in found.items():
        if key.startswith("side_") and figures["mean_iou"] < LEAST_IOU[precision]:
            raise VerificationError(
                f"litert, {key}: mean IoU with {REFERENCE} is {figures['mean_iou']}, expected at "
                f"least {LEAST_IOU[precision]}. Embedding cosines: {figures['cosine']}."
            )


def float_convolutions(bundle: Bundle) -> int:
    """How many convolutions of a bundle's ONNX encoders are in float on purpose."""
    total = 0
    for side in bundle.sides(REFERENCE):
        graph = onnx.load(bundle.path(bundle.engine("encoder", REFERENCE, side))).graph
        kinds = {name: node.op_type for node in graph.node for name in node.output}
        quantised = {node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
        total += sum(
            kinds.get(node.input[0]) != "DequantizeLinear" or node.output[0] not in quantised
            for node in graph.node
            if node.op_type == "Conv"
        )
    return total


def convolutions(content: bytes) -> Counter[str]:
    """Convolutions of a .tflite file by the type that they compute in, in all its graphs."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    found: Counter[str] = Counter()
    for graph in model.subgraphs:
        for operator in graph.operators:
            if model.operatorCodes[operator.opcodeIndex].builtinCode in _CONVOLUTIONS:
                found[_TYPES[graph.tensors[operator.inputs[0]].type]] += 1
    return found


def partitions(content: bytes) -> int:
    """Into how many parts XNNPACK takes the first graph; 1 is best: nothing goes to and fro."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    operators = interpreter._get_ops_details()  # the only way to see a delegate's part
    return sum(operator["op_name"] == "DELEGATE" for operator in operators)
