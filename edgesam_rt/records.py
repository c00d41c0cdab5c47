"""The values that travel: frozen, checked where they are born."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from edgesam_rt.errors import PromptError, ShapeError
from edgesam_rt.imaging import masks as mask_ops
from edgesam_rt.imaging import rle as rle_ops
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.imaging.upscaled import Upscaled
from edgesam_rt.types import F32, F64, I64, U8, AnyArray, Bool

PADDING, BACKGROUND, FOREGROUND, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT = -1, 0, 1, 2, 3


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        frame_id: 0, 1, 2, … in the order in which the source gave them; gaps are lost frames.
        pixels: (H, W, 3) uint8 RGB, owned by this frame.
        captured_at_ns: monotonic time at which the picture was complete.
        name: what to call it in files: a stem like "street" or "frame-000012".
        capture_ms: how long the source took to read and decode it.
    """

    frame_id: int
    pixels: U8
    captured_at_ns: int
    name: str
    capture_ms: float = 0.0

    @property
    def image_hw(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.pixels.shape[0], self.pixels.shape[1]


def check_image(pixels: AnyArray) -> U8:
    """Return `pixels` if it is an (H, W, 3) uint8 picture, else raise ShapeError."""
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise ShapeError(
            f"image: expected (H, W, 3) uint8 RGB with H, W >= 1, got {pixels.shape} "
            f"{pixels.dtype}. edgesam_rt.read_image converts files of any mode."
        )
    return pixels


@dataclass(frozen=True, eq=False)
class Prompt:
    """What is asked about one object, in image pixels (continuous: the first centre is 0.5, 0.5).

    `a + b` joins two prompts about the same object.

    Attributes:
        point_coords: (P, 2) float32, x then y.
        point_labels: (P,) int64: 1 foreground, 0 background, 2 and 3 a box's top-left and
            bottom-right corner (at most one box).
        mask_input: (h, w) float32 low-resolution logits of an earlier answer, or None.

    Raises:
        PromptError: coordinates not finite, an unknown label, a box out of order, two boxes.
    """

    point_coords: F32
    point_labels: I64
    mask_input: F32 | None = None

    def __post_init__(self) -> None:
        """Check and normalise the arrays."""
        given = _pairs(self.point_coords)
        if not (np.abs(given) < _FARTHEST).all():  # NaN is not less than anything
            raise PromptError(
                f"prompt: coordinates must be finite numbers of pixels, got {given.tolist()}."
            )
        coords = given.astype(np.float32)
        raw_labels = np.asarray(self.point_labels).reshape(-1)
        if not np.isin(raw_labels, _ALLOWED_LABELS).all():
            raise PromptError(
                "prompt: labels are 1 (foreground), 0 (background), 2 and 3 (box corners), "
                f"got {raw_labels.tolist()}."
            )
        labels = raw_labels.astype(np.int64)
        object.__setattr__(self, "point_coords", coords)
        object.__setattr__(self, "point_labels", labels)
        if len(coords) != len(labels):
            raise PromptError(f"prompt: {len(coords)} points but {len(labels)} labels.")
        self._check_box()
        self._check_mask()

    def _check_box(self) -> None:
        labels, coords = self.point_labels, self.point_coords
        first = np.flatnonzero(labels == BOX_TOP_LEFT)
        last = np.flatnonzero(labels == BOX_BOTTOM_RIGHT)
        if len(first) != len(last) or len(first) > 1:
            raise PromptError(
                "prompt: one object has at most one box. Give each object a prompt of its own "
                "(--object between them on the command line)."
            )
        if len(first) and not (coords[first[0]] < coords[last[0]]).all():
            box = ",".join(f"{v:g}" for v in (*coords[first[0]], *coords[last[0]]))
            raise PromptError(f"prompt: a box is x0,y0,x1,y1 with x0 < x1 and y0 < y1, got {box}.")

    def _check_mask(self) -> None:
        mask = self.mask_input
        if mask is None:
            return
        if np.ndim(mask) != 2:
            raise PromptError(
                "prompt: mask_input is (h, w) low-resolution logits of an earlier answer, "
                f"got shape {np.shape(mask)}."
            )
        if not np.isfinite(mask).all():
            raise PromptError("prompt: mask_input has values that are not finite numbers.")

    @classmethod
    def point(cls, x: float, y: float, label: int = FOREGROUND) -> Prompt:
        """One point; label 1 is on the object, 0 is not on it (means something only beside a 1)."""
        return cls(np.array([[x, y]]), np.array([label]))

    @classmethod
    def points(cls, coords: ArrayLike, labels: ArrayLike) -> Prompt:
        """Several points of one object: (P, 2) and (P,)."""
        return cls(np.asarray(coords), np.asarray(labels))

    @classmethod
    def box(cls, x0: float, y0: float, x1: float, y1: float) -> Prompt:
        """A box: left, top, right, bottom."""
        corners = np.array([[x0, y0], [x1, y1]])
        return cls(corners, np.array([BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]))

    def __add__(self, other: Prompt) -> Prompt:
        """Both prompts, about one object; the later mask counts."""
        return Prompt(
            np.concatenate([self.point_coords, other.point_coords]),
            np.concatenate([self.point_labels, other.point_labels]),
            other.mask_input if other.mask_input is not None else self.mask_input,
        )

    def with_mask(self, mask_input: F32) -> Prompt:
        """The same prompt, refining an earlier answer's `low_res_logits[i]`."""
        return Prompt(self.point_coords, self.point_labels, mask_input)

    @property
    def has_box(self) -> bool:
        """Whether a box is part of it."""
        return bool((self.point_labels == BOX_TOP_LEFT).any())

    @property
    def is_ambiguous(self) -> bool:
        """Whether it is a single foreground point, which fits a part as well as a whole (SAM)."""
        return self.mask_input is None and self.point_labels.tolist() == [FOREGROUND]

    def on_image(self, image_hw: tuple[int, int]) -> Prompt:
        """Return the prompt as it applies to a picture: a box is clipped to it.

        Raises:
            PromptError: a point or a whole box lies outside, or nothing names an object.
        """
        h, w = image_hw
        labels = self.point_labels.tolist()  # a handful of values: plain numbers beat arrays
        if FOREGROUND not in labels and BOX_TOP_LEFT not in labels and self.mask_input is None:
            raise PromptError(
                "prompt: needs a foreground point, a box or a mask; "
                "background points alone name no object."
            )
        for (x, y), label in zip(self.point_coords.tolist(), labels, strict=True):
            if label < BOX_TOP_LEFT and not (0 <= x <= w and 0 <= y <= h):
                raise PromptError(f"prompt: point {x:g},{y:g} lies outside the {w}x{h} picture.")
        return self._clipped(w, h) if BOX_TOP_LEFT in labels else self

    def _clipped(self, w: int, h: int) -> Prompt:
        """The prompt with its box cut to a picture of w x h."""
        corner = self.point_labels >= BOX_TOP_LEFT
        box = self.point_coords[corner]
        clipped = box.clip(0, np.array([w, h], np.float32))
        size = clipped[1] - clipped[0]
        if not (np.abs(size) > 0).all():
            text = ",".join(f"{v:g}" for v in box.ravel().tolist())
            raise PromptError(f"prompt: box {text} lies outside the {w}x{h} picture.")
        if (clipped == box).all():
            return self
        coords = self.point_coords.copy()
        coords[corner] = clipped
        return Prompt(coords, self.point_labels, self.mask_input)


def _pairs(coords: ArrayLike) -> F64:
    """(P, 2) float64 of anything that looks like it."""
    try:
        given = np.asarray(coords, np.float64)
    except (TypeError, ValueError):
        given = np.zeros((0, 0))
    if given.size == 0 and given.ndim == 1:
        given = given.reshape(0, 2)
    if given.ndim != 2 or given.shape[1] != 2:
        raise PromptError(f"prompt: coordinates are (P, 2) numbers, x then y, got {coords!r}.")
    return given


_FARTHEST = 1e9  # px; anything beyond is a mistake, and would not fit into float32 exactly
_ALLOWED_LABELS = (BACKGROUND, FOREGROUND, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT)


@dataclass(frozen=True, eq=False)
class Embedding:
    """What the encoder made of one picture; prompts are answered from it.

    Attributes:
        tensors: the encoder's outputs by name; shapes are the bundle's.
        fit: how the picture lies in the encoder's frame.
        bundle: name and version of the bundle that made it.
        backend: what ran the encoder.
        fit_ms: time to resize and pad the picture.
        encode_ms: time the engine ran.
    """

    tensors: Mapping[str, AnyArray]
    fit: Fit
    bundle: str
    backend: str
    fit_ms: float = 0.0
    encode_ms: float = 0.0

    @property
    def image_hw(self) -> tuple[int, int]:
        """Height and width of the picture, px."""
        return self.fit.image_hw

    @property
    def encoder_side(self) -> int:
        """Side of the encoder's square input, px."""
        return self.fit.side


TrackState = Literal["tracked", "lost", "re-acquired"]


@dataclass(frozen=True)
class TrackStatus:
    """How it stands with one object that is followed.

    Attributes:
        track_id: its name, never used again in a run.
        state: "re-acquired" in the first frame in which it is seen again after it was lost; "lost":
            its mask is empty.
        unseen_ms: since the frame in which it was last seen, or first asked for if never; 0 if it
            is seen in this one.
        last_box_xyxy: where it was last seen, px of this picture; None if never.
    """

    track_id: int
    state: TrackState
    unseen_ms: float
    last_box_xyxy: tuple[float, float, float, float] | None


@dataclass(frozen=True, eq=False)
class MaskSet:
    """K masks of one picture. Low-resolution logits are kept; the rest is made when asked for.

    Attributes:
        low_res_logits: (K, h, w) float32, unbounded, over the encoder square or the part of it
            that the picture covers.
        predicted_iou: (K,) float32, the model's own estimate of each mask's quality.
        fit: the way back to the picture.
        mask_threshold: the cut, in logits.
        point_coords: (K, 2) float32 px: the point each mask was asked with (a box's centre);
            empty (0, 2) where unknown.
        stability_offset: in everything mode, see `stability_score`; else 0.
        completeness: in everything mode with a deadline, share of the prompts that were answered in
            time; 1 if nothing was left.
        tracks: in track mode, how it stands with the object of each mask; else empty.
        object_ids: names of the objects, one per mask, where they are not simply 1, 2, 3, …
    """

    low_res_logits: F32
    predicted_iou: F32
    fit: Fit
    mask_threshold: float = 0.0
    point_coords: F32 = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    stability_offset: float = 0.0
    completeness: float = 1.0
    tracks: tuple[TrackStatus, ...] = field(default=(), kw_only=True)
    object_ids: tuple[int, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        """Check that all K agree."""
        k = len(self.low_res_logits)
        if self.low_res_logits.ndim != 3 or self.predicted_iou.shape != (k,):
            raise ShapeError(
                f"MaskSet: expected (K, h, w) logits and (K,) predicted_iou, got "
                f"{self.low_res_logits.shape} and {self.predicted_iou.shape}."
            )

    def __len__(self) -> int:
        """K."""
        return len(self.low_res_logits)

    def __getitem__(self, index: int | slice | AnyArray) -> MaskSet:
        """Some of the masks, always as a MaskSet; index by int, slice, bool or int array."""
        pick = np.arange(len(self))[index].reshape(-1)
        return MaskSet(
            self.low_res_logits[pick],
            self.predicted_iou[pick],
            self.fit,
            self.mask_threshold,
            self.point_coords[pick] if len(self.point_coords) else self.point_coords,
            self.stability_offset,
            self.completeness,
            tracks=tuple(self.tracks[i] for i in pick) if self.tracks else (),
            object_ids=tuple(self.object_ids[i] for i in pick) if self.object_ids else (),
        )

    @property
    def image_hw(self) -> tuple[int, int]:
        """Height and width of the picture, px."""
        return self.fit.image_hw

    def each_mask(self) -> Iterator[Bool]:
        """One (H, W) mask after another; holds one at a time."""
        for logits in self.low_res_logits:
            yield mask_ops.to_image(logits, self.fit, self.mask_threshold)

    @cached_property
    def masks(self) -> Bool:
        """(K, H, W) bool at the picture's size; K * H * W bytes, so ask for few at a time."""
        out = np.empty((len(self), *self.image_hw), np.bool_)
        for i, mask in enumerate(self.each_mask()):
            out[i] = mask
        return out

    @cached_property
    def runs(self) -> tuple[I64, ...]:
        """Run lengths of every mask, column by column, zeros first; made once, then kept."""
        kept: Sequence[Bool] | None = self.__dict__.get("masks")
        return tuple(rle_ops.run_lengths(m) for m in (self.each_mask() if kept is None else kept))

    @cached_property
    def areas(self) -> I64:
        """(K,) pixels in each mask."""
        return np.array([runs[1::2].sum() for runs in self.runs], np.int64)

    @cached_property
    def boxes_xyxy(self) -> F32:
        """(K, 4) left, top, right, bottom in px, right and bottom exclusive; zeros if empty."""
        boxes = [rle_ops.runs_to_box(runs, self.image_hw) for runs in self.runs]
        return np.array(boxes, np.float32).reshape(-1, 4)

    @cached_property
    def stability_score(self) -> F32:
        """(K,) in [0, 1]: how little each mask changes when its cut moves by `stability_offset`.

        In everything mode; else empty, (0,). Counted in pixels when it is asked for.
        """
        if not self.stability_offset:
            return np.zeros(0, np.float32)
        upscaled = Upscaled(self.low_res_logits, self.fit)
        return upscaled.stability_scores(self.mask_threshold, self.stability_offset)

    def rle(self) -> list[dict[str, object]]:
        """COCO's compressed form of every mask: {"size": [H, W], "counts": "..."}."""
        h, w = self.image_hw
        return [{"size": [h, w], "counts": rle_ops.compress(runs)} for runs in self.runs]

    def polygons(self) -> list[list[F32]]:
        """Outlines of every mask: per mask a list of (V, 2) float32 px; holes are left out."""
        return [mask_ops.outlines(mask) for mask in self.each_mask()]


@dataclass(frozen=True)
class Timings:
    """Where one frame's time went, in milliseconds; waits are in no stage but in `age_ms`."""

    capture_ms: float = 0.0
    fit_ms: float = 0.0
    encode_ms: float = 0.0
    decode_ms: float = 0.0
    mask_ms: float = 0.0
    age_ms: float = 0.0


Reuse = Literal["none", "still", "kept"]


@dataclass(frozen=True, eq=False)
class Result:
    """All that is known about one frame.

    Attributes:
        frame: the picture it is about.
        masks: one mask per object, in the order of `object_ids`.
        object_ids: names of the objects, ints from 1; in everything mode by rank, in track mode
            the track ids.
        prompts: what was asked, one per object; empty in everything and in track mode.
        timings: where the time went; `timings.age_ms` is capture to result.
        backend: what ran the engines.
        bundle: name and version of the bundle.
        encoder_side: side of the encoder's input, px.
        ladder_step: 0 is full quality; more is cheaper.
        dropped: frames lost since the last result, by reason.
        ladder_name: what that step does, as the board's file calls it.
        ladder_reason: why it is not 0: "late", "throttled"; "" at 0.
        reuse: "none": this frame was encoded; "still": nothing moved since an earlier one that was;
            "kept": the masks are those of an earlier frame, whether or not something moved.
        embedding_age_ms: how much earlier the picture was taken that was encoded; 0: this one.
    """

    frame: Frame
    masks: MaskSet
    object_ids: tuple[int, ...]
    prompts: tuple[Prompt, ...]
    timings: Timings
    backend: str
    bundle: str
    encoder_side: int
    ladder_step: int = 0
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    ladder_name: str = ""
    ladder_reason: str = ""
    reuse: Reuse = "none"
    embedding_age_ms: float = 0.0

    @property
    def tracks(self) -> tuple[TrackStatus, ...]:
        """In track mode, how it stands with each object; else empty."""
        return self.masks.tracks
