"""An encoder whose additions are equal on Arm and x86-64: their scales moved to odd fractions.

See `adds` for why. The last addition first: the scale of its output stays, those of its inputs
become i/D of it; an input that is itself an addition's output then stays for that one. The next
building of the bundle could do the same (docs/decisions/0014-additions-in-odd-fractions.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

DENOMINATOR = 4095


def snap(source: Path, out: Path) -> float:
    """Write the graph with other scales; returns the largest relative change of one.

    Biases keep their integers, whose scale moves with the inputs'.

    Raises:
        ValueError: two additions want different scales of one tensor, or one is not quantised.
    """
    import onnx

    model = onnx.load(str(source))
    scales = {t.name: t for t in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    readers = {name: node for node in model.graph.node for name in node.input}
    settled: set[str] = set()
    worst = 0.0
    for add in [node for node in model.graph.node if node.op_type == "Add"][::-1]:
        of_output = readers[add.output[0]].input[1]
        for name in [makers[tensor].input[1] for tensor in add.input]:
            old, whole = (_value(scales[key]) for key in (name, of_output))
            new = round(old / whole * DENOMINATOR) / DENOMINATOR * whole
            change = abs(new / old - 1)
            if name in settled and change > np.finfo(np.float32).eps:
                raise ValueError(f"{source}: {add.name} wants another scale {name!r}.")
            scales[name].CopyFrom(onnx.numpy_helper.from_array(np.float32(new), name))
            settled.add(name)
            worst = max(worst, change)
        settled.add(of_output)
    onnx.save(model, str(out))
    return worst


def _value(initializer: Any) -> float:
    import onnx

    return float(onnx.numpy_helper.to_array(initializer))
