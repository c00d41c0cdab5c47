"""When the encoder may begin the next frame, as far as the decoder is concerned."""

from __future__ import annotations

import threading

from edgesam_rt.clock import Clock, elapsed_ms

POLL_S = 0.05  # how often a waiting encoder looks for a stop


class Turns:
    """How far the decoder is with the embeddings it was given, and waiting for it.

    `wait_for_answer` is for one accelerator, or too few cores: encoding the next frame at the same
    time only makes the last one late. `wait_for_need` is for live sources whose decoder is the
    slower of the two: an embedding made early only ages before it is asked, and meanwhile a newer
    frame comes.
    """

    def __init__(self, stop: threading.Event, clock: Clock) -> None:
        self._stop = stop
        self._clock = clock
        self._changed = threading.Condition()
        self._given = self._begun = self._answered = self._finished = 0  # embeddings, so far
        self._begun_ns = 0

    def given(self) -> None:
        """The decoder is given an embedding."""
        with self._changed:
            self._given += 1

    def begun(self) -> None:
        """It has taken the next one."""
        with self._changed:
            self._begun += 1
            self._begun_ns = self._clock.now_ns()
            self._changed.notify_all()

    def answered(self) -> None:
        """It has asked its engine all there is to ask about what it took last."""
        with self._changed:
            self._answered = self._begun
            self._changed.notify_all()

    def finished(self) -> None:
        """It has made the result of what it took last."""
        with self._changed:
            self._answered = self._finished = self._begun
            self._changed.notify_all()

    def wait_for_answer(self) -> None:
        """Wait until all that was given is answered; ends with the run, too."""
        with self._changed:
            while self._answered < self._given and not self._stop.is_set():
                self._changed.wait(POLL_S)

    def wait_for_need(self, decode_ms: float, encode_ms: float) -> None:
        """Wait until what is encoded now will be taken as soon as it is there.

        Args:
            decode_ms: what the decoder usually takes for one.
            encode_ms: what the encoder will take.
        """
        with self._changed:
            while self._finished < self._given and not self._stop.is_set():
                left_s = POLL_S
                if self._begun == self._given:
                    spent_ms = elapsed_ms(self._begun_ns, self._clock)
                    left_s = (decode_ms - encode_ms - spent_ms) / 1e3
                if left_s <= 0:
                    return
                self._changed.wait(min(POLL_S, left_s))
