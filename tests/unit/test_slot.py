"""A slot is never over its capacity, and accounts for every item."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesam_rt.slot import Closed, Policy, Slot

POLICIES = st.sampled_from(("block", "drop_oldest"))
SOON_S = 5.0


def drain(slot: Slot[int]) -> list[int]:
    """Take everything until the slot is closed and empty."""
    taken = []
    while True:
        try:
            taken.append(slot.get())
        except Closed:
            return taken


@given(st.integers(1, 4), st.lists(st.booleans(), max_size=40))
def test_drop_oldest_hands_back_exactly_what_is_lost(capacity: int, puts: list[bool]) -> None:
    slot: Slot[int] = Slot(capacity, "drop_oldest")
    waiting: list[int] = []
    for number, is_put in enumerate(puts):
        if is_put:
            expected = [waiting.pop(0)] if len(waiting) == capacity else []
            assert slot.put(number) == expected
            waiting.append(number)
        elif waiting:
            assert slot.get() == waiting.pop(0)
        assert len(slot) == len(waiting) <= capacity
    slot.close()
    assert drain(slot) == waiting


@settings(max_examples=25, deadline=None)
@given(
    capacity=st.integers(1, 3),
    policy=POLICIES,
    items=st.integers(0, 60),
    producers=st.integers(1, 3),
    pause_every=st.integers(1, 20),
)
def test_between_threads_every_item_is_taken_or_handed_back(
    capacity: int, policy: Policy, items: int, producers: int, pause_every: int
) -> None:
    slot: Slot[int] = Slot(capacity, policy)
    dropped: list[list[int]] = [[] for _ in range(producers)]

    def produce(who: int) -> None:
        for i in range(items):
            dropped[who] += slot.put(who * items + i)

    threads = [threading.Thread(target=produce, args=(who,)) for who in range(producers)]
    for thread in threads:
        thread.start()

    def close_after_all() -> None:
        for thread in threads:
            thread.join()
        slot.close()

    closer = threading.Thread(target=close_after_all)
    closer.start()
    taken = []
    while True:
        assert len(slot) <= capacity
        try:
            taken.append(slot.get())
        except Closed:
            break
        if len(taken) % pause_every == 0:
            time.sleep(0.0005)
    closer.join(SOON_S)
    lost = [item for part in dropped for item in part]
    assert sorted(taken + lost) == list(range(items * producers))
    assert policy == "drop_oldest" or not lost
    for who in range(producers):
        mine = [item for item in taken if item // max(items, 1) == who]
        assert mine == sorted(mine)


@pytest.mark.parametrize("discard", [False, True])
def test_close_wakes_a_put_that_waits_and_its_item_is_not_added(discard: bool) -> None:
    slot: Slot[int] = Slot(1)
    slot.put(1)
    outcome: list[str] = []

    def put() -> None:
        try:
            slot.put(2)
        except Closed:
            outcome.append("closed")

    thread = threading.Thread(target=put)
    thread.start()
    time.sleep(0.02)
    slot.close(discard=discard)
    thread.join(SOON_S)
    assert outcome == ["closed"]
    assert drain(slot) == ([] if discard else [1])


def test_close_wakes_all_gets_that_wait() -> None:
    slot: Slot[int] = Slot(1)
    woken: list[list[int]] = []
    threads = [threading.Thread(target=lambda: woken.append(drain(slot))) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.02)
    slot.close()
    for thread in threads:
        thread.join(SOON_S)
    assert woken == [[], [], []]


@pytest.mark.parametrize("policy", ["block", "drop_oldest"])
def test_a_closed_slot_takes_nothing_and_a_second_close_is_quiet(policy: Policy) -> None:
    slot: Slot[int] = Slot(1, policy)
    slot.close()
    slot.close(discard=True)
    with pytest.raises(Closed):
        slot.put(1)
    with pytest.raises(Closed):
        slot.get()


def test_a_capacity_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Slot(0)
