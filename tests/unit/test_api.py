from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import edgesam_rt as es
from edgesam_rt.bundle import Bundle
from edgesam_rt.cameras.open import open_camera
from edgesam_rt.cameras.spec import parse_source
from edgesam_rt.cameras.synthetic import SyntheticCamera
from edgesam_rt.errors import BackendError, CameraError, ConfigError, PromptError
from edgesam_rt.records import Prompt, Result
from edgesam_rt.types import U8

PHOTOS = Path(__file__).resolve().parents[2] / "demo" / "photos"
SOURCE = "synthetic:?frames=6&size=160x120"
POINT = Prompt.point(80, 60)
PATIENCE_S = 10.0


def others() -> set[str]:
    """Threads that are not this one."""
    return {t.name for t in threading.enumerate() if t is not threading.current_thread()}


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    """All threads that a test starts have ended soon after it."""
    before = others()
    yield
    deadline = time.monotonic() + PATIENCE_S
    while (left := others() - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left == set()


# The contract's example


def test_the_example_of_the_design_works() -> None:
    with es.open(board="auto") as seg:
        image = es.read_image(PHOTOS / "chelsea.jpg")
        embedding = seg.encode(image)
        result = seg.predict(embedding, es.Prompt.point(220, 150))
        many = seg.predict(embedding, [es.Prompt.box(10, 20, 200, 220), es.Prompt.point(220, 150)])
        everything = seg.everything(image, strategy="grid", points_per_side=8)
        streamed = [r.masks for r in seg.stream(SOURCE, prompts=[POINT], budget_ms=100)]
    assert [len(result), len(many), len(streamed)] == [1, 2, 6]
    assert result.masks.shape == (1, *image.shape[:2])
    assert everything.image_hw == image.shape[:2]


def test_a_segmenter_says_what_it_is(default_bundle: Bundle, segmenter: es.Segmenter) -> None:
    assert segmenter.bundle == default_bundle.label
    assert segmenter.board == "cpu"
    assert segmenter.backend == "onnxruntime"
    assert segmenter.encoder_side == default_bundle.sides("onnxruntime")[0]


def test_a_board_starts_at_the_first_step_of_its_ladder(default_bundle: Bundle) -> None:
    with es.open(board="rpi4", self_test=False) as opened:
        assert opened.board == "rpi4"
        assert opened.encoder_side == default_bundle.sides("onnxruntime")[-1]


def test_a_bundle_may_be_named_by_folder(default_bundle: Bundle) -> None:
    with es.open(default_bundle.folder, board="cpu", self_test=False) as opened:
        assert opened.bundle == default_bundle.label


@pytest.mark.parametrize(
    "options",
    [
        {"board": "rpi9"},
        {"bundle": "no-such"},
        {"backend": "tensorflow"},
        {"encoder_side": 100},
        {"threads": 0},
    ],
    ids=str,
)
def test_what_cannot_be_opened_is_a_configuration_error(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        es.open(**options)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2


# Closing


@pytest.fixture
def closed() -> es.Segmenter:
    with es.open(board="cpu", threads=1, self_test=False) as opened:
        return opened


@pytest.mark.parametrize(
    "use",
    [
        lambda s, e: s.encode(np.zeros((9, 9, 3), np.uint8)),
        lambda s, e: s.predict(e, POINT),
        lambda s, e: s.predict(e, []),
        lambda s, e: s.everything(e),
        lambda s, e: list(s.stream(SOURCE, prompts=[POINT])),
    ],
    ids=["encode", "predict", "predict nothing", "everything", "stream"],
)
def test_a_closed_segmenter_says_so(
    closed: es.Segmenter,
    car_embedding: es.Embedding,
    use: Callable[[es.Segmenter, es.Embedding], object],
) -> None:
    with pytest.raises(BackendError, match=r"closed; open another one"):
        use(closed, car_embedding)


def test_a_second_close_is_quiet(closed: es.Segmenter) -> None:
    closed.close()
    closed.close()


def test_a_closed_one_still_says_what_it_was(closed: es.Segmenter) -> None:
    assert closed.bundle
    assert closed.encoder_side


def test_answers_outlive_the_segmenter(car: U8) -> None:
    with es.open(board="cpu", threads=1, self_test=False) as opened:
        found = opened.predict(opened.encode(car), Prompt.point(345, 60))
    assert found.masks.any()


def test_an_error_in_the_block_closes_and_comes_out_as_it_is() -> None:
    kept = []
    with (
        pytest.raises(ZeroDivisionError),
        es.open(board="cpu", threads=1, self_test=False) as opened,
    ):
        kept.append(opened)
        _ = 1 / 0
    with pytest.raises(BackendError):
        kept[0].encode(np.zeros((9, 9, 3), np.uint8))


# Streams


@pytest.mark.usefixtures("no_threads_left")
def test_a_stream_gives_a_result_for_every_frame_in_order(small_segmenter: es.Segmenter) -> None:
    results = list(small_segmenter.stream(SOURCE, prompts=[POINT]))
    assert [r.frame.frame_id for r in results] == list(range(6))


@pytest.mark.usefixtures("no_threads_left")
def test_a_stream_answers_as_predict_does(small_segmenter: es.Segmenter) -> None:
    for result in small_segmenter.stream(SOURCE, prompts=[POINT, Prompt.box(20, 20, 90, 90)]):
        embedding = small_segmenter.encode(result.frame.pixels)
        alone = small_segmenter.predict(embedding, list(result.prompts))
        for i, one in enumerate(alone):
            assert (one.masks[0] != result.masks.masks[i]).mean() < 1e-3


@pytest.mark.usefixtures("no_threads_left")
def test_a_stream_finds_the_shapes_that_move_through_it(small_segmenter: es.Segmenter) -> None:
    camera = open_camera(parse_source("synthetic:?frames=1"))
    assert isinstance(camera, SyntheticCamera)
    truths = camera.truth(0)
    camera.close()
    prompts = [Prompt.point(*truth.point_xy) for truth in truths]
    (result,) = small_segmenter.stream("synthetic:?frames=1", prompts=prompts)
    ious = [
        (mask & truth.mask).sum() / (mask | truth.mask).sum()
        for mask, truth in zip(result.masks.each_mask(), truths, strict=True)
    ]
    assert sum(iou > 0.8 for iou in ious) >= len(truths) - 1


@pytest.mark.usefixtures("no_threads_left")
def test_a_result_says_where_it_comes_from(
    small_segmenter: es.Segmenter, default_bundle: Bundle
) -> None:
    (result,) = small_segmenter.stream(SOURCE, prompts=[POINT], max_frames=1)
    assert result.bundle == default_bundle.label
    assert result.backend == "onnxruntime"
    assert result.encoder_side == small_segmenter.encoder_side
    assert result.ladder_step == 0
    assert result.object_ids == (1,)
    assert [p.point_coords.tolist() for p in result.prompts] == [[[80, 60]]]
    timings = result.timings
    stages = timings.fit_ms + timings.encode_ms + timings.decode_ms + timings.mask_ms
    assert 0 < stages <= timings.age_ms


@pytest.mark.usefixtures("no_threads_left")
def test_without_prompts_a_stream_finds_everything(small_segmenter: es.Segmenter) -> None:
    (result,) = small_segmenter.stream(SOURCE, max_frames=1)
    assert result.prompts == ()
    assert result.object_ids == tuple(range(1, len(result.masks) + 1))


@pytest.mark.usefixtures("no_threads_left")
@pytest.mark.parametrize("max_frames", [0, 1, 4, 99])
def test_a_stream_ends_after_as_many_frames_as_were_asked_for(
    small_segmenter: es.Segmenter, max_frames: int
) -> None:
    stream = small_segmenter.stream(SOURCE, prompts=[POINT], max_frames=max_frames)
    assert len(list(stream)) == min(max_frames, 6)


@pytest.mark.usefixtures("no_threads_left")
def test_leaving_the_loop_early_ends_all_threads(small_segmenter: es.Segmenter) -> None:
    for result in small_segmenter.stream("synthetic:?frames=100000", prompts=[POINT]):
        if result.frame.frame_id == 2:
            break


@pytest.mark.usefixtures("no_threads_left")
def test_leaving_the_loop_of_a_live_source_early_ends_all_threads(
    small_segmenter: es.Segmenter,
) -> None:
    for _ in small_segmenter.stream("synthetic:?live=1&fps=200", prompts=[POINT]):
        break


@pytest.mark.usefixtures("no_threads_left")
def test_an_error_in_the_loop_comes_out_as_it_is_and_ends_all_threads(
    small_segmenter: es.Segmenter,
) -> None:
    with pytest.raises(ZeroDivisionError):
        for _ in small_segmenter.stream("synthetic:?frames=100000", prompts=[POINT]):
            _ = 1 / 0


def test_a_stream_that_nobody_reads_starts_nothing(small_segmenter: es.Segmenter) -> None:
    before = others()
    small_segmenter.stream("synthetic:?frames=5", prompts=[POINT])
    assert others() == before


@pytest.mark.usefixtures("no_threads_left")
def test_two_streams_can_be_read_in_turn(small_segmenter: es.Segmenter) -> None:
    streams = [small_segmenter.stream(SOURCE, prompts=[POINT]) for _ in range(2)]
    ids = [[r.frame.frame_id for r in pair] for pair in zip(*streams, strict=True)]
    assert ids == [[i, i] for i in range(6)]


@pytest.mark.usefixtures("no_threads_left")
def test_a_segmenter_answers_while_its_stream_runs(small_segmenter: es.Segmenter, car: U8) -> None:
    for _ in small_segmenter.stream(SOURCE, prompts=[POINT]):
        assert len(small_segmenter.predict(small_segmenter.encode(car), POINT)) == 1


@pytest.fixture
def folder_with_a_broken_picture(tmp_path: Path, car: U8) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(4):
        cv2.imwrite(str(folder / f"{i}.jpg"), car[:120, : 160 + i])
    (folder / "2.jpg").write_bytes((folder / "2.jpg").read_bytes()[:300])
    return folder


@pytest.mark.usefixtures("no_threads_left")
def test_an_error_of_the_source_comes_out_once(
    small_segmenter: es.Segmenter, folder_with_a_broken_picture: Path
) -> None:
    stream = small_segmenter.stream(
        f"images:{folder_with_a_broken_picture}?on_error=stop", prompts=[POINT]
    )
    results: list[Result] = []
    with pytest.raises(CameraError, match=r"2\.jpg"):
        results.extend(stream)
    assert list(stream) == []


@pytest.mark.usefixtures("no_threads_left")
def test_what_was_read_before_an_error_of_the_source_is_still_given(
    small_segmenter: es.Segmenter, folder_with_a_broken_picture: Path
) -> None:
    seen = []
    with pytest.raises(CameraError):
        for result in small_segmenter.stream(
            f"images:{folder_with_a_broken_picture}?on_error=stop", prompts=[POINT]
        ):
            seen.append(result.frame.name)
    assert seen == ["0", "1"]


@pytest.mark.usefixtures("no_threads_left")
def test_an_unreadable_picture_among_many_is_passed_over_and_counted(
    small_segmenter: es.Segmenter, folder_with_a_broken_picture: Path
) -> None:
    results = list(small_segmenter.stream(str(folder_with_a_broken_picture), prompts=[POINT]))
    assert [r.frame.name for r in results] == ["0", "1", "3"]
    assert sum(sum(r.dropped.values()) for r in results) == 1


@pytest.mark.usefixtures("no_threads_left")
def test_a_prompt_outside_the_frames_comes_out_once(small_segmenter: es.Segmenter) -> None:
    stream = small_segmenter.stream(SOURCE, prompts=[Prompt.point(1000, 5)])
    with pytest.raises(PromptError, match=r"1000,5 lies outside the 160x120"):
        list(stream)
    assert list(stream) == []


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("no-such.mp4", {}),
        ("synthetic:?frames=no", {}),
        (SOURCE, {"mode": "magic"}),
        (SOURCE, {"mode": "prompt"}),
    ],
)
def test_what_is_wrong_with_a_stream_is_said_when_it_is_asked_for(
    small_segmenter: es.Segmenter, source: str, options: dict[str, str]
) -> None:
    with pytest.raises(ConfigError):
        small_segmenter.stream(source, **options)  # type: ignore[arg-type]
