"""How often each client may ask: token buckets, a bounded number of them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from edgesam_rt.clock import CLOCK, Clock

CLIENTS_REMEMBERED = 1024


@dataclass(frozen=True)
class Rate:
    """So many per second, and so many at once after a pause."""

    per_s: float
    burst: float


class Buckets:
    """One bucket per client; those not heard of for longest are forgotten.

    Args:
        rate: of every client.
        clock: for tests.
    """

    def __init__(self, rate: Rate, *, clock: Clock = CLOCK) -> None:
        self._rate, self._clock = rate, clock
        self._left: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, client: str, cost: float = 1) -> bool:
        """Whether this client may ask once more now, for something of this cost."""
        now_ns = self._clock.now_ns()
        left, at_ns = self._left.pop(client, (self._rate.burst, now_ns))
        left = min(self._rate.burst, left + (now_ns - at_ns) / 1e9 * self._rate.per_s)
        may = left >= cost
        self._left[client] = (left - cost if may else left, now_ns)
        while len(self._left) > CLIENTS_REMEMBERED:
            self._left.popitem(last=False)
        return may
