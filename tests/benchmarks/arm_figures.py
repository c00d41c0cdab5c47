"""What one run of the proof on Arm finds, small."""

from __future__ import annotations

from typing import Any

_MASKS = {"files": 2, "equal": 1, "differing_pixels": 7, "pixels": 2000, "iou": 0.99}
_STAGE = {"arrays": 9, "equal": 9, "differing_share": 0.0, "largest": 0.0}
_COUNTS = {"sdot": 0, "udot": 0, "sdot by element": 0, "udot by element": 72}

_INSTALL = {
    "packages": [{"name": "numpy", "version": "2.4.6", "bytes": 69_800_000}],
    "bytes": 70_000_000,
    "trimmed_bytes": 50_000_000,
    "removed": [{"pattern": "numpy/tests", "bytes": 20_000_000}],
    "jobs": {"prompt": _MASKS},
}

FIGURES: dict[str, Any] = {
    "versions": ["onnxruntime==1.31.1"],
    "skipped": [],
    "runs": [
        {
            "board": "rpi5",
            "cpu": "cortex-a76",
            "backend": "onnxruntime",
            "masks": _MASKS,
            "stages": [
                {"side": "", "stage": "photo", **_STAGE},
                {"side": "512", "stage": "encoder", **_STAGE},
            ],
            "instructions": {"instructions": 1_000_000, **_COUNTS},
        }
    ],
    "operators": [
        {
            "board": "rpi5",
            "cpu": "cortex-a76",
            "side": 512,
            "kinds": [
                {"op": "Add", "count": 3, "differing": 0, "worst_share": 0.0, "worst_steps": 0}
            ],
        }
    ],
    "adds": [
        {
            "board": "rpi5",
            "cpu": "cortex-a76",
            "rules": [{"rule": "any", "count": 20, "differing": 4, "worst_share": 2e-5}],
        }
    ],
    "install": {"base": _INSTALL, "litert": _INSTALL},
}
