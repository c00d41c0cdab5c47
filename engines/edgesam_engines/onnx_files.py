"""ONNX files of users."""

from __future__ import annotations

from pathlib import Path

import onnx

from edgesam_engines.errors import CheckpointError


def read(path: Path) -> onnx.ModelProto:
    """Read a graph that is given as a checkpoint, checked by onnx's own checker.

    Raises:
        CheckpointError: no such file, or no whole graph.
    """
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path}: no such file.")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)  # shapes, too
    except Exception as error:  # protobuf's and the checker's errors share no base class
        said = first_line(error)
        raise CheckpointError(f"checkpoint {path}: not a complete ONNX file: {said}.") from error
    return model


def first_line(error: Exception) -> str:
    """What a library says was wrong, without its many lines and its full stop."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
