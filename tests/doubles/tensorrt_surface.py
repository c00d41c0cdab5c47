"""Records what the real TensorRT bindings offer, by name: no GPU, no library, wheels alone.

The wheels of the bindings need ten entry points of libraries that no registry has. Empty ones are
compiled here; then the module imports, and its classes, methods, docstrings and enum members are
the true ones. What they do cannot be seen this way, only what they are called.

    python -m tests.doubles.tensorrt_surface          # writes tests/doubles/tensorrt_surface.json

Needs a C compiler, pip and a package index, and the Python version of the wheels (3.11).
"""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEELS = {
    "8.6.1": "tensorrt-bindings==8.6.1",
    "10.3.0": "tensorrt-cu12-bindings==10.3.0",
    "10.16.1": "tensorrt-cu12-bindings==10.16.1.11",
    "11.4.0": "tensorrt-cu13-bindings==11.4.0.106",
}
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser", "nvparsers")
ENTRY_POINTS = (
    "createInferBuilder_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "getBuilderPluginRegistry",
    "initLibNvInferPlugins",
    "getInferLibVersion",
)
OF_8 = (  # of the Caffe and UFF parsers, as C++ spells them
    "_ZN11nvuffparser15createUffParserEv",
    "_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi",
    "_ZN14nvcaffeparser117createCaffeParserEv",
    "_ZN14nvcaffeparser123shutdownProtobufLibraryEv",
)
CLASSES = (
    "Builder",
    "BuilderFlag",
    "DataType",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILogger",
    "INetworkDefinition",
    "IOptimizationProfile",
    "ITimingCache",
    "LayerType",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "Runtime",
    "TensorIOMode",
)
PIP_DOWNLOAD = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:")
SURFACE = Path(__file__).with_suffix(".json")

# pybind11 begins a docstring with the signature, one numbered line per overload.
_SIGNATURE = re.compile(r"^(?:\d+\. )?\w+\((.*)\)(?: -> |$)", re.M)
_PARAMETER = re.compile(r"(?:^|, )(\*{0,2}[a-z]\w*)(?=: |,|=|$)")
Surface = dict[str, dict[str, list[list[str]]]]


def record() -> dict[str, Surface]:
    """The public names of the classes in use, by version; of methods also their parameters."""
    return {version: _record(version, wheel) for version, wheel in WHEELS.items()}


def _record(version: str, wheel: str) -> Surface:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(
            [*PIP_DOWNLOAD, "-d", str(folder), wheel],
            check=True,
            capture_output=True,
        )
        (found,) = folder.glob("*.whl")
        with zipfile.ZipFile(found) as packed:
            packed.extractall(folder / "site")
        (module,) = (p.parent.name for p in (folder / "site").glob("*bindings/__init__.py"))
        _compile_libraries(folder, version.split(".")[0])
        done = subprocess.run(
            [sys.executable, __file__, module],
            env={"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(folder / "site")},
            check=True,
            capture_output=True,
            text=True,
        )
        names: Surface = json.loads(done.stdout)
        return names


def look(module: str) -> Surface:
    """Public names of the classes in use; of each the parameters' names, per overload."""
    trt = importlib.import_module(module)
    kinds = {name: getattr(trt, name) for name in CLASSES if hasattr(trt, name)}
    return {
        name: {n: _parameters(getattr(kind, n)) for n in dir(kind) if not n.startswith("_")}
        for name, kind in kinds.items()
    }


def _parameters(value: object) -> list[list[str]]:
    lines = _SIGNATURE.findall((getattr(value, "__doc__", None) or "").strip())
    return [_PARAMETER.findall(line) for line in lines]


def _compile_libraries(folder: Path, major: str) -> None:
    """Libraries whose entry points do nothing."""
    source = folder / "empty.c"
    names = [*ENTRY_POINTS, *(OF_8 if major == "8" else ())]
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in names))
    for library in LIBRARIES:
        file = f"lib{library}.so.{major}"
        subprocess.run(
            [
                "cc",
                "-shared",
                "-fPIC",
                f"-Wl,-soname,{file}",
                "-o",
                str(folder / file),
                str(source),
            ],
            check=True,
        )


if __name__ == "__main__" and sys.argv[1:]:
    json.dump(look(sys.argv[1]), sys.stdout)
elif __name__ == "__main__":
    SURFACE.write_text(json.dumps(record(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
