"""What a run of benchmarks.everything finds, made up."""

from __future__ import annotations

from typing import Any

MS = {"n": 2, "min": 1.0, "p50": 2.0, "p95": 3.0, "p99": 4.0}
FIGURES: dict[str, Any] = {
    "oracle": {
        "photos": 2,
        "iou": 0.99,
        "plain_masks": 30,
        "matched": 29,
        "missing": 1,
        "extra": 2,
        "ms": MS,
        "plain_ms": MS,
        "times_faster": MS,
    },
    "times": {
        "rows": [
            {"what": "encoder", "threads": 1, "ms": MS, "times_encoder": 1.0},
            {
                "what": "grid",
                "threads": 2,
                "ms": MS,
                "times_encoder": 7.5,
                "times_grid": 1.0,
                "with_runs_ms": MS,
                "masks": 33,
            },
        ]
    },
    "recall": {
        "rows": [
            {
                "strategy": "grid",
                "ar10": 0.1,
                "ar100": 0.2,
                "ar1000": 0.3,
                "ar1000_small": None,
                "ar1000_medium": 0.2,
                "ar1000_large": 0.4,
                "masks_per_photo": 41.5,
                "seconds_per_photo": 0.123,
            }
        ],
        "unknown": {"objects": "unknown strategy 'objects'"},
    },
    "deadlines": {
        "rows": [
            {
                "strategy": "grid",
                "share": 0.25,
                "ar100": 0.1,
                "masks_per_photo": 9.0,
                "late_ms": {**MS, "max": 4.5},
                "completeness": 0.3,
            },
            {"strategy": "grid", "share": 1.0, "ar100": 0.2, "masks_per_photo": 20.0},
        ]
    },
    "memory": {
        "points_per_side": 32,
        "rows": [
            {"picture": "640x480", "strategy": "encoder", "before_mib": 1.0, "peak_mib": 2.0},
            {
                "picture": "640x480",
                "strategy": "grid",
                "before_mib": 150.0,
                "peak_mib": 190.0,
                "peak_with_runs_mib": 191.0,
                "masks": 3,
                "ms": 12.0,
            },
            {"picture": "4000x3000", "strategy": "grid", "failed": "took longer than 300 s"},
        ],
    },
}
