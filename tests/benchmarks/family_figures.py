"""What `benchmarks.families` found, made up."""

from __future__ import annotations

from typing import Any

FAMILIES: dict[str, Any] = {
    "speed_ms": {"encoder, fp32": {"n": 3, "min": 600.0, "p50": 610.0, "p95": 650.0}},
    "agreement": {
        "mobilesam-int8": {
            "photos": 4,
            "prompts": 40,
            "embedding_cosine": 0.991,
            "mean_iou": 0.953,
        }
    },
}
