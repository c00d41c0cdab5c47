"""Fixtures that several folders of tests share: the bundle that ships, opened once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import edgesam_rt as es
from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import Bundle
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import Decoder, Encoder, EngineOptions
from edgesam_rt.types import U8

# `make test` tries the same cases on every run, so that what it says is about the change alone;
# `make test-full` tries new ones.
settings.register_profile("same", derandomize=True)
settings.register_profile("new")
settings.load_profile(os.environ.get("HYPOTHESIS_CASES", "same"))

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = ROOT / "demo" / "photos"


@pytest.fixture(scope="session")
def default_bundle() -> Bundle:
    """The bundle that ships."""
    return bundles.find(None)


@pytest.fixture(scope="session")
def segmenter() -> Iterator[es.Segmenter]:
    """The bundle that ships, opened at its largest side, on one thread."""
    with es.open(board="cpu", threads=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def small_segmenter(default_bundle: Bundle) -> Iterator[es.Segmenter]:
    """The same at its smallest side."""
    side = default_bundle.sides("onnxruntime")[-1]
    with es.open(board="cpu", threads=1, encoder_side=side) as opened:
        yield opened


@pytest.fixture(scope="session")
def small_encoder(default_bundle: Bundle) -> Iterator[Encoder]:
    """The encoder of the smallest side, without the program's interface around it."""
    opened = Encoder(
        default_bundle, EngineOptions("onnxruntime"), default_bundle.sides("onnxruntime")[-1]
    )
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def decoder(default_bundle: Bundle) -> Iterator[Decoder]:
    """The decoder, likewise."""
    opened = Decoder(
        default_bundle, EngineOptions("onnxruntime"), default_bundle.sides("onnxruntime")[-1]
    )
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def car() -> U8:
    """A photo, wide: a white car on asphalt."""
    return es.read_image(PHOTOS / "white-car.jpg")


@pytest.fixture(scope="session")
def astronaut() -> U8:
    """A photo, square: a person with a helmet, a flag and a model of a rocket."""
    return es.read_image(PHOTOS / "astronaut.jpg")


@pytest.fixture(scope="session")
def car_embedding(segmenter: es.Segmenter, car: U8) -> Embedding:
    """The car, encoded by `segmenter`."""
    return segmenter.encode(car)


@pytest.fixture(scope="session")
def astronaut_embedding(segmenter: es.Segmenter, astronaut: U8) -> Embedding:
    """The astronaut, encoded by `segmenter`."""
    return segmenter.encode(astronaut)
