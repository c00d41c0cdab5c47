"""What `benchmarks.families` found, made up."""

from __future__ import annotations

from typing import Any


def times(least: float) -> dict[str, float]:
    return {"n": 3, "min": least, "p50": least + 10, "p95": least + 50}


FAMILIES: dict[str, Any] = {
    "threads": 2,
    "families": {
        "edgesam": {
            "ms": {"upstream": times(462.0), "fp32": times(385.0), "int8": times(170.0)},
            "others_cpu_share": 0.02,
            "ratio": 2.265,
            "kernels": {
                "ms": {"integer": 120.0, "float": 40.0, "conversion": 8.0, "move": 2.0},
                "float_operations": {"Conv": 1, "LayerNormalization": 2},
                "integer_operations": 180,
            },
            "quality": {
                **{"photos": 8, "prompts": 40, "mean_iou": 0.96},
                "cosine": {"image_embeddings": 0.9991},
                "by_point": {"prompts": 20, "mean_iou": 0.955},
                "by_box": {"prompts": 6, "mean_iou": 0.97},
            },
        },
        "sam": {"ms": {"fp32": times(4000.0)}, "others_cpu_share": 0.0},
    },
}
