"""The Android reference as a module: a script that stands alone, so it is loaded by its path."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.firmware.machines import SCRIPTS

SCRIPT = SCRIPTS / "android" / "reference.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("android_reference", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["android_reference"] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


REFERENCE = _load()
