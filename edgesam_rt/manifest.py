"""The shape of `manifest.json`: everything the runtime knows of a bundle, as data.

One writer (`edgesam_engines.pack`), one reader (`edgesam_rt.bundle`). A key that is not listed here
is refused, and so is a schema number that is not `SCHEMA`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

SCHEMA = 1
# An input of decoder parts that take embeddings as whole squares: (2,) float32, the share of the
# square's rows and columns, from the top left, that the picture covers. Others take them cut.
COVERED = "covered_hw"

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Part = Literal["encoder", "decoder", "scorer", "mask_head", "detector", "discovery"]
Precision = Literal["int8", "fp16", "fp32"]


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One input or output of an engine.

    Attributes:
        name: as the engine spells it.
        shape: ints, or a name where the axis is free.
        dtype: numpy's name.
        layout: what the axes are: "nhwc", "n_p_xy", …; of an encoder's outputs also where rows and
            columns are, see `edgesam_rt/cutting.py`.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: str
    layout: str = ""


class EngineFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One engine file.

    Attributes:
        part: what it computes.
        backend: a row of `edgesam_rt/backends/table.py`.
        file: path inside the bundle.
        sha256: of the file, 64 hexadecimal digits.
        size_bytes: of the file.
        side: side of the encoder's input it belongs to; None if it serves all.
        inputs, outputs: its tensors.
    """

    part: Part
    backend: str
    file: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    size_bytes: Positive
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    side: Positive | None = None


class Preprocess(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a picture becomes the encoder's input.

    Attributes:
        resize: "longest_side" keeps the aspect ratio and puts the picture at the top left;
            "squash" fills the square.
        resample: how pixels are weighed; rows of `imaging/resample.py`, or "linear_unrounded",
            which goes with "squash": what has padding is bytes.
        colour: order of the channels.
        mean, std: subtracted and divided, per channel, on 0 to 255; inside the engine if
            `normalised_in_engine`.
        pad_value: fills the square, on 0 to 255; zeros do if `pad_order` is "after_normalising".
        pad_order: whether the padding is put in before or after normalising.
        rounding: of the shorter side's length; with "down", prompts are scaled as if it were not.
        input_dtype, layout: of the encoder's input tensor.
    """

    resize: Literal["longest_side", "squash"]
    colour: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pad_value: Annotated[int, msgspec.Meta(ge=0, le=255)]
    pad_order: Literal["before_normalising", "after_normalising"]
    input_dtype: Literal["uint8", "float32"]
    layout: Literal["nhwc", "nchw"]
    normalised_in_engine: bool
    resample: Literal["fast", "linear", "linear_unrounded", "pil_bilinear", "pil_bicubic"] = "fast"
    rounding: Literal["nearest", "down"] = "nearest"

    def __post_init__(self) -> None:
        """Refuse padding that would have to be unrounded."""
        if self.resample == "linear_unrounded" and self.resize != "squash":
            raise ValueError(
                f'resample "linear_unrounded" needs resize "squash", got {self.resize}'
            )


class DecoderFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What prompts and masks mean to this decoder.

    Attributes:
        masks: how many answers a prompt has (M).
        clear_answer: the answer to a prompt that is not ambiguous; None where such a prompt is
            answered like an ambiguous one.
        ambiguous_answers: the answers to choose from for a single point, by score.
        points_per_prompt: most points and box corners in one prompt.
        prompt_buckets: numbers of prompts an engine takes at once; empty if any.
        coordinates: "unit" for encoder sides in [0, 1], "pixels" for those times `prompt_side`.
        prompt_side: side of the frame that prompts live in, if "pixels".
        padding_point: whether points without a box get one more point with label -1 (SAM).
        filler_label: of entries that fill a row of points up to the longest; -1 where a point with
            that label means nothing to the decoder, another where it does.
        prompts_per_call: most prompts that are worth giving to one decoder call: more take memory,
            and no less time; 0 for any number.
        mask_stride: encoder pixels per low-resolution mask cell.
        score_kind: what `iou_predictions` estimates; "confidence": that there is an object.
        mask_threshold: cut in logits.
        mask_input_broadcasts: whether one `mask_input` row may serve all prompts without a mask.
        second_look: answers to an ambiguous prompt whose first score is at most this much below the
            best are all made, and the mask head's own scores choose among them; None where the mask
            head gives no scores.
        mask_side: masks are brought to a square of this side before they are cut out of it and
            brought to the picture's size, as SAM's own code does; 0: at once.
        background_points: whether points with label 0 mean something to it.
        earlier_masks: whether `mask_input` does.
        cut_multiple: the decoder takes embeddings cut to the part of the square that the picture
            covers, rounded up to multiples of this many encoder pixels; 0: the whole square.
    """

    masks: Positive
    clear_answer: int | None
    ambiguous_answers: tuple[int, ...]
    points_per_prompt: Positive
    coordinates: Literal["unit", "pixels"]
    mask_stride: Positive
    score_kind: Literal["predicted_iou", "stability", "confidence"]
    prompt_buckets: tuple[int, ...] = ()
    prompt_side: int = 1
    padding_point: bool = False
    filler_label: int = -1
    prompts_per_call: Annotated[int, msgspec.Meta(ge=0)] = 0
    mask_threshold: float = 0.0
    mask_input_broadcasts: bool = False
    second_look: Share | None = None
    mask_side: Annotated[int, msgspec.Meta(ge=0)] = 0
    background_points: bool = True
    earlier_masks: bool = True
    cut_multiple: Annotated[int, msgspec.Meta(ge=0)] = 0

    def __post_init__(self) -> None:
        """Refuse answers that are none of the M."""
        clear = () if self.clear_answer is None else (self.clear_answer,)
        answers = (*clear, *self.ambiguous_answers)
        if not self.ambiguous_answers or not all(0 <= a < self.masks for a in answers):
            raise ValueError(f"answers must be some of 0 to {self.masks - 1}, got {answers}")


class EverythingFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Thresholds of everything mode that suit this decoder's scores (names are SAM's).

    Attributes:
        points_per_side: of the grid.
        points_per_batch: points scored at once; costs memory, changes nothing else.
        pred_iou_thresh: masks with a predicted IoU not above it are dropped.
        first_look_thresh: where masks are scored before they are made (`scorer`): answers whose
            first score is not above it are not made.
        first_look_margin: nor are those whose first score is further below the best of the same
            point; 1 makes them all.
        first_look_nms_thresh: nor those whose expected box overlaps that of a better-scored answer
            more; 1 is none. For models whose `scorer` gives expected boxes.
        stability_score_thresh: masks less stable are dropped; 0 keeps all, and saves counting.
        stability_score_offset: see `imaging.masks.stability_scores`.
        box_nms_thresh: of two masks whose boxes overlap more, the worse is dropped.
        crop_n_layers: the picture is also asked about in 4**i parts for every layer i up to this.
        crop_nms_thresh: as `box_nms_thresh`, between parts.
        crop_overlap_ratio: how far parts overlap, of the picture's shorter side.
        crop_n_points_downscale_factor: points per side in layer i are divided by its i-th power.
        min_mask_region_area: smaller holes are filled and smaller islands dropped, px; 0 is none.
        high_score_thresh: where a coarse mask's logit is above it, "hierarchical" asks no more.
    """

    points_per_side: Annotated[int, msgspec.Meta(ge=1, le=256)] = 32
    points_per_batch: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 64
    pred_iou_thresh: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.88
    first_look_thresh: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.0
    first_look_margin: Share = 1.0
    first_look_nms_thresh: Share = 1.0
    stability_score_thresh: Share = 0.95
    stability_score_offset: Annotated[float, msgspec.Meta(gt=0, le=100)] = 1.0
    box_nms_thresh: Share = 0.7
    crop_n_layers: Annotated[int, msgspec.Meta(ge=0, le=3)] = 0
    crop_nms_thresh: Share = 0.7
    crop_overlap_ratio: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 512 / 1500
    crop_n_points_downscale_factor: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    min_mask_region_area: Annotated[int, msgspec.Meta(ge=0)] = 0
    high_score_thresh: Annotated[float, msgspec.Meta(ge=0)] = 8.5


class BoxFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which of the boxes that a detector or a discovery head finds are taken.

    Attributes:
        score_thresh: boxes with a lower score are dropped.
        nms_thresh: of two boxes with a larger IoU the one with the lower score is dropped.
        max_boxes: the best are kept.
        chosen_on: the photos that these three were chosen on.
    """

    score_thresh: Share
    nms_thresh: Share
    max_boxes: Positive
    chosen_on: str


class InstanceFacts(BoxFacts, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which of the instances that a one-shot encoder finds are taken, and where their masks end.

    Attributes:
        border_px: box sides nearer to the picture's edge than this, encoder px, are put there.
        whole_iou: boxes with a larger IoU with the picture become the whole of it.
    """

    border_px: Annotated[int, msgspec.Meta(ge=0)] = 0
    whole_iou: Share = 1.0


class SelfTestCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the engines of one side must answer on the built-in pictures.

    Attributes:
        side: of the encoder.
        mask_counts: the known mask, COCO's compressed run lengths at picture size.
        embedding_distance: relative distance of the two pictures' embeddings, as accepted.
        sketch: some values of each tensor of the first picture's embedding.
    """

    side: Positive
    mask_counts: str
    embedding_distance: float
    sketch: dict[str, tuple[float, ...]]


class SelfTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The test every engine passes when it is loaded.

    Attributes:
        point: x, y in pixels of the first built-in picture.
        min_iou: of the answer with the known mask.
        min_distance_ratio: of the embeddings' distance to the accepted one.
        min_cosine: of every tensor's sketch with the accepted one.
        cases: one per encoder side.
    """

    point: tuple[float, float]
    min_iou: float
    min_distance_ratio: float
    min_cosine: float
    cases: tuple[SelfTestCase, ...]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole `manifest.json`.

    Attributes:
        schema: of this file.
        name, version: of the bundle; the version changes when an engine does.
        family: the architecture.
        precision: of the encoder.
        licence: of the weights.
        origin: where the weights come from, and on what they were trained.
        preprocess, decoder, everything: facts of the model.
        keep_float: parts that must not be quantized further, and why.
        self_test: see there.
        engines: the files.
        verification: the figures with which it was accepted, as its factory wrote them.
        made_with: versions of what built it.
        discovery: which boxes of its discovery head are taken; None where it has none.
        instances: where the encoder finds all instances of a picture, which of them are taken;
            there is no decoder engine then (`edgesam_rt/instances`).
    """

    schema: int
    name: str
    version: str
    family: str
    precision: Precision
    licence: str
    origin: str
    preprocess: Preprocess
    decoder: DecoderFacts
    everything: EverythingFacts
    keep_float: dict[str, str]
    self_test: SelfTest
    engines: tuple[EngineFile, ...]
    verification: dict[str, Any] = {}
    made_with: dict[str, str] = {}
    discovery: BoxFacts | None = None
    instances: InstanceFacts | None = None

    @property
    def thresholds(self) -> EverythingFacts | InstanceFacts:
        """What everything mode goes by."""
        return self.everything if self.instances is None else self.instances
