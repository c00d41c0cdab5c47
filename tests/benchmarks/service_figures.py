"""What `benchmarks.http_attack` and `benchmarks.soak` found, made up."""

from __future__ import annotations

from typing import Any

_TIMES = {"n": 20, "min": 1.0, "p50": 2.0, "p95": 3.0, "p99": 4.0}
HTTP_ATTACK: dict[str, Any] = {
    "attacks": [
        {
            "attack": "junk",
            "clients": 50,
            "alone_ms": _TIMES,
            "attacked_ms": _TIMES,
            "p95_ratio": {"turns": 9, "median": 1.0, "low": 0.9, "high": 1.1},
        }
    ]
}
SOAK: dict[str, Any] = {
    "samples": 40,
    "wall_s": 600,
    "growth": {
        "results": 9_000,
        "mib_per_50000": 0.25,
        "anonymous_mib": [80.0, 81.0, 82.0],
        "threads": [16.0, 16.0],
        "descriptors": [15.0, 15.5],
    },
    "summary": {
        "results": 10_000,
        "wall_s": 600.0,
        "reconnects": 19,
        "camera_breaks": {"ended": 19, "refused": 1},
        "sink_dropped": {"mqtt:mqtt://broker/soak": 7, "jsonl:file": 0},
    },
    "broker_kills": 2,
    "viewer": {"connections": 1, "mib": 12.5},
    "mqtt_received": 9_993,
    "file_lines": 9_998,
    "file_repeated": 0,
}
