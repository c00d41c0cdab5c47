"""Bounded hand-over between two threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
Policy = Literal["block", "drop_oldest"]


class Closed(Exception):
    """The slot was closed: nothing more can be put, or there is nothing left to get."""


class Slot(Generic[T]):
    """A queue of small capacity with a stated policy for a put that finds it full.

    "block" waits and loses nothing; "drop_oldest" makes room and hands back what it dropped, so
    that the loss can be counted.
    """

    def __init__(
        self,
        capacity: int,
        policy: Policy = "block",
        on_drop: Callable[[int], None] | None = None,
    ) -> None:
        """Make an empty slot.

        Args:
            capacity: most items that wait, at least 1.
            policy: see the class; may be changed before the first put.
            on_drop: told how many items a put dropped, before the put item can be taken.
        """
        if capacity < 1:
            raise ValueError(f"a slot's capacity is at least 1, got {capacity}")
        self.capacity = capacity
        self.policy: Policy = policy
        self._on_drop = on_drop
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        """How many items wait."""
        with self._changed:
            return len(self._items)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        with self._changed:
            return self._closed

    def put(self, item: T) -> list[T]:
        """Add an item; returns the items dropped for it, oldest first.

        Raises:
            Closed: also if it was closed while the put waited; the item was not added.
        """
        dropped: list[T] = []
        with self._changed:
            if self.policy == "block":
                while len(self._items) >= self.capacity and not self._closed:
                    self._changed.wait()
            if self._closed:
                raise Closed
            while len(self._items) >= self.capacity:
                dropped.append(self._items.popleft())
            if dropped and self._on_drop is not None:
                self._on_drop(len(dropped))
            self._items.append(item)
            self._changed.notify_all()
        return dropped

    def get(self, then: Callable[[], None] | None = None) -> T:
        """Take the oldest item, waiting for one.

        Args:
            then: called before anything can be put, and so dropped, behind the item.

        Raises:
            Closed: it was closed and is empty.
        """
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait()
            if not self._items:
                raise Closed
            item = self._items.popleft()
            if then is not None:
                then()
            self._changed.notify_all()
            return item

    def close(self, *, discard: bool = False) -> None:
        """End it: puts fail, gets take what is left (nothing, with `discard`); wakes both sides."""
        with self._changed:
            self._closed = True
            if discard:
                self._items.clear()
            self._changed.notify_all()
