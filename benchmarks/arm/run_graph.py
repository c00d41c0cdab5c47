"""Run one ONNX graph on given inputs; on both machines, so nothing but numpy and onnxruntime.

python run_graph.py GRAPH.onnx INPUTS.npz OUT.npz
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Array = NDArray[np.generic]


def member(name: str) -> str:
    """A tensor's name as a member of an archive: members are files, and tensors have slashes."""
    return name.replace("/", "|")


def names(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """An archive's arrays by the tensors' names."""
    return {key.replace("|", "/"): arrays[key] for key in arrays}


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    graph, inputs, out = argv
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    given = names(np.load(inputs))
    wanted = [value.name for value in session.get_inputs()]
    made = [value.name for value in session.get_outputs()]
    results = session.run(made, {name: given[name] for name in wanted})
    arrays = {member(name): array for name, array in zip(made, results, strict=True)}
    np.savez(out, **arrays)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
