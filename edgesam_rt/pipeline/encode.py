"""The encode thread: which frames are worth it, at which step, and which need no encoding."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

from edgesam_rt.boards.ladder import in_play
from edgesam_rt.pipeline.encoders import Encoders
from edgesam_rt.pipeline.reuse import Keeper
from edgesam_rt.pipeline.stages import Encoded, Shared
from edgesam_rt.pipeline.work import Task
from edgesam_rt.records import Frame
from edgesam_rt.slot import Slot


def encode(shared: Shared, source: Slot[Frame], out: Slot[Encoded], task: Task) -> None:
    """Encode the frames that can still make it, at the step the budget allows.

    Args:
        shared: of the run.
        source: of frames.
        out: for embeddings.
        task: whose mode says which steps make a difference.
    """
    lost: Counter[str] = Counter()  # before the frame in hand, and since the last result

    def count_lost() -> None:
        lost.update(shared.metrics.take_dropped())

    try:
        with closing(Encoders(shared.engines)) as encoders:
            sides = shared.engines.sides if shared.budget_ms else shared.engines.sides[:1]
            shared.warm_up = encoders.open(sides, warm_up=shared.budget_ms > 0)
            shared.encoder_open.set()
            bench = _Bench(shared, encoders, task)
            while True:
                bench.wait_for_turn()
                frame = source.get(then=count_lost)
                shared.hold(frame.frame_id)
                made = bench.make(frame, lost)
                if made is not None:
                    shared.turns.given()
                    out.put(made)
                    lost.clear()
    finally:
        out.close()


class _Bench:
    """What the encode thread works with."""

    def __init__(self, shared: Shared, encoders: Encoders, task: Task) -> None:
        self._shared, self._encoders, self._task = shared, encoders, task
        self._steps = shared.steps
        self._keeper = Keeper()
        self._mode = ""

    def wait_for_turn(self) -> None:
        """Below full quality, or on one accelerator: let the decoder go first.

        Else a live source's frame is taken only when the decoder will be ready for it.
        """
        shared = self._shared
        budget = shared.budget.result() if shared.budget.done() else None
        if shared.engines.shares_accelerator or (budget is not None and budget.step > 0):
            shared.turns.wait_for_answer()
        elif budget is not None and budget.may_drop:
            typical = shared.metrics.typical_ms
            decode_ms, encode_ms = typical("decode") + typical("mask"), typical("encode")
            shared.turns.wait_for_need(decode_ms, encode_ms)

    def make(self, frame: Frame, lost: Counter[str]) -> Encoded | None:
        """What the decoder is to answer about a frame; None if it was dropped."""
        shared = self._shared
        budget, now_ns = shared.budget.result(), shared.clock.now_ns()
        self._follow_mode()
        index, reason = budget.at
        step = self._steps[index]
        kept = self._keeper.find(frame, step, self._mode)
        if kept is None and budget.may_drop and self._keeper.is_between(step):
            shared.metrics.drop("left out")
            return None
        waited_ms = (now_ns - frame.captured_at_ns) / 1e6
        if budget.is_late(waited_ms, index, now_ns / 1e9, is_fresh=kept is None):
            shared.metrics.drop("late")
            return None
        if kept is None:
            embedding = self._encoders[step.encoder_side].encode(frame.pixels)
            self._keeper.keep(frame, embedding, step)
        else:
            embedding = kept.embedding
        shared.metrics.time("wait", waited_ms)
        return Encoded(frame, embedding, index, reason, now_ns, dict(lost), kept)

    def _follow_mode(self) -> None:
        """Use the steps that make a difference in the present mode."""
        if self._task.mode != self._mode:
            self._mode = self._task.mode
            self._shared.budget.result().use(in_play(self._steps, self._mode))
