"""Libraries: what is installed, in which version, without importing any."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from importlib import metadata

from edgesam_rt.backends.table import TABLE
from edgesam_rt.doctor.findings import Finding, failed, passed, skipped, warned
from edgesam_rt.doctor.patient import Patient

# The base install, by module, and what to do where one is missing.
BASE = {
    "numpy": "pip install numpy",
    "cv2": "pip install opencv-python-headless",
    "msgspec": "pip install msgspec",
}
OPTIONAL = ("pycuda", "picamera2")
TFLITE = "tflite_runtime"


def version_of(module: str) -> str | None:
    """Version of an installed module; "unknown version" of one that no package owns."""
    if importlib.util.find_spec(module) is None:
        return None
    owners = _owners().get(module)
    return metadata.version(owners[0]) if owners else "unknown version"


@cache
def _owners() -> dict[str, list[str]]:
    """Packages by the modules they bring."""
    return {module: list(names) for module, names in metadata.packages_distributions().items()}


def libraries(patient: Patient) -> Iterator[Finding]:
    """The base install, and what boards may have beside it."""
    versions = {module: version_of(module) for module in (*BASE, *OPTIONAL)}
    for module, missing in BASE.items():
        if versions[module] is None:
            yield failed(f"{module} is not installed", missing)
    found = {name: version for name, version in versions.items() if version}
    if found:
        yield passed(", ".join(f"{n} {v}" for n, v in found.items()), **found)


def backends(patient: Patient) -> Iterator[Finding]:
    """The board's backends, the preferred one first; any one of them is enough to run."""
    versions = {name: _library(name) for name in patient.board.backends}
    works = [name for name, version in versions.items() if version]
    for name, version in versions.items():
        if version:
            yield passed(f"{name}: {version}", backend=name, version=version)
            continue
        install = TABLE[name].missing
        said = f"{name} is not installed"
        if not works:
            yield failed(f"{said}, and nothing else runs engines here", install, backend=name)
        elif name == patient.board.backends[0]:
            yield warned(f"{said}; {works[0]} serves instead", install, backend=name)
        else:
            yield skipped(f"{said}; {works[0]} serves", f"If you want it: {install}", backend=name)


def _library(backend: str) -> str | None:
    """Module and version of what runs a backend; None if it is not installed."""
    row = TABLE[backend]
    for module in (row.package, row.substitute):
        if module and (version := version_of(module)):
            return f"{module} {version}"
    return None


def numpy_of_tflite(patient: Patient) -> Iterator[Finding]:
    """tflite-runtime's last wheel was built for NumPy 1 and dies at its first model with 2."""
    numpy = version_of("numpy") or ""
    if version_of(TFLITE) is None:
        yield skipped("tflite-runtime is not installed: nothing to do")
    elif numpy.startswith("1."):
        yield passed(f"tflite-runtime with numpy {numpy}")
    else:
        yield warned(
            f"tflite-runtime does not work with numpy {numpy}: it was built for NumPy 1",
            "pip install ai-edge-litert (or 'numpy<2')",
        )
