"""What `benchmarks.budget` and `benchmarks.overlap` found, made up."""

from __future__ import annotations

from typing import Any

SERIES = {"n": 20, "min": 1.0, "p50": 2.0, "p95": 3.0, "p99": 4.0}
ROW: dict[str, Any] = {
    "case": "rivals",
    "how": "4 of them",
    "budget_ms": 150.0,
    "within_before": 1.0,
    "within": 0.975,
    "within_fresh": None,
    "results_per_s": 14.0,
    "fresh_per_s": 0.0,
    "back_s": [1.5, None],
    "shortest_swing_s": 4.25,
    "changes": [[0.0, 0], [6.5, 1]],
}
BUDGETS = {
    f"budget-{mode}": {"mode": mode, "adapts_s": 3.0, "rows": [ROW]}
    for mode in ("prompt", "track", "everything")
}
OVERLAP: dict[str, Any] = {
    "opening": [{"side": 384, "ms": 70, "mib": 6.0}],
    "comparing": [{"size": "640x480", **SERIES}],
    "through": [
        {
            "threads": 2,
            "alone_ms": 18.0,
            "fps": 50.0,
            "ratio_alone": {"turns": 9, "median": 0.9, "low": 0.85, "high": 0.95},
            "ratio_in_run": {"turns": 9, "median": 0.98, "low": 0.97, "high": 0.99},
            "slowest_in_run": "encode",
        }
    ],
    "live": [
        {
            "source_fps": 15.0,
            "mode": "prompt",
            "fps": 15.0,
            "age_ms": SERIES,
            "stages_ms": SERIES,
            "ratio_p50": 1.02,
            "ratio_p95": 1.05,
        }
    ],
}
