"""The backends there are, as data."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class BackendRow:
    """One backend.

    Attributes:
        module, factory: where the class is; imported at first use.
        package: what must be importable for it to work.
        missing: what to tell a user who lacks it.
        setup: module that prepares bundles on a board, see `setup.py`; None if nothing is needed.
        substitute: a package that will do instead.
    """

    module: str
    factory: str
    package: str
    missing: str
    setup: str | None = None
    substitute: str | None = None

    @property
    def is_installed(self) -> bool:
        """Whether its library is there; imports nothing."""
        packages = (name for name in (self.package, self.substitute) if name)
        return any(importlib.util.find_spec(name) for name in packages)


TABLE: dict[str, BackendRow] = {
    "onnxruntime": BackendRow(
        module="edgesam_rt.backends.onnxrt",
        factory="OnnxRuntime",
        package="onnxruntime",
        missing="pip install 'edgesam_rt' (onnxruntime is part of the base install)",
    ),
    "litert": BackendRow(
        module="edgesam_rt.backends.litert",
        factory="LiteRt",
        package="ai_edge_litert",
        substitute="tflite_runtime",
        missing="pip install 'edgesam_rt[litert]'",
    ),
    "tensorrt": BackendRow(
        module="edgesam_rt.backends.tensorrt.engine",
        factory="TensorRt",
        package="tensorrt",
        missing="TensorRT comes with JetPack, see docs/tensorrt.md; then pip install "
        "'edgesam_rt[tensorrt]'",
        setup="edgesam_rt.backends.tensorrt.setup",
    ),
}
