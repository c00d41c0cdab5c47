"""The calls this project makes, and the double's, exist in the real bindings of every version."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgesam_rt.backends.tensorrt
from tests.doubles.nvidia import cuda, trt
from tests.doubles.pycuda_surface import SURFACE as PYCUDA
from tests.doubles.pycuda_surface import record as record_pycuda
from tests.doubles.tensorrt_surface import SURFACE, WHEELS, record

RECORDED = json.loads(SURFACE.read_text(encoding="utf-8"))
FILES = sorted(Path(edgesam_rt.backends.tensorrt.__path__[0]).glob("*.py"))
EVERY_NAME = {n for kinds in RECORDED.values() for names in kinds.values() for n in names}
NAMES_OF_OURS_TOO = {"flags", "name", "value", "error", "get"}  # also methods of Python's own


def called_names(file: Path) -> Iterator[tuple[str, int]]:
    """Attributes in a file that are TensorRT's by their name, and their lines."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in EVERY_NAME - NAMES_OF_OURS_TOO:
            yield node.attr, node.lineno


def test_the_surface_was_recorded_of_every_wheel() -> None:
    assert set(RECORDED) == set(WHEELS)
    assert all(len(kinds) == 17 for kinds in RECORDED.values())


@pytest.mark.parametrize("version", WHEELS)
def test_every_call_without_a_question_before_it_exists_in_every_version(version: str) -> None:
    known = {name for names in RECORDED[version].values() for name in names}
    called = {(n, f"{f.name}:{line}") for f in FILES for n, line in called_names(f)}
    assert len({name for name, _ in called}) > 25, "too few calls found: is this test blind?"
    assert {(name, where) for name, where in called if name not in known} == set()


@pytest.mark.parametrize("version", WHEELS)
def test_the_double_has_no_name_that_the_real_one_lacks(version: str) -> None:
    for kind, names in trt.make(version).items():
        if kind.startswith("__"):
            continue
        real = RECORDED[version][kind]
        own = {n for n in dir(names) if not n.startswith("_")} - {"trt"}
        own -= set(vars(names).get("__annotations__", ()))
        known = {*real, *NAMES_OF_THE_DOUBLES_OWN.get(kind, ())}
        assert {n for n in own if n not in known} == set(), kind


# What the double's objects carry for each other, and no code of the project asks for.
NAMES_OF_THE_DOUBLES_OWN = {
    "BuilderFlag": dir(int),
    "NetworkDefinitionCreationFlag": dir(int),
}


@pytest.mark.parametrize("version", WHEELS)
def test_the_doubles_methods_take_the_real_ones_parameters(version: str) -> None:
    compared = 0
    for kind, made in trt.make(version).items():
        for name, method in inspect.getmembers(made, inspect.isfunction):
            overloads = RECORDED[version].get(kind, {}).get(name) if name[0] != "_" else None
            if overloads:
                own = list(inspect.signature(method).parameters)
                fitting = [o for o in overloads if own == o[: len(own)]]
                assert fitting, f"{kind}.{name}: {own}, the real one takes {overloads}"
                compared += 1
    assert compared > 20


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_recording_anew_gives_the_same() -> None:
    assert json.loads(json.dumps(record())) == RECORDED


def test_pycudas_double_has_no_name_that_the_real_one_lacks() -> None:
    known = set(json.loads(PYCUDA.read_text(encoding="utf-8")))
    compared = 0
    for name, made in vars(cuda).items():
        if name[0] != "_" and getattr(made, "__module__", "") == cuda.__name__:
            public = {n for n in vars(made) if n[0] != "_"} if inspect.isclass(made) else set()
            assert {name, *public} <= known, name
            compared += 1 + len(public)
    assert compared > 15


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_recording_pycuda_anew_gives_the_same() -> None:
    assert record_pycuda() == json.loads(PYCUDA.read_text(encoding="utf-8"))
