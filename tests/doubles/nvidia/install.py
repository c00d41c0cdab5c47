"""Puts the doubles where `import tensorrt` and `import pycuda.driver` find them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgesam_rt.backends.tensorrt import vendor
from edgesam_rt.bundle import Bundle
from tests.bundle_doubles import Plain, edit_manifest, linked_copy
from tests.doubles.nvidia.device import DEVICE

ROOT = Path(__file__).resolve().parents[3]
SITE = ROOT / "tests" / "doubles" / "site"
GENERATIONS = ("8.6.1", "11.4.0")  # the two ends; 10.3 is in tests/unit/backends
VARIABLE = "TENSORRT_DOUBLE"


@contextlib.contextmanager
def installed(version: str) -> Iterator[None]:
    """The doubles of one generation are importable inside the block, on a GPU like new."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = version
    sys.path.insert(0, str(SITE))
    _forget()
    DEVICE.reset()
    try:
        yield
    finally:
        sys.path.remove(str(SITE))
        _forget()
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def environment(cache: Path, version: str, **more: str) -> Mapping[str, str]:
    """For a process of its own that finds the doubles."""
    path = os.pathsep.join(str(p) for p in (SITE, ROOT, ROOT / "engines"))
    return {
        **os.environ,
        "PYTHONPATH": path,
        VARIABLE: version,
        "EDGESAM_CACHE": str(cache),
        **more,
    }


def with_tensorrt(original: Bundle, to: Path) -> Path:
    """A copy of a bundle whose graphs for ONNX Runtime are also named for TensorRT.

    The double computes them with ONNX Runtime, so answers can be compared bit by bit.
    """
    folder = linked_copy(original, to)

    def add(manifest: Plain) -> None:
        own = [row for row in manifest["engines"] if row["backend"] == "onnxruntime"]
        others = [row for row in manifest["engines"] if row["backend"] != "tensorrt"]
        manifest["engines"] = [*others, *({**row, "backend": "tensorrt"} for row in own)]

    edit_manifest(folder, add)
    return folder


def _forget() -> None:
    vendor.load.cache_clear()
    for name in [n for n in sys.modules if n.partition(".")[0] in ("tensorrt", "pycuda")]:
        del sys.modules[name]
