"""Inside the decoder that ships: what no output shows and every board pays for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="looking inside a graph needs onnx")

import onnx
from onnx import ModelProto, ValueInfoProto

import edgesam_rt as es
from edgesam_rt.bundle import Bundle
from edgesam_rt.manifest import Part
from edgesam_rt.prompt_feeds import from_prompts
from edgesam_rt.records import Prompt
from edgesam_rt.types import U8, AnyArray
from tests.engines.graph_doubles import run

SMALLEST = np.finfo(np.float32).tiny


def load(bundle: Bundle, part: Part) -> ModelProto:
    side = bundle.sides("onnxruntime")[0]
    return onnx.load(bundle.path(bundle.engine(part, "onnxruntime", side)))


def with_all_tensors(model: ModelProto) -> ModelProto:
    """The graph with everything it computes as an output."""
    known = {o.name for o in model.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in known:
                known.add(name)
                model.graph.output.append(ValueInfoProto(name=name))
    return model


@pytest.fixture(scope="module")
def scorer_feeds(segmenter: es.Segmenter, car: U8, default_bundle: Bundle) -> dict[str, AnyArray]:
    """Points in corners and the middle, small and large boxes, an earlier mask, on a wide photo."""
    embedding = segmenter.encode(car)
    h, w = embedding.image_hw
    points = [(0, 0), (w, h), (w, 0), (w / 2, h / 2), (w / 3, h - 1)]
    prompts = [Prompt.point(*at) for at in points]
    prompts += [Prompt.box(0, 0, 3, 3), Prompt.box(0, 0, w, h), Prompt.box(300, 9, 420, 200)]
    earlier = segmenter.predict(embedding, Prompt.point(345, 60)).low_res_logits[0]
    batch = from_prompts(
        [*prompts, Prompt.point(345, 60).with_mask(earlier)],
        embedding.fit,
        default_bundle.manifest.decoder,
    )
    names = ("point_coords", "point_labels", "mask_input", "has_mask_input")
    return {**embedding.tensors, **{name: getattr(batch, name) for name in names}}


def test_no_number_in_the_scorer_is_denormal(
    default_bundle: Bundle, scorer_feeds: dict[str, AnyArray]
) -> None:
    """Each costs a hundred times a normal product on x86, where nobody flushes them to zero."""
    model = with_all_tensors(load(default_bundle, "scorer"))
    wanted = {i.name for i in model.graph.input}
    values = run(model, **{k: v for k, v in scorer_feeds.items() if k in wanted})
    found = {}
    for output, array in zip(model.graph.output, values, strict=True):
        if array.dtype == np.float32:
            tiny = (array != 0) & (np.abs(array) < SMALLEST)
            if tiny.mean() > 3e-3:  # attention so sure of one cell that others round to nothing
                found[output.name] = float(tiny.mean())
    assert found == {}


@pytest.mark.parametrize("part", ["scorer", "mask_head"])
def test_the_decoder_has_nothing_that_is_tied_to_one_side(
    default_bundle: Bundle, part: Part
) -> None:
    side = default_bundle.sides("onnxruntime")[0]
    entry = default_bundle.engine(part, "onnxruntime", side)
    cells = {(side // stride) ** power for stride in (4, 8, 16) for power in (1, 2)}
    sizes = {n for spec in (*entry.inputs, *entry.outputs) for n in spec.shape}
    assert not {n for n in sizes if n in cells and n not in (32, 128)}


@pytest.mark.parametrize("part", ["encoder", "scorer", "mask_head"])
def test_an_engine_tells_nothing_of_the_machine_that_made_it(
    default_bundle: Bundle, part: Part
) -> None:
    raw = load(default_bundle, part).SerializeToString()
    assert b"/work/" not in raw
    assert str(Path.home()).encode() not in raw
