"""Which step of quality to run at, so that results keep their budget. No clock, no threads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LadderRules:
    """How the controller moves.

    Attributes:
        up_margin: share of the budget that results must stay under before quality rises.
        hold_s: how long they must.
        regret_s: a rise that is taken back within this time, or within the hold if that is longer,
            doubles the hold; a fall after more than that sets it back.
        longest_hold_s: limit of the hold.
    """

    up_margin: float = 0.7
    hold_s: float = 2.0
    regret_s: float = 10.0
    longest_hold_s: float = 60.0


class Ladder:
    """Down at once when a result is late, up slowly, never flapping.

    A step that was left soon after it was reached is tried again only after twice the time.
    """

    def __init__(self, steps: int, budget_ms: float, rules: LadderRules | None = None) -> None:
        self.step = 0
        self._last = steps - 1
        self._budget_ms = budget_ms
        self._rules = rules or LadderRules()
        self._hold_s = self._rules.hold_s
        self._calm_since_s: float | None = None
        self._rose_at_s: float | None = None

    def observe(self, age_ms: float, step: int, now_s: float) -> int:
        """Take note of a result and return the step to run at.

        Args:
            age_ms: capture to result.
            step: it was made at; results made before the last change say nothing.
            now_s: any monotonic time.
        """
        if self._budget_ms <= 0 or step != self.step:
            return self.step
        if age_ms > self._budget_ms:
            self._fall(now_s)
        elif age_ms > self._budget_ms * self._rules.up_margin:
            self._calm_since_s = None
        elif self._calm_since_s is None:
            self._calm_since_s = now_s
        elif now_s - self._calm_since_s >= self._hold_s and self.step > 0:
            self.step -= 1
            self._rose_at_s, self._calm_since_s = now_s, None
        return self.step

    def _fall(self, now_s: float) -> None:
        self._calm_since_s = None
        if self.step >= self._last:
            return
        self.step += 1
        rose_at_s, self._rose_at_s = self._rose_at_s, None
        if rose_at_s is None:
            return
        rules = self._rules
        if now_s - rose_at_s < max(rules.regret_s, self._hold_s):
            self._hold_s = min(self._hold_s * 2, rules.longest_hold_s)
        else:
            self._hold_s = rules.hold_s
