"""LiteRT keeps the backends' contract, takes any number of prompts, and gives the same masks."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import numpy as np
import pytest

from edgesam_rt.backends import Backend, BackendOptions, litert_library, open_engine
from edgesam_rt.bench.agreement import agreement
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import BackendError, BackendMissing
from edgesam_rt.imaging.files import read_image
from edgesam_rt.manifest import EngineFile
from edgesam_rt.proof import probes
from edgesam_rt.records import Prompt
from edgesam_rt.segmenter import Decoder, Encoder, EngineOptions
from tests.conftest import PHOTOS
from tests.contract.backend_contract import BackendContract, Feeds

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

CELLS = {
    "cells16": 576,
    "cells32": 144,
    "rows8": 48,
    "columns8": 48,
    "rows4": 96,
    "columns4": 96,
}


class LiteRtContract(BackendContract):
    kind = "litert"


class TestLiteRtEncoder(LiteRtContract):
    @pytest.fixture
    def entry(self, default_bundle: Bundle) -> EngineFile:
        return default_bundle.engine("encoder", "litert", default_bundle.sides("litert")[-1])


class AnyNumberOfPrompts(LiteRtContract):
    """What a part with several signatures promises beyond the contract."""

    @pytest.mark.parametrize("prompts", [1, 2, 9, 65])
    def test_a_prompt_is_answered_as_if_it_were_alone(
        self, backend: Backend, entry: EngineFile, prompts: int
    ) -> None:
        feeds = self.feeds(entry, prompts=prompts)
        together = backend.run(feeds)
        for row in {0, prompts // 2, prompts - 1}:
            alone = backend.run(self.rows(backend, feeds, slice(row, row + 1)))
            for name, values in alone.items():
                np.testing.assert_allclose(together[name][row], values[0], rtol=1e-3, atol=1e-3)

    def test_points_that_count_for_nothing_change_nothing(
        self, backend: Backend, entry: EngineFile
    ) -> None:
        feeds = self.feeds(entry, prompts=2, points=1)
        padded = dict(feeds)
        padded["point_coords"] = np.pad(feeds["point_coords"], ((0, 0), (0, 3), (0, 0)))
        padded["point_labels"] = np.pad(feeds["point_labels"], ((0, 0), (0, 3)), constant_values=-1)
        plain = backend.run(feeds)
        for name, values in backend.run(padded).items():
            np.testing.assert_allclose(values, plain[name], rtol=1e-3, atol=1e-3, err_msg=name)

    def test_every_prompt_may_have_an_earlier_mask_of_its_own(
        self, backend: Backend, entry: EngineFile
    ) -> None:
        feeds = self.feeds(entry, prompts=9, earlier_masks=9)
        feeds["has_mask_input"][:] = 1
        together = backend.run(feeds)
        alone = backend.run(self.rows(backend, feeds, slice(8, 9)))
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][8], values[0], rtol=1e-3, atol=1e-3)

    def test_a_side_that_the_file_was_not_made_for_is_an_error_with_those_that_it_was(
        self, backend: Backend, entry: EngineFile
    ) -> None:
        small = {name: n // 4 if "cells" in name else n // 2 for name, n in CELLS.items()}
        with pytest.raises(BackendError, match=r"no signature takes.*there are.*576"):
            backend.run(self.feeds(entry, **small))

    def rows(self, backend: Backend, feeds: Feeds, at: slice) -> Feeds:
        """Some of the prompts."""
        free = ("prompts", "earlier_masks")
        return {
            name: values[at]
            if backend.inputs[name].shape[0] in free and len(values) > 1
            else values
            for name, values in feeds.items()
        }


class TestLiteRtScorer(AnyNumberOfPrompts):
    free = MappingProxyType({"prompts": 3, "points": 2, "earlier_masks": 1, **CELLS})
    shared = ("prompts", "points", "cells32")

    @pytest.fixture
    def entry(self, default_bundle: Bundle) -> EngineFile:
        return default_bundle.engine("scorer", "litert", 384)


class TestLiteRtMaskHead(AnyNumberOfPrompts):
    free = MappingProxyType({"prompts": 3, "points": 2, "earlier_masks": 1, **CELLS})
    shared = ("prompts", "rows4", "columns4")

    @pytest.fixture
    def entry(self, default_bundle: Bundle) -> EngineFile:
        return default_bundle.engine("mask_head", "litert", 384)


@pytest.mark.parametrize("side", [512, 384])
def test_it_gives_the_masks_that_onnx_runtime_gives(default_bundle: Bundle, side: int) -> None:
    pictures = [read_image(path) for path in sorted(PHOTOS.glob("*.jpg"))[:4]]
    cases = [(pixels, probes(pixels)) for pixels in pictures]
    found = agreement(default_bundle, ("onnxruntime", "litert"), side, cases).figures()
    assert found["prompts"] == 20
    assert found["mean_iou"] >= 0.97
    assert min(found["cosine"].values()) >= 0.999


@pytest.fixture
def litert_decoder(default_bundle: Bundle) -> Iterator[Decoder]:
    opened = Decoder(default_bundle, EngineOptions("litert"), 512)
    yield opened
    opened.close()


def test_one_decoder_serves_every_side_of_the_ladder(
    default_bundle: Bundle, litert_decoder: Decoder
) -> None:
    pixels = read_image(PHOTOS / "hibiscus.jpg")
    for side in default_bundle.sides("litert"):
        encoder = Encoder(default_bundle, EngineOptions("litert"), side)
        found = litert_decoder.predict(encoder.encode(pixels), probes(pixels))
        assert len(found) == 5
        assert found.masks.shape[1:] == pixels.shape[:2]
        encoder.close()


def test_an_answer_can_be_given_back_to_be_refined(
    default_bundle: Bundle, litert_decoder: Decoder
) -> None:
    pixels = read_image(PHOTOS / "hibiscus.jpg")
    encoder = Encoder(default_bundle, EngineOptions("litert"), 512)
    embedding = encoder.encode(pixels)
    first = litert_decoder.predict(embedding, [Prompt.point(300, 200)])
    again = Prompt.point(300, 200).with_mask(first.low_res_logits[0])
    second = litert_decoder.predict(embedding, [again])
    assert first.low_res_logits.shape == second.low_res_logits.shape
    union = (first.masks | second.masks).sum()
    assert (first.masks & second.masks).sum() / union > 0.5
    encoder.close()


def test_results_say_that_litert_made_them(default_bundle: Bundle) -> None:
    encoder = Encoder(default_bundle, EngineOptions("litert"), 384)
    assert encoder.encode(np.zeros((48, 64, 3), np.uint8)).backend == "litert"
    encoder.close()


def test_without_a_library_the_command_to_install_one_is_named(
    default_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litert_library, "_LIBRARIES", {"no_such_library": "no_such_library"})
    with pytest.raises(BackendMissing, match=r"pip install 'edgesam_rt\[litert\]'"):
        open_engine(default_bundle, "scorer", "litert", 384, BackendOptions())


@pytest.mark.parametrize("numpy", ["2.0.0", "2.4.6", "3.1.0"])
def test_the_old_library_is_refused_with_a_new_numpy_before_it_crashes(numpy: str) -> None:
    with pytest.raises(BackendMissing, match=rf"NumPy {numpy}.*ai-edge-litert.*numpy<2"):
        litert_library.check_numpy(numpy)


def test_the_old_library_is_taken_with_an_old_numpy() -> None:
    litert_library.check_numpy("1.26.4")
