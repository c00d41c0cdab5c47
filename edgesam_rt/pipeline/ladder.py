"""Which step of quality to run at, so that results keep their budget. No clock, no threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgesam_rt.boards import LadderStep

_ROUNDING_S = 1e-6  # of sums of times


@dataclass(frozen=True)
class LadderRules:
    """How the controller moves.

    Attributes:
        up_margin: share of the budget under which results one step up must be expected to stay.
        setback: how many times its own share of that time a result takes back that would not; so
            one slow frame does not start the time anew, and one in six does not let it pass.
        hold_s: for how long, before the first rise after a fall.
        climb_s: for how long before the next rise, while rises go well.
        regret_s: a rise that is taken back within this time doubles the hold; a fall later than
            that, or after a rise that was not taken back, sets it back.
        back_s: limit of the hold and of the rises after it, together: so long after the end of a
            load full quality may stay away.
    """

    up_margin: float = 0.8
    setback: float = 5.0
    hold_s: float = 2.0
    climb_s: float = 0.5
    regret_s: float = 2.0
    back_s: float = 4.0


@dataclass(frozen=True)
class Seen:
    """A result, as far as the ladder cares.

    Attributes:
        age_ms: capture to result.
        cost_ms: of that, from the encoder's start on.
        step: it was made at.
        is_fresh: it was encoded; what is made of an earlier embedding tells nothing of the cost.
        elastic_ms: of the cost, what would be cut if time were short: everything mode stops asking.
    """

    age_ms: float
    cost_ms: float
    step: int
    is_fresh: bool = True
    elastic_ms: float = 0.0


class Ladder:
    """Down at once when a result is late, up when there is room for it, never flapping.

    Args:
        ladder: what each step does, best first.
        budget_ms: capture to result; 0 is none, and the ladder never moves.
        rules: see there.
        fits: whether a better step could be afforded at a time, as far as others know.

    Attributes:
        step: to run at; 0 is full quality.
        reason: why it is not 0: "late", "throttled"; "" at 0.
    """

    def __init__(
        self,
        ladder: Sequence[LadderStep],
        budget_ms: float,
        rules: LadderRules | None = None,
        fits: Callable[[int, float], bool] = lambda _step, _now_s: True,
    ) -> None:
        self.step = 0
        self.reason = ""
        self._ladder = tuple(ladder)
        self._budget_ms = budget_ms
        self._rules = rules or LadderRules()
        self._fits = fits
        self._steps: tuple[int, ...] = tuple(range(len(self._ladder)))
        self._hold_s = self._wait_s = self._rules.hold_s
        self._calm_s = 0.0  # how long results let hope for a better step
        self._last_s: float | None = None  # when the last result told of it
        self._rose_at_s: float | None = None
        self._is_first = False  # whether no result of this step was seen yet
        self._is_held = False  # by heat
        self._rises = 0  # since the last fall

    def use(self, steps: Sequence[int]) -> None:
        """Use only these steps, in rising order and with 0; those of another mode."""
        self._steps = tuple(steps)
        if self.step not in self._steps:
            self._move(max(s for s in self._steps if s < self.step))
            self.reason = self.reason if self.step else ""

    def observe(self, seen: Seen, now_s: float) -> int:
        """Take note of a result and return the step to run at.

        Args:
            seen: results made before the last change say nothing.
            now_s: any monotonic time.
        """
        if self._budget_ms <= 0 or seen.step != self.step:
            return self.step
        # The first frame of a step may have waited for one that was made at the former.
        age_ms = seen.cost_ms if self._is_first else seen.age_ms
        self._is_first = False
        if age_ms > self._budget_ms:
            self.fall("late", now_s)
        elif seen.is_fresh:
            self._consider_rise(seen, now_s)
        return self.step

    def fall(self, reason: str, now_s: float) -> None:
        """Go one step down."""
        below = [s for s in self._steps if s > self.step]
        if self._budget_ms <= 0 or not below:
            return
        self.reason = reason
        self._move(below[0])
        rules, rose_at_s = self._rules, self._rose_at_s
        self._rose_at_s, self._rises = None, 0
        if rose_at_s is not None:
            is_regret = now_s - rose_at_s < rules.regret_s
            self._hold_s = 2 * self._hold_s if is_regret else rules.hold_s
        most_s = rules.back_s - rules.climb_s * (self._rises_to_go() - 1)
        self._wait_s = max(rules.hold_s, min(self._hold_s, most_s))
        self._hold_s = min(self._hold_s, rules.back_s)

    def hold(self, *, is_held: bool) -> None:
        """Whether quality may not rise, for a reason other than time."""
        self._is_held = is_held
        if is_held:
            self._calm_s = 0.0

    def _consider_rise(self, seen: Seen, now_s: float) -> None:
        within = self._steps[: self._steps.index(self.step)][-_size(self._rises) :]
        promising = [step for step in within if self._promises(step, seen)]
        passed_s = 0.0 if self._last_s is None else min(now_s - self._last_s, self._rules.climb_s)
        self._last_s = now_s
        if not promising:
            self._calm_s = max(0.0, self._calm_s - self._rules.setback * passed_s)
            return
        self._calm_s += passed_s
        if self._calm_s >= self._wait_s - _ROUNDING_S and not self._is_held:
            target = next((step for step in promising if self._fits(step, now_s)), None)
            if target is not None:
                self._rise(target, now_s)

    def _rises_to_go(self) -> int:
        """How many it takes from here to full quality if all go well."""
        left, rises = self._steps.index(self.step), 0
        while left > 0:
            left -= _size(rises)
            rises += 1
        return rises

    def _promises(self, step: int, seen: Seen) -> bool:
        """Whether a result as this one, but at a better step, would be well in time."""
        more = times_the_cost(self._ladder, step, self.step) - 1
        expected_ms = seen.age_ms - seen.elastic_ms + more * (seen.cost_ms - seen.elastic_ms)
        return expected_ms <= self._rules.up_margin * self._budget_ms

    def _rise(self, target: int, now_s: float) -> None:
        self._move(target)
        self._rises += 1
        self.reason = self.reason if self.step else ""
        self._rose_at_s = now_s
        self._wait_s = self._rules.climb_s

    def _move(self, step: int) -> None:
        self.step = step
        self._is_first = True
        self._calm_s, self._last_s = 0.0, None


def _size(rises: int) -> int:
    """How many steps the next rise may go at once: more when others went well just before."""
    return 1 + rises // 2


def times_the_cost(ladder: Sequence[LadderStep], step: int, of: int) -> float:
    """How many times the cost of one step a result at another is expected to have.

    The encoder's work goes with the area of its input; of all else nothing is expected.
    """
    return (ladder[step].encoder_side / ladder[of].encoder_side) ** 2
