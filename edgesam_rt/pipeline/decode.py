"""The decode thread: embeddings to finished results, handed to all sinks."""

from __future__ import annotations

import contextlib
from contextlib import closing
from dataclasses import replace

from edgesam_rt.clock import elapsed_ms
from edgesam_rt.decoders import AnyDecoder
from edgesam_rt.errors import PromptError
from edgesam_rt.pipeline.ladder import Seen
from edgesam_rt.pipeline.lanes import Lanes
from edgesam_rt.pipeline.stages import Encoded, Shared
from edgesam_rt.pipeline.work import Task, Work
from edgesam_rt.records import MaskSet, Prompt, Result, Timings
from edgesam_rt.slot import Closed, Slot


def decode(shared: Shared, source: Slot[Encoded], task: Task, lanes: Lanes) -> None:
    """Answer the prompts on every embedding and hand the results to all lanes."""
    try:
        with closing(shared.engines.open_decoder()) as decoder, closing(task):
            task.open(shared.engines)
            _warm_up(shared, decoder)
            shared.decoder_open.set()
            while True:
                item = source.get()
                shared.turns.begun()
                shared.hold(item.frame.frame_id)
                result = _answer(shared, decoder, item, task)
                shared.turns.finished()  # after the budget has learnt of it
                _hand_out(shared, result, lanes)
    finally:
        lanes.close()
        shared.finished.set()


def _warm_up(shared: Shared, decoder: AnyDecoder) -> None:
    """Answer something once: a first run takes several times as long."""
    if shared.budget_ms and shared.wait_for(shared.encoder_open) and shared.warm_up is not None:
        h, w = shared.warm_up.image_hw
        _ = decoder.predict(shared.warm_up, [Prompt.point(w / 2, h / 2)]).runs


def _answer(shared: Shared, decoder: AnyDecoder, item: Encoded, task: Task) -> Result:
    """One embedding to a finished result."""
    started_ns = shared.clock.now_ns()
    prompts = task.prompts_for(item.frame)
    per_side = shared.steps[item.step].points_per_side
    work = Work(item.frame, item.embedding, prompts, _deadline_ns(shared, item), per_side)
    try:
        masks = task.answer(decoder, work)
    except PromptError as error:
        raise PromptError(f"frame {item.frame.name}: {error}") from error
    if item.step == 0:
        shared.turns.answered()  # the rest needs no engine
    decoded_ns = shared.clock.now_ns()
    _ = masks.runs  # brings the masks to picture size: a result is complete when it leaves
    kept = item.kept
    timings = Timings(
        capture_ms=item.frame.capture_ms,
        fit_ms=item.embedding.fit_ms if kept is None else 0.0,
        encode_ms=item.embedding.encode_ms if kept is None else 0.0,
        decode_ms=(decoded_ns - started_ns) / 1e6,
        mask_ms=elapsed_ms(decoded_ns, shared.clock),
    )
    result = Result(
        frame=item.frame,
        masks=masks,
        object_ids=_object_ids(masks),
        prompts=prompts,
        timings=timings,
        backend=item.embedding.backend,
        bundle=item.embedding.bundle,
        encoder_side=item.embedding.encoder_side,
        ladder_step=item.step,
        dropped=item.dropped,
        ladder_name=shared.steps[item.step].name,
        ladder_reason=item.reason,
        reuse="none" if kept is None else kept.how,
        embedding_age_ms=0.0 if kept is None else kept.age_ms,
    )
    elastic_ms = timings.decode_ms if task.mode == "everything" else 0.0
    return _aged(shared, result, item, elastic_ms)


def _object_ids(masks: MaskSet) -> tuple[int, ...]:
    """Names of the objects, one per mask."""
    if masks.tracks:
        return tuple(track.track_id for track in masks.tracks)
    return masks.object_ids or tuple(range(1, len(masks) + 1))


def _deadline_ns(shared: Shared, item: Encoded) -> int | None:
    """When the masks of a frame must be there; bringing them to picture size comes after it."""
    if not shared.budget_ms:
        return None
    since_ns = item.frame.captured_at_ns if shared.info.result().live else item.started_ns
    allowed_ms = shared.budget_ms * shared.steps[item.step].stop_at
    return int(since_ns + (allowed_ms - shared.metrics.typical_ms("mask")) * 1e6)


def _aged(shared: Shared, result: Result, item: Encoded, elastic_ms: float) -> Result:
    """The finished result with its age, counted and made known to the budget."""
    now_ns = shared.clock.now_ns()
    age_ms = (now_ns - item.frame.captured_at_ns) / 1e6
    cost_ms = (now_ns - item.started_ns) / 1e6
    # A file's frames are read ahead; their wait for the engines says nothing of the engines.
    budgeted_ms = age_ms if shared.info.result().live else cost_ms
    seen = Seen(budgeted_ms, cost_ms, item.step, item.kept is None, elastic_ms)
    shared.budget.result().learn(seen, now_ns / 1e9)
    result = replace(result, timings=replace(result.timings, age_ms=age_ms))
    shared.metrics.add(result, is_late=0 < shared.budget_ms < budgeted_ms)
    return result


def _hand_out(shared: Shared, result: Result, lanes: Lanes) -> None:
    for lane in lanes:
        with contextlib.suppress(Closed):  # a sink that failed or whose reader has gone
            shared.metrics.sink_drop(lane.name, len(lane.slot.put(result)))
    if shared.on_result is not None:
        shared.on_result(result)
