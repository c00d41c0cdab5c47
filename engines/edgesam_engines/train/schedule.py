"""Learning rate by step."""

from __future__ import annotations

import math

from edgesam_engines.train.config import Schedule


def decay_start(rules: Schedule) -> int:
    """First step of the decay at the end."""
    return rules.total_steps - rules.decay_steps


def rate_at(step: int, rules: Schedule) -> float:
    """Learning rate of a step relative to the recipe's, in (0, 1]."""
    if step < rules.warmup_steps:
        return (step + 1) / rules.warmup_steps
    late = step - decay_start(rules)
    if late <= 0:
        return 1.0
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, late / rules.decay_steps)))
    return rules.floor + (1 - rules.floor) * fall
