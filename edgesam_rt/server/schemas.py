"""Bodies of requests and answers: what the server reads with, and what its description is made of.

What stands here is checked: tests hold every answer against the description.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from edgesam_rt.service.control import Mode, Strategy

MOST_POINTS = 64  # in one body; a decoder takes fewer, and says so

Px = Annotated[float, Meta(description="Pixels of the picture.", ge=-1e6, le=1e6)]
Id = Annotated[int, Meta(ge=1)]
State = Literal["tracked", "lost", "re-acquired"]
CameraState = Literal["connecting", "live", "lost", "stuck", "closed"]
Point = Annotated[tuple[float, ...], Meta(min_length=2, max_length=3)]
Box = tuple[float, float, float, float]


class ObjectRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """An object to cut out or to follow: points, a box, or both; in pixels of the picture."""

    points: Annotated[
        tuple[Point, ...],
        Meta(max_length=MOST_POINTS, description="[x, y] on it; [x, y, 0] not on it."),
    ] = ()
    box: Annotated[Box | None, Meta(description="[x0, y0, x1, y1].")] = None


class ModeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A mode; of everything mode also its strategy."""

    mode: Mode
    strategy: Strategy | None = None


class SessionRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The token, to be kept as a cookie."""

    token: Annotated[str, Meta(max_length=512)]


class ModeAnswer(Struct, frozen=True):
    """The present mode; strategy is of everything mode."""

    mode: Mode
    strategy: Strategy | None


class SessionAnswer(Struct, frozen=True):
    """Whether a token is needed at all."""

    needs_token: bool


class ObjectAnswer(Struct, frozen=True):
    """An object that is asked for, and how it stands in the newest result.

    `state` is null before it was looked for, in everything mode, and where it lies outside the
    picture; in prompt mode it is "tracked" when there is a mask.
    """

    id: Id
    points: tuple[tuple[float, ...], ...]
    box: Box | None
    state: State | None
    box_xyxy: Annotated[Box | None, Meta(description="Of its mask; null if that is empty.")]
    predicted_iou: float | None
    area: int | None


class ObjectsAnswer(Struct, frozen=True):
    """The objects that are asked for; `frame_id` is of the result that `state` is about."""

    mode: Mode
    frame_id: int | None
    objects: tuple[ObjectAnswer, ...]


class Rle(Struct, frozen=True):
    """A mask in COCO's compressed form."""

    size: tuple[int, int]
    counts: str


class PromptRow(Struct, frozen=True):
    """What was asked."""

    point_coords: tuple[tuple[float, float], ...] | UnsetType = UNSET
    point_labels: tuple[int, ...] | UnsetType = UNSET
    box_xyxy: Box | UnsetType = UNSET
    mask_input: bool | UnsetType = UNSET


class ObjectRow(Struct, frozen=True):
    """One object of a result."""

    id: Id
    predicted_iou: float | None
    box_xyxy: tuple[int, int, int, int]
    area: int
    stability_score: float | UnsetType | None = UNSET
    track_id: int | UnsetType = UNSET
    state: State | UnsetType = UNSET
    unseen_ms: float | UnsetType | None = UNSET
    last_box_xyxy: tuple[float | None, ...] | UnsetType | None = UNSET
    prompt: PromptRow | UnsetType = UNSET
    rle: Rle | UnsetType = UNSET


class ResultRow(Struct, frozen=True):
    """A result, as docs/results.md has it."""

    schema: int
    frame_id: int
    name: str
    captured_at_ns: int
    image_hw: tuple[int, int]
    timings: dict[str, float | None]
    age_ms: float | None
    ladder_step: int
    ladder_name: str
    ladder_reason: str
    reuse: str
    embedding_age_ms: float | None
    backend: str
    bundle: str
    encoder_side: int
    dropped: dict[str, int]
    objects: tuple[ObjectRow, ...] | UnsetType = UNSET
    completeness: float | UnsetType | None = UNSET


class CameraAnswer(Struct, frozen=True):
    """How the camera is; docs/cameras.md."""

    state: CameraState
    reconnects: int
    breaks: dict[str, int]
    last_error: str
    frame_age_s: float | None


class HealthAnswer(Struct, frozen=True):
    """Whether all is well, and if not, why."""

    status: Literal["ok", "failing"]
    reasons: tuple[str, ...]
    camera: CameraAnswer
    result_age_s: Annotated[float | None, Meta(description="Since the newest result was made.")]
    ladder_step: int | None


class Times(Struct, frozen=True):
    """Of a stage, in milliseconds."""

    n: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


class PointAnswer(Struct, frozen=True):
    """A result in the charts; `at_s` counts from the answer back, so it is 0 or less."""

    at_s: float
    age_ms: float
    ladder_step: int


class StepAnswer(Struct, frozen=True):
    """A step of the ladder, and when it was reached."""

    at_s: float
    ladder_step: int


class StatusAnswer(Struct, frozen=True):
    """How the run goes."""

    build: dict[str, str]
    mode: Mode
    strategy: Strategy | None
    camera: CameraAnswer
    image_hw: tuple[int, int] | None
    fps: Annotated[float, Meta(description="Results per second of the last seconds.")]
    frames: int
    results: int
    late: int
    dropped: dict[str, int]
    sinks_lost: dict[str, int]
    ladder_step: int | None
    budget_ms: float
    degraded: Annotated[dict[str, int], Meta(description='By "step: reason".')]
    reused: Annotated[dict[str, int], Meta(description="Made of an earlier embedding, by how.")]
    temperatures_c: dict[str, float]
    held_back_by: tuple[str, ...]
    stages: dict[str, Times]
    recent: tuple[PointAnswer, ...]
    steps: tuple[StepAnswer, ...]
