"""A bundle that finds instances, opened once, and its picture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("onnx", reason="the network is made with onnx")

import edgesam_rt as es
from edgesam_rt.bundle import Bundle
from edgesam_rt.decoders import open_decoder
from edgesam_rt.instances.decoder import InstanceDecoder
from edgesam_rt.records import Embedding
from edgesam_rt.types import U8
from tests.instances.colour_net import shapes_picture
from tests.instances.workplace import OPTIONS, SIDE, make_bundle


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "colours")


@pytest.fixture(scope="session")
def seg(colours: Bundle) -> Iterator[es.Segmenter]:
    """Its engine, opened and tested."""
    with es.open(colours.folder, board="cpu", threads=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def decoder(colours: Bundle) -> InstanceDecoder:
    """Its decoder."""
    opened = open_decoder(colours, OPTIONS, SIDE)
    assert isinstance(opened, InstanceDecoder)
    return opened


@pytest.fixture(scope="session")
def shapes() -> U8:
    """The picture, larger than the network's square."""
    return shapes_picture((330, 440))


@pytest.fixture(scope="session")
def embedding(seg: es.Segmenter, shapes: U8) -> Embedding:
    """The picture, encoded."""
    return seg.encode(shapes)
