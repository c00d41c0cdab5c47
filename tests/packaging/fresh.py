"""A fresh interpreter in which some packages cannot be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Put before the code that is run: a blocked package is not found, as if it were not installed.
_BLOCK = """
import sys

class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            return None
        return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""


def run_fresh(code: str, *, blocked: Sequence[str] = ()) -> str:
    """Run code in a new interpreter, warnings being errors; returns its standard output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _BLOCK.format(blocked=set(blocked)) + code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "engines")))},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules_of(package: str, folder: Path) -> list[str]:
    """Every module of a package, by its files; nothing is imported."""
    names = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        names.append(".".join((package, *parts)).removesuffix(".__init__"))
    return names
