"""Encode and decode one after the other, where side by side would gain nothing."""

from __future__ import annotations

import threading

POLL_S = 0.05  # how often a waiting encoder looks for a stop


class Turns:
    """The encoder waits until the decoder has answered what it was given.

    On one accelerator, or on too few cores, encoding the next frame only makes the last one late.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._answered = threading.Event()
        self._answered.set()

    def wait(self) -> None:
        """Wait for the decoder; ends with the run, too."""
        while not self._answered.wait(POLL_S) and not self._stop.is_set():
            pass

    def given(self) -> None:
        """The decoder is given an embedding."""
        self._answered.clear()

    def answered(self) -> None:
        """It has asked its engine all there is to ask about it."""
        self._answered.set()
