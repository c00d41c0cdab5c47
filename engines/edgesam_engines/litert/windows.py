"""Where the windows of an ONNX node lie, in LiteRT's words: "SAME", "VALID", or a Pad in front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgesam_engines.errors import TranslationError
from edgesam_engines.litert.lowering import Lowering, Node, Value
from edgesam_engines.litert.rules_moves import padded
from edgesam_rt.types import AnyArray

NHWC = (0, 2, 3, 1)


def map_of(tensor: int, shape: tuple[int, ...]) -> Value:
    """A value (N, C, H, W) that lies with its channels last."""
    return Value(tensor, shape, tuple(a for a in NHWC if shape[a] > 1))


@dataclass(frozen=True)
class Windows:
    """Of one node.

    Attributes:
        kernel, strides: height and width.
        pads: top, left, bottom, right.
        sides: height and width of the result.
        is_same: whether LiteRT's "SAME" puts the same padding around.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    sides: tuple[int, int]
    is_same: bool

    @classmethod
    def of(cls, node: Node, shape: tuple[int, ...]) -> Windows:
        """Of a node that reads a map (N, C, H, W).

        Raises:
            TranslationError: they have gaps, or their last ones are cut off.
        """
        kernel, strides = node.wholes("kernel_shape"), node.wholes("strides", (1, 1))
        pads = node.wholes("pads", (0, 0, 0, 0))
        if any(d != 1 for d in node.wholes("dilations", (1, 1))):
            raise TranslationError(f"{node.name}: dilations are not translated.")
        if node.whole("ceil_mode") or node.attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
            raise TranslationError(f"{node.name}: only padding that is written out.")
        sides, is_same = [], True
        for i in range(2):
            size, before, behind = shape[2 + i], pads[i], pads[2 + i]
            sides.append((size + before + behind - kernel[i]) // strides[i] + 1)
            whole = max(0, (-(-size // strides[i]) - 1) * strides[i] + kernel[i] - size)
            is_same = is_same and (before, behind) == (whole // 2, whole - whole // 2)
        return cls(kernel, strides, pads, (sides[0], sides[1]), is_same)

    @property
    def options(self) -> dict[str, Any]:
        """Strides and padding, as fields of an operator's options."""
        padding = schema.Padding.SAME if self.is_same else schema.Padding.VALID
        return {"strideH": self.strides[0], "strideW": self.strides[1], "padding": padding}

    def around(
        self, to: Lowering, value: Value, name: str, filled_with: AnyArray | None = None
    ) -> Value:
        """The map that the operator reads: with a border where "SAME" and "VALID" give another."""
        if self.is_same or not any(self.pads):
            return value
        top, left, bottom, right = self.pads
        amounts = np.array([(0, 0), (0, 0), (top, bottom), (left, right)], np.int32)
        return padded(to, value, amounts, f"{name}/border", filled_with)
