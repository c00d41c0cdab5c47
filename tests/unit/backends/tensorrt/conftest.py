"""TensorRT's double, of the JetPack 6.2 generation, and a bundle with graphs for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgesam_rt import bundle as bundles
from edgesam_rt.backends.tensorrt import vendor
from edgesam_rt.backends.tensorrt.vendor import Vendor
from edgesam_rt.bundle import Bundle
from edgesam_rt.proof import compare
from tests.doubles.nvidia.device import DEVICE
from tests.doubles.nvidia.install import installed, with_tensorrt

VERSION = "10.3.0"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where plans go in this test."""
    monkeypatch.setenv("EDGESAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def lib(cache: Path) -> Iterator[Vendor]:
    """The library, and a GPU on which nothing is left in the end."""
    with installed(VERSION):
        yield vendor.load()
        assert DEVICE.left_over() == []


@pytest.fixture(autouse=True)
def _times_are_not_what_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "WARM_UP", 0)
    monkeypatch.setattr(compare, "REPEATS", 1)


@pytest.fixture(scope="session")
def tensorrt_bundle(default_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle that ships, its graphs named for TensorRT too."""
    to = tmp_path_factory.mktemp("tensorrt") / "bundle"
    return bundles.load(with_tensorrt(default_bundle, to))
