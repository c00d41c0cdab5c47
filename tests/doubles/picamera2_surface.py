"""Records the signatures of picamera2 that we use, from its wheel: it imports on no other machine.

python -m tests.doubles.picamera2_surface         # writes tests/doubles/picamera2_surface.json
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

VERSION = "0.3.38"
SURFACE = Path(__file__).with_suffix(".json")
CLASSES = {
    "Picamera2": "picamera2/picamera2.py",
    "CompletedRequest": "picamera2/request.py",
}
USED = {
    "Picamera2": [
        "__init__",
        "camera_configuration",
        "cancel_all_and_flush",
        "capture_request",
        "close",
        "configure",
        "create_video_configuration",
        "global_camera_info",
        "start",
        "stop",
        "wait",
    ],
    "CompletedRequest": ["get_metadata", "make_array", "release"],
}

Signatures = dict[str, dict[str, list[str]]]


def record() -> Signatures:
    """Names of the parameters by class and method; one with a default ends with "="."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", name]
        subprocess.run([*command, f"picamera2=={VERSION}"], check=True, capture_output=True)
        (wheel,) = Path(name).glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            sources = {c: packed.read(path).decode("utf-8") for c, path in CLASSES.items()}
    return {c: dict(_methods(source, c)) for c, source in sources.items()}


def _methods(source: str, wanted: str) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == wanted:
            for method in node.body:  # overloads come first, the method itself last
                if isinstance(method, ast.FunctionDef) and method.name in USED[wanted]:
                    yield method.name, _parameters(method)


def _parameters(method: ast.FunctionDef) -> list[str]:
    names = [argument.arg for argument in method.args.args]
    first_default = len(names) - len(method.args.defaults)
    marked = [name + "=" * (i >= first_default) for i, name in enumerate(names)]
    return [name for name in marked if name != "self"]


if __name__ == "__main__":
    SURFACE.write_text(json.dumps(record(), indent=1) + "\n", encoding="utf-8")
