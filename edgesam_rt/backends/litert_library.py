"""Which LiteRT library there is: `ai-edge-litert`, else its older form `tflite-runtime`."""

from __future__ import annotations

import importlib
import importlib.util
from importlib.metadata import version
from typing import Any

from edgesam_rt.errors import BackendMissing

_LIBRARIES = {
    "ai_edge_litert": "ai_edge_litert.interpreter",
    "tflite_runtime": "tflite_runtime.interpreter",
}


def interpreter_class() -> Any:
    """The class that runs .tflite files.

    Raises:
        BackendMissing: neither library is installed, or the older one with a NumPy that it cannot
            work with.
    """
    for package, module in _LIBRARIES.items():
        if importlib.util.find_spec(package):
            if package == "tflite_runtime":
                check_numpy(version("numpy"))
            return importlib.import_module(module).Interpreter
    raise BackendMissing(
        "litert: neither ai-edge-litert nor tflite-runtime is installed. "
        "Install one: pip install 'edgesam_rt[litert]'."
    )


def check_numpy(installed: str) -> None:
    """Refuse the older library where NumPy is too new for it; it would crash while it opens a file.

    Raises:
        BackendMissing: NumPy is 2 or later.
    """
    if int(installed.split(".")[0]) >= 2:
        raise BackendMissing(
            f"litert: tflite-runtime was built for NumPy 1 and crashes with NumPy {installed}. "
            "Install its successor: pip install ai-edge-litert (Python 3.10 or later); "
            "or an older NumPy: pip install 'numpy<2'."
        )
