"""The backends there are, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BackendRow:
    """One backend.

    Attributes:
        module, factory: where the class is; imported at first use.
        package: what must be importable for it to work.
        missing: what to tell a user who lacks it.
    """

    module: str
    factory: str
    package: str
    missing: str


TABLE: dict[str, BackendRow] = {
    "onnxruntime": BackendRow(
        module="edgesam_rt.backends.onnxrt",
        factory="OnnxRuntime",
        package="onnxruntime",
        missing="pip install 'edgesam_rt' (onnxruntime is part of the base install)",
    ),
}
