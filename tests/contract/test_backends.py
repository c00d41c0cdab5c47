"""Every backend keeps the contract, on the engines that ship."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType

import pytest

from edgesam_rt import backends
from edgesam_rt.backends import Backend, BackendOptions, choose, open_engine
from edgesam_rt.backends.table import TABLE
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import BackendError, BackendMissing, ConfigError
from edgesam_rt.manifest import EngineFile
from tests.contract.backend_contract import BackendContract


class OnnxRuntimeContract(BackendContract):
    kind = "onnxruntime"


class TestOnnxRuntimeEncoder(OnnxRuntimeContract):
    @pytest.fixture
    def entry(self, default_bundle: Bundle) -> EngineFile:
        side = default_bundle.sides("onnxruntime")[-1]
        return default_bundle.engine("encoder", "onnxruntime", side)


class TestOnnxRuntimeScorer(OnnxRuntimeContract):
    free = MappingProxyType(
        {
            "prompts": 3,
            "points": 2,
            "cells16": 576,
            "cells32": 144,
            "rows8": 48,
            "columns8": 48,
            "earlier_masks": 1,
            "rows4": 96,
            "columns4": 96,
        }
    )
    shared = ("prompts", "points", "cells32")

    @pytest.fixture
    def entry(self, default_bundle: Bundle) -> EngineFile:
        return default_bundle.engine("scorer", "onnxruntime", 384)

    @pytest.mark.parametrize("prompts", [1, 2, 33])
    def test_any_number_of_prompts_is_taken(
        self, backend: Backend, entry: EngineFile, prompts: int
    ) -> None:
        outputs = backend.run(self.feeds(entry, prompts=prompts))
        assert {len(array) for array in outputs.values()} == {prompts}

    def test_grids_that_do_not_belong_together_are_an_error_of_ours(
        self, backend: Backend, entry: EngineFile
    ) -> None:
        with pytest.raises(BackendError, match="the engine failed"):
            backend.run(self.feeds(entry, rows8=40))


class TestOnnxRuntimeMaskHead(OnnxRuntimeContract):
    free = MappingProxyType(
        {
            "prompts": 3,
            "points": 2,
            "cells16": 576,
            "rows4": 96,
            "columns4": 96,
            "earlier_masks": 1,
        }
    )
    shared = ("prompts", "rows4", "columns4")

    @pytest.fixture
    def entry(self, default_bundle: Bundle) -> EngineFile:
        return default_bundle.engine("mask_head", "onnxruntime", 384)

    @pytest.mark.parametrize("prompts", [1, 2, 17])
    def test_any_number_of_prompts_is_taken(
        self, backend: Backend, entry: EngineFile, prompts: int
    ) -> None:
        masks = backend.run(self.feeds(entry, prompts=prompts))["low_res_masks"]
        assert masks.shape == (prompts, 1, 96, 96)


def test_every_row_of_the_table_is_proved_in_this_folder() -> None:
    files = Path(__file__).parent.glob("test_backends*.py")
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    proved = {name.lower() for name in re.findall(r"^class (Test\w+)", text, re.MULTILINE)}
    for backend in TABLE:
        assert any(name.startswith(f"test{backend}") for name in proved), backend


def test_every_class_goes_by_the_name_of_its_row(default_bundle: Bundle) -> None:
    for name in backends.available():
        if name not in default_bundle.backends:
            continue
        side = default_bundle.sides(name)[-1]
        opened = open_engine(default_bundle, "mask_head", name, side, BackendOptions())
        assert opened.name == name
        opened.close()


def test_the_first_preferred_backend_that_is_installed_is_chosen(default_bundle: Bundle) -> None:
    assert choose(default_bundle, ("onnxruntime",)) == "onnxruntime"


def test_a_backend_of_no_table_is_answered_with_the_known_ones(default_bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match=r"Known: .*onnxruntime"):
        choose(default_bundle, ("tensorflow", "onnxruntime"))


def test_a_library_that_is_not_installed_is_answered_with_the_command(
    default_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "available", lambda: ())
    with pytest.raises(BackendMissing, match="pip install") as caught:
        choose(default_bundle, ("onnxruntime",))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("in_thread", [False, True], ids=["main thread", "second thread"])
def test_running_an_engine_leaves_the_callers_arithmetic_alone(in_thread: bool) -> None:
    """A library may not switch its caller's processor to flush small numbers to zero."""
    code = f"""
import threading
import numpy as np
import edgesam_rt as es

def small():
    return np.float32(1e-40) * np.float32(1) > 0

def work():
    with es.open(board="cpu", threads=1) as seg:
        seg.predict(seg.encode(np.zeros((48, 64, 3), np.uint8)), es.Prompt.point(9, 9))
    kept.append(bool(small()))

kept = [bool(small())]
if {in_thread}:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
else:
    work()
kept.append(bool(small()))
print(*kept)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.stdout.split() == ["True"] * 3
