"""What differs between TensorRT 8.5 and 11, asked of the library and not of its version number.

Sources: the bindings' own names and signatures (tests/doubles/tensorrt_surface.json, recorded from
the wheels), and NVIDIA's notes on migrating from 8 to 10 and from 10 to 11. Called by name only:
bindings by index went with 10. From 11 on a network's types are those of its graph, so there is
no flag for a precision.
"""

from __future__ import annotations

from typing import Any

OLDEST = "8.5"
_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
_NEEDED = ("execute_async_v3", "set_tensor_address", "set_input_shape")


def is_supported(trt: Any) -> bool:
    """Whether engines can be run by the names of their tensors, as from 8.5 on."""
    return all(hasattr(trt.IExecutionContext, name) for name in _NEEDED)


def new_network(trt: Any, builder: Any) -> Any:
    """An empty network; until 10 it must be said that shapes include the batch."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    return builder.create_network(0 if flag is None else 1 << int(flag))


def has_quantized_layers(trt: Any, network: Any) -> bool:
    """Whether the graph says itself what is rounded."""
    kinds = (network.get_layer(i).type for i in range(network.num_layers))
    return any(kind == trt.LayerType.QUANTIZE for kind in kinds)


def lacks_int8(builder: Any) -> bool:
    """Whether the GPU has no fast 8-bit integers; where the builder cannot be asked, it has."""
    return not getattr(builder, "platform_has_fast_int8", True)


def allow_precisions(trt: Any, builder: Any, config: Any, *, int8: bool, fp16: bool) -> list[str]:
    """Let the builder use precisions besides float32, where that is still asked for by flags.

    Returns:
        The flags that were set: INT8 for a graph with quantized layers, FP16 where allowed and
        quick on this GPU.
    """
    fast = getattr(builder, "platform_has_fast_fp16", True)
    wanted = {"INT8": int8, "FP16": fp16 and fast}
    chosen = [name for name, yes in wanted.items() if yes and hasattr(trt.BuilderFlag, name)]
    for name in chosen:
        config.set_flag(getattr(trt.BuilderFlag, name))
    return chosen


def limit_workspace(trt: Any, config: Any, limit_bytes: int) -> None:
    """Cap the scratch memory that any layer's kernel may ask for."""
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, limit_bytes)


def tensors(trt: Any, holder: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Numpy dtypes of the inputs and of the outputs of `holder.engine`, by name."""
    found: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for i in range(holder.engine.num_io_tensors):
        name = holder.engine.get_tensor_name(i)
        is_output = holder.engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT
        found[is_output][name] = _numpy_dtype(trt, holder.engine.get_tensor_dtype(name))
    return found


def _numpy_dtype(trt: Any, kind: Any) -> str:
    """Numpy's name of a tensor's type; TensorRT's own for one that we have no use for."""
    for name, numpy_name in _DTYPES.items():
        if hasattr(trt.DataType, name) and kind == getattr(trt.DataType, name):
            return numpy_name
    return str(kind)
