"""A bundle that finds instances, made of `colour_net` without torch, and what is to be found."""

from __future__ import annotations

from pathlib import Path

import msgspec
from onnx import shape_inference

from edgesam_engines import graph_edits, pack
from edgesam_engines.families.fastsam_graph import Export, arranged
from edgesam_rt import bundle as bundles
from edgesam_rt import selftest
from edgesam_rt.bundle import Bundle
from edgesam_rt.decoders import open_decoder
from edgesam_rt.imaging import rle
from edgesam_rt.instances.tensors import LAYOUTS
from edgesam_rt.manifest import (
    SCHEMA,
    DecoderFacts,
    EngineFile,
    EverythingFacts,
    InstanceFacts,
    Manifest,
    Preprocess,
    SelfTest,
    SelfTestCase,
)
from edgesam_rt.segmenter import Encoder, EngineOptions
from tests.instances import colour_net

OPTIONS = EngineOptions("onnxruntime")
SIDE = 256
FACTS = InstanceFacts(
    score_thresh=0.4,
    nms_thresh=0.9,
    max_boxes=300,
    border_px=20,
    whole_iou=0.9,
    chosen_on="nothing",
)
PREPROCESS = Preprocess(
    resize="longest_side",
    resample="linear",
    colour="rgb",
    mean=(0.0, 0.0, 0.0),
    std=(255.0, 255.0, 255.0),
    pad_value=114,
    pad_order="before_normalising",
    input_dtype="uint8",
    layout="nhwc",
    normalised_in_engine=True,
)
DECODER = DecoderFacts(
    masks=4,
    clear_answer=0,
    ambiguous_answers=(1, 2, 3),
    points_per_prompt=64,
    coordinates="unit",
    mask_stride=4,
    score_kind="confidence",
    mask_input_broadcasts=True,
    earlier_masks=False,
    cut_multiple=4,
)
_UNTESTED = SelfTest(point=(0, 0), min_iou=0, min_distance_ratio=0, min_cosine=0, cases=())


def make_bundle(folder: Path, side: int = SIDE, facts: InstanceFacts = FACTS) -> Bundle:
    """Write a bundle into a new folder and read it."""
    folder.mkdir(parents=True)
    manifest = _manifest(_engine(folder, side), facts)
    pack.write_manifest(folder, manifest)
    tested = msgspec.structs.replace(manifest, self_test=_known(bundles.load(folder)))
    pack.write_manifest(folder, tested)
    return bundles.load(folder)


def _engine(folder: Path, side: int) -> EngineFile:
    graph = shape_inference.infer_shapes(colour_net.export(side))
    model = arranged(Export(graph, side, 1, "output0", "output1"))
    graph_edits.take_uint8_pixels(model, (1, side, side, 3), 0.0, 255.0)
    layouts = {graph_edits.PIXELS: "nhwc", **LAYOUTS}
    return pack.write_engine(folder, model, "encoder", side, layouts)


def _manifest(engine: EngineFile, facts: InstanceFacts) -> Manifest:
    return Manifest(
        schema=SCHEMA,
        name="colours",
        version="1",
        family="fastsam",
        precision="fp32",
        licence="none",
        origin="made by hand",
        preprocess=PREPROCESS,
        decoder=DECODER,
        everything=EverythingFacts(),
        instances=facts,
        keep_float={},
        self_test=_UNTESTED,
        engines=(engine,),
    )


def _known(bundle: Bundle) -> SelfTest:
    """What its engine says of the built-in pictures: it knows none of their colours."""
    (side,) = bundle.sides("onnxruntime")
    x, y = selftest.DISC_CENTRE_XY
    encoder, decoder = Encoder(bundle, OPTIONS, side), open_decoder(bundle, OPTIONS, side)
    given = selftest.answer(encoder, decoder, (x, y))
    case = SelfTestCase(
        side=side,
        mask_counts=rle.compress(rle.run_lengths(given.mask)),
        embedding_distance=given.distance,
        sketch=given.sketch,
    )
    return SelfTest(
        point=(x, y), min_iou=0.9, min_distance_ratio=0.5, min_cosine=0.9, cases=(case,)
    )
