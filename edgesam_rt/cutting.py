"""Embeddings cut to the cells that the picture covers: padding is not looked at again.

A picture is seldom square, the encoder's input is. For 4:3 a quarter of every map is padding, for
16:9 it is 44 %. Where a decoder takes maps of any height and width, the rest of the work is done on
the picture alone. A tensor's layout in the manifest says which axes are rows and columns, and at
which stride: "c_y4_x4", "y8_x8_c", or "yx16_c" where both are one axis.

Decoders with fixed shapes take whole squares instead, and are told what the picture covers of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgesam_rt.errors import BundleError
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.manifest import COVERED, DecoderFacts, TensorSpec
from edgesam_rt.types import F32, AnyArray

PICTURE_AXIS = re.compile(r"(y|x|yx)(\d+)")  # a word of a layout: rows, columns or both
Cut = Callable[[Mapping[str, AnyArray], Fit], Mapping[str, AnyArray]]


def no_cut(tensors: Mapping[str, AnyArray], fit: Fit) -> Mapping[str, AnyArray]:
    """For decoders that want the whole square."""
    del fit
    return tensors


def cut_for(outputs: Sequence[TensorSpec], multiple: int) -> Cut:
    """How to cut an encoder's outputs.

    Args:
        outputs: of the encoder.
        multiple: the picture's part is rounded up to multiples of this, encoder px; 0 for no cut.

    Raises:
        BundleError: a stride in a layout does not divide `multiple`.
    """
    if not multiple:
        return no_cut
    rules = {spec.name: _axes(spec, multiple) for spec in outputs}

    def cut(tensors: Mapping[str, AnyArray], fit: Fit) -> Mapping[str, AnyArray]:
        covered = fit.covered(multiple)
        if covered == (fit.side, fit.side):
            return tensors
        return {n: _cut(t, rules.get(n, ()), covered, fit.side) for n, t in tensors.items()}

    return cut


def for_squares(mask_input: F32, fit: Fit, facts: DecoderFacts) -> dict[str, AnyArray]:
    """What a decoder that takes whole squares is given: earlier masks as squares, and COVERED.

    Args:
        mask_input: (N, 1, h, w), cut.
        fit: of the picture.
        facts: of the decoder.
    """
    cells = fit.side // facts.mask_stride
    h, w = mask_input.shape[2:]
    squares = np.zeros((len(mask_input), 1, cells, cells), np.float32)
    squares[..., :h, :w] = mask_input
    covered = fit.covered(facts.cut_multiple) if facts.cut_multiple else (fit.side, fit.side)
    return {
        "mask_input": squares,
        COVERED: np.array(covered, np.float32) / np.float32(fit.side),
    }


def _axes(spec: TensorSpec, multiple: int) -> tuple[tuple[int, str, int], ...]:
    """(axis, kind, stride) of the axes of a layout that go over the picture, last first."""
    found = []
    for axis, word in enumerate(spec.layout.split("_")):
        if match := PICTURE_AXIS.fullmatch(word):
            stride = int(match[2])
            if not stride or multiple % stride:
                raise BundleError(
                    f"bundle: encoder output {spec.name!r} has layout {spec.layout!r}, but is to "
                    f"be cut at multiples of {multiple} px. Install or build the bundle again."
                )
            found.append((axis, match[1], stride))
    return tuple(reversed(found))


def _cut(
    values: AnyArray, axes: Sequence[tuple[int, str, int]], covered: tuple[int, int], side: int
) -> AnyArray:
    """One tensor; `covered` is the height and width that stay, encoder px."""
    for axis, kind, stride in axes:
        rows, columns = (n // stride for n in covered)
        whole, inner = (slice(None),) * axis, (slice(rows), slice(columns))
        first, last = values.shape[:axis], values.shape[axis + 1 :]
        if kind == "yx":
            values = values.reshape(*first, side // stride, side // stride, *last)
            values = values[whole + inner].reshape(*first, rows * columns, *last)
        else:
            part = (*whole, inner["yx".index(kind)])
            values = values[part]
    return np.ascontiguousarray(values)
