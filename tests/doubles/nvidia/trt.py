"""Stands for `tensorrt`, in the generations 8.6, 10.3 and 11.4: same rules, and real answers.

A "plan" is the ONNX file with a head that says who made it; running it is ONNX Runtime's work.
Names and parameters are compared with the real bindings' (`tests/doubles/tensorrt_surface.json`);
what must be true of calls was read in NVIDIA's documentation and in the parser's sources.
"""

from __future__ import annotations

import enum
from types import SimpleNamespace
from typing import Any

from tests.doubles.nvidia.trt_base import ILogger
from tests.doubles.nvidia.trt_build import (
    AskableBuilder,
    Builder,
    IBuilderConfig,
    INetworkDefinition,
    IOptimizationProfile,
    ITimingCache,
    OnnxParser,
)
from tests.doubles.nvidia.trt_run import ICudaEngine, IExecutionContext, Runtime


def make(version: str) -> dict[str, Any]:
    """The names of a `tensorrt` module of this version."""
    major = int(version.split(".")[0])
    flags = {"TF32": 4, "REFIT": 3}
    if major < 11:
        flags |= {"FP16": 0, "INT8": 1}
    network_flags = {"EXPLICIT_BATCH": 0} if major < 11 else {}
    if major > 8:
        network_flags |= {"STRONGLY_TYPED": 1}
    kinds = ["FLOAT", "HALF", "INT8", "INT32", "BOOL", "UINT8"] + (["INT64"] if major > 8 else [])
    names: dict[str, Any] = {
        "__version__": version,
        "BuilderFlag": enum.IntEnum("BuilderFlag", flags),
        "NetworkDefinitionCreationFlag": enum.IntEnum(
            "NetworkDefinitionCreationFlag", network_flags
        ),
        "DataType": enum.Enum("DataType", kinds),
        "TensorIOMode": enum.Enum("TensorIOMode", ["NONE", "INPUT", "OUTPUT"]),
        "MemoryPoolType": enum.Enum("MemoryPoolType", ["WORKSPACE", "DLA_MANAGED_SRAM"]),
        "LayerType": enum.Enum("LayerType", ["CONVOLUTION", "QUANTIZE", "DEQUANTIZE"]),
        "ILogger": ILogger,
        "OnnxParser": OnnxParser,
        "IExecutionContext": IExecutionContext,
        "ICudaEngine": ICudaEngine,
        "IBuilderConfig": IBuilderConfig,
        "INetworkDefinition": INetworkDefinition,
        "IOptimizationProfile": IOptimizationProfile,
        "ITimingCache": ITimingCache,
    }
    shared = SimpleNamespace(**names)
    names["Builder"] = type(
        "Builder", (Builder if major > 10 else AskableBuilder,), {"trt": shared}
    )
    names["Runtime"] = type("Runtime", (Runtime,), {"trt": shared})
    return names
