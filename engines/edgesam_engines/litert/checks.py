"""Finished LiteRT engines: what they compute with, and whether they give the same masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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


def require(found: Mapping[str, Any], precision: Precision) -> None:
    """Refuse engines whose masks are others, or whose encoder computes with the wrong numbers.

    Raises:
        VerificationError: with the figures.
    """
    wanted = "int8" if precision == "int8" else "float32"
    if set(found["encoder_convolutions"]) != {wanted}:
        raise VerificationError(
            f"litert: the encoder has convolutions {found['encoder_convolutions']}, expected only "
            f"{wanted}. Its ONNX file has layers in another precision."
        )
    for key, figures in found.items():
        if key.startswith("side_") and figures["mean_iou"] < LEAST_IOU[precision]:
            raise VerificationError(
                f"litert, {key}: mean IoU with {REFERENCE} is {figures['mean_iou']}, expected at "
                f"least {LEAST_IOU[precision]}. Embedding cosines: {figures['cosine']}."
            )


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
