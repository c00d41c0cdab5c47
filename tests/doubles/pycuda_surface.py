"""Records the names that pycuda's driver interface defines, from its sources: it has no wheels.

python -m tests.doubles.pycuda_surface            # writes tests/doubles/pycuda_surface.json
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "2026.1"
SURFACE = Path(__file__).with_suffix(".json")
_DEFINED = re.compile(
    r"""def\("(\w+)" | staticmethod\("(\w+)" | add_property\("(\w+)" | "(\w+)",\s*py::no_init
    | class_<[^;]*?>\s*\(?\s*(?:\w+\()?"(\w+)" | DEF_SIMPLE_\w+\((?:py_)?(\w+)
    | DECLARE_EXC\((\w+) """,
    re.VERBOSE,
)


def record() -> list[str]:
    """All names, sorted; whose attribute each is, the sources do not say as plainly."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary=:all:"]
        command += ["--no-build-isolation", "-d", str(folder), f"pycuda=={VERSION}"]
        subprocess.run(command, check=True, capture_output=True)
        (packed,) = folder.glob("*.tar.gz")
        with tarfile.open(packed) as archive:
            (member,) = (m for m in archive.getnames() if m.endswith("wrap_cudadrv.cpp"))
            stream = archive.extractfile(member)
            assert stream is not None
            source = stream.read().decode("utf-8")
    return sorted({n for found in _DEFINED.findall(source) for n in found if n})


if __name__ == "__main__":
    SURFACE.write_text(json.dumps(record(), indent=1) + "\n", encoding="utf-8")
