"""The operators that are used, as data: their options, and the oldest version that will do.

Old versions let old runtimes in: `tflite-runtime` 2.14 reads these files too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OpCode:
    """One operator: the table of its options, and its version with floats and with int8."""

    options: str | None = None
    version: int = 1
    int8_version: int = 2


_NO_OPTIONS = ("FLOOR", "LOG", "LOGISTIC", "NEG", "RELU", "RSQRT", "SIN", "SQRT", "TANH")

CODES: dict[str, OpCode] = {
    "ABS": OpCode("AbsOptions"),
    "ADD": OpCode("AddOptions"),
    "BATCH_MATMUL": OpCode("BatchMatMulOptions"),
    "CAST": OpCode("CastOptions"),
    "CONCATENATION": OpCode("ConcatenationOptions"),
    "CONV_2D": OpCode("Conv2DOptions", int8_version=3),
    "COS": OpCode("CosOptions"),
    "CUMSUM": OpCode("CumsumOptions"),
    "DEPTHWISE_CONV_2D": OpCode("DepthwiseConv2DOptions", int8_version=3),
    "DEQUANTIZE": OpCode("DequantizeOptions", version=2),
    "DIV": OpCode("DivOptions"),
    "EQUAL": OpCode("EqualOptions"),
    "EXP": OpCode("ExpOptions"),
    "FULLY_CONNECTED": OpCode("FullyConnectedOptions"),
    "GATHER": OpCode("GatherOptions"),
    "GELU": OpCode("GeluOptions"),
    "GREATER": OpCode("GreaterOptions"),
    "GREATER_EQUAL": OpCode("GreaterEqualOptions"),
    "LESS": OpCode("LessOptions"),
    "LESS_EQUAL": OpCode("LessEqualOptions"),
    "LOGICAL_AND": OpCode("LogicalAndOptions"),
    "MAXIMUM": OpCode("MaximumMinimumOptions"),
    "MAX_POOL_2D": OpCode("Pool2DOptions"),
    "MEAN": OpCode("ReducerOptions"),
    "MINIMUM": OpCode("MaximumMinimumOptions"),
    "MUL": OpCode("MulOptions"),
    "PAD": OpCode("PadOptions"),
    "PADV2": OpCode("PadV2Options"),
    "AVERAGE_POOL_2D": OpCode("Pool2DOptions"),
    "QUANTIZE": OpCode("QuantizeOptions", int8_version=1),
    "REDUCE_MAX": OpCode("ReducerOptions"),
    "RESHAPE": OpCode("ReshapeOptions", int8_version=1),
    "RESIZE_NEAREST_NEIGHBOR": OpCode("ResizeNearestNeighborOptions"),
    "SELECT_V2": OpCode("SelectV2Options"),
    "SLICE": OpCode("SliceOptions"),
    "SOFTMAX": OpCode("SoftmaxOptions"),
    "SUB": OpCode("SubOptions"),
    "SUM": OpCode("ReducerOptions"),
    "TRANSPOSE": OpCode("TransposeOptions"),
    "TRANSPOSE_CONV": OpCode("TransposeConvOptions", version=3),
    **{name: OpCode() for name in _NO_OPTIONS},
}
