"""What the verbs of `edgesam-engines` share."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import BackendMissing

AddVerb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def factory(name: str, extra: str = "engines") -> Any:
    """Import a part of the factory that needs torch and onnx, and what else the extra brings.

    Raises:
        BackendMissing: they are not installed.
    """
    try:
        return importlib.import_module(f"edgesam_engines.{name}")
    except ImportError as error:
        raise BackendMissing(
            f"{error}. Building and verifying need the factory's packages: "
            f"pip install 'edgesam_rt[{extra}]'."
        ) from error


def say(text: str) -> None:
    """Tell the person at the terminal; data goes to stdout."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def recipe_of(found: Bundle, named: str | None) -> tuple[Any, Path]:
    """The recipe that a bundle is judged by, and its folder; `named` overrides its own."""
    recipes, m = factory("recipe"), found.manifest
    made: tuple[Any, Path] = (
        recipes.load(named) if named else recipes.of_bundle(m.name, m.family, m.precision)
    )
    return made


class Steps:
    """Says each step with the seconds since the first."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, step: str) -> None:
        """Say what is done now."""
        say(f"[{time.monotonic() - self._started:5.0f} s] {step}")
