"""Values as the manifest has them, and as the tensors of a .tflite file want them.

A quantised tensor says itself what its integers mean: value = (integer - zero) * scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgesam_rt.types import AnyArray

_HALF = np.uint8(128)
_INTEGERS = ("int8", "uint8")
Convert = Callable[[AnyArray], AnyArray]


@dataclass(frozen=True)
class FileTensor:
    """A tensor as the file has it.

    Attributes:
        shape: ints.
        dtype: numpy's name.
        scale, zero: what integers mean; 0.0 and 0 of tensors that are not quantised.
    """

    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero: int

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> FileTensor:
        """Read what an interpreter says of a tensor."""
        scale, zero = details["quantization"]
        shape = tuple(int(n) for n in details["shape"])
        return cls(shape, np.dtype(details["dtype"]).name, float(scale), int(zero))


def to_file(dtype: str, tensor: FileTensor) -> Convert | None:
    """How feeds of a dtype become a tensor's values; None if they cannot."""
    if dtype == tensor.dtype:
        return np.ascontiguousarray
    if (dtype, tensor.dtype) == ("uint8", "int8"):
        return _signed
    if dtype == "float32" and tensor.dtype in _INTEGERS and tensor.scale:
        return lambda values: _quantised(values, tensor)
    return None


def from_file(tensor: FileTensor, dtype: str) -> Convert | None:
    """How a tensor's values become outputs of a dtype; None if they cannot."""
    if dtype == tensor.dtype:
        return lambda values: values
    if dtype == "float32" and tensor.dtype in _INTEGERS and tensor.scale:
        scale, zero = np.float32(tensor.scale), np.float32(tensor.zero)
        return lambda values: (values.astype(np.float32) - zero) * scale
    return None


def _signed(values: AnyArray) -> AnyArray:
    """Bytes 0 to 255 as -128 to 127: the file's zero point is moved by as much."""
    moved: AnyArray = np.bitwise_xor(values, _HALF, order="C")
    return moved.view(np.int8)


def _quantised(values: AnyArray, tensor: FileTensor) -> AnyArray:
    """Rounded before the zero point is added: with it, ties would go another way."""
    ends = np.iinfo(tensor.dtype)
    whole = np.rint(values / np.float32(tensor.scale)) + tensor.zero
    return np.ascontiguousarray(whole.clip(ends.min, ends.max).astype(tensor.dtype))
