"""What the parts of TensorRT's double share: a logger, bytes of the library's own, a real graph."""

from __future__ import annotations

import enum
import functools
from typing import Any

import onnxruntime as ort

MAGIC = b"plan of the double\n"
Shape = tuple[int, ...]


class HostMemory:
    """Bytes of the library's own; gives them by the buffer protocol alone, through `bytes`."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.nbytes = len(content)

    def __bytes__(self) -> bytes:
        return self._content


@functools.lru_cache(maxsize=8)
def session_of(content: bytes) -> Any:
    """The graph in ONNX Runtime, which keeps nothing of a run; its exceptions are passed on."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class ILogger:
    """Base of a logger that the program brings."""

    class Severity(enum.IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def __init__(self) -> None:
        self._is_ready = True

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError


def error(logger: ILogger, text: str) -> None:
    if not getattr(logger, "_is_ready", False):
        raise TypeError("ILogger.__init__ was not called")  # what pybind11 says, in short
    logger.log(ILogger.Severity.ERROR, text)
