"""The shape of a detector bundle's `manifest.json`; see `manifest.py` for what both kinds share.

One engine contract for all families: the picture's square goes in, `boxes_xyxy` (1, N, 4) in input
pixels and `scores` (1, N) in [0, 1] come out, one row per place looked at. Grids, strides and
activations are the engine's own business.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from edgesam_rt.manifest import BoxFacts, EngineFile, Precision, Preprocess, Share

KIND: Final = "detector"
BOXES, SCORES = "boxes_xyxy", "scores"


class DetectorFacts(BoxFacts, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which of the engine's boxes are taken.

    Attributes:
        score_kind: what `scores` are: how likely a box holds an object of any kind, or that times
            the likeliest class.
    """

    score_kind: Literal["objectness", "objectness_times_class"]


class KnownBox(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A box that the engine finds on a built-in picture.

    Attributes:
        picture: 0 or 1.
        xyxy: px of that picture.
        score: as accepted.
    """

    picture: Annotated[int, msgspec.Meta(ge=0, le=1)]
    xyxy: tuple[float, float, float, float]
    score: Share


class DetectorSelfTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The test every detector passes when it is opened.

    Attributes:
        min_iou: of a found box with the known one.
        max_score_difference: of a found box from the known one.
        min_cosine: of every sketch with the accepted one.
        boxes: to be found on the built-in pictures.
        sketch: logarithms of some boxes' widths and heights on both pictures, over all places.
    """

    min_iou: Share
    max_score_difference: Share
    min_cosine: Share
    boxes: tuple[KnownBox, ...]
    sketch: tuple[float, ...]


class DetectorManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole `manifest.json` of a detector.

    Attributes:
        kind: tells it from a segmenter's, which has no such key.
        detector: which boxes are taken.
        self_test: see there.
        schema, name, version, family, precision, licence, origin, preprocess, keep_float, engines,
            verification, made_with: as in `Manifest`.
    """

    schema: int
    kind: Literal["detector"]
    name: str
    version: str
    family: str
    precision: Precision
    licence: str
    origin: str
    preprocess: Preprocess
    detector: DetectorFacts
    keep_float: dict[str, str]
    self_test: DetectorSelfTest
    engines: tuple[EngineFile, ...]
    verification: dict[str, Any] = {}
    made_with: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Refuse an input that `Detector` does not make, and engines without a side."""
        rule = self.preprocess
        given = (rule.colour, rule.input_dtype, rule.layout, rule.normalised_in_engine)
        if given != ("rgb", "uint8", "nhwc", True):
            raise ValueError(f"a detector takes uint8 RGB pixels, nhwc, as they are; got {given}")
        if any(e.part != KIND or e.side is None for e in self.engines):
            raise ValueError("a detector's engines are all of part 'detector', and have a side")
