"""TensorRT's and CUDA's Python packages, imported when they are first needed, and their log."""

from __future__ import annotations

import functools
import importlib
import logging
from dataclasses import dataclass, field
from typing import Any

from edgesam_rt.backends.table import TABLE
from edgesam_rt.backends.tensorrt import api
from edgesam_rt.errors import BackendMissing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Vendor:
    """The imported packages.

    Attributes:
        trt: `tensorrt`.
        cuda: `pycuda.driver`.
        logger: what every builder, parser and runtime is given. TensorRT keeps the first one it
            sees for the whole process, so there is one.
        said: errors of the library since they were last taken, in its own words.
    """

    trt: Any
    cuda: Any
    logger: Any
    said: list[str] = field(default_factory=list)

    @property
    def version(self) -> str:
        """Of TensorRT, such as "10.3.0"."""
        return str(self.trt.__version__)

    def take_errors(self) -> str:
        """What the library complained about since the last call, on one line; "" if nothing."""
        told = "; ".join(dict.fromkeys(self.said))
        self.said.clear()
        return told


@functools.cache
def load() -> Vendor:
    """Import both packages; touches no GPU.

    Raises:
        BackendMissing: one cannot be imported, or is too old.
    """
    try:
        trt = importlib.import_module("tensorrt")
        cuda = importlib.import_module("pycuda.driver")
    except ImportError as error:
        raise BackendMissing(f"tensorrt: {error}. {TABLE['tensorrt'].missing}.") from error
    if not api.is_supported(trt):
        raise BackendMissing(
            f"tensorrt: expected {api.OLDEST} or newer, found {trt.__version__}. JetPack 4 (the "
            "original Jetson Nano) ends before it; use --backend onnxruntime."
        )
    said: list[str] = []
    return Vendor(trt, cuda, _logger(trt, said), said)


def _logger(trt: Any, said: list[str]) -> Any:
    """A TensorRT logger that writes to ours and keeps errors for messages of our own."""
    severity = trt.ILogger.Severity
    levels = {
        severity.INTERNAL_ERROR: logging.ERROR,
        severity.ERROR: logging.ERROR,
        severity.WARNING: logging.WARNING,
        severity.INFO: logging.DEBUG,
        severity.VERBOSE: logging.DEBUG,
    }

    class Bridge(trt.ILogger):  # type: ignore[misc]  # a class of an untyped package
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, which: Any, message: str) -> None:
            level = levels.get(which, logging.DEBUG)
            if level >= logging.ERROR:
                said.append(message.strip())
            # Errors are raised by us, with what to do; here they are only for who looks closer.
            log.log(min(level, logging.INFO), "tensorrt: %s", message)

    return Bridge()
