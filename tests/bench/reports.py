"""Reports made up, for what reads them."""

from __future__ import annotations

from typing import Any

from edgesam_rt.bench.report import (
    Accuracy,
    Energy,
    Engines,
    Machine,
    Reading,
    Report,
    Series,
    Settings,
    Throttling,
)

MACHINE = Machine(
    arch="aarch64",
    cpu="Cortex-A76",
    cpu_flags=("asimd", "asimddp"),
    cores=4,
    memory_mib=8064,
    model="Raspberry Pi 5",
    board="rpi5",
)
ENGINES = Engines(
    bundle="pocketsam-int8 0.1.0",
    precision="int8",
    backend="onnxruntime",
    sha256="0" * 64,
    files={"encoder-512.onnx": "1" * 64},
)
SETTINGS = Settings(
    board="rpi5",
    sides=(512,),
    threads=(3,),
    pinned=(),
    spin=False,
    quick=False,
    rounds=3,
    warm_up=1,
    size_wh=(640, 480),
)
MEANS = {
    "box": 0.7,
    "point": 0.4,
    "clicks": 0.5,
    "point_best": 0.6,
    "score_error": 0.2,
    "calibration_error": 0.05,
}


def series(p50: float = 100.0, scatter: float = 0.01, **more: Any) -> Series:
    """A figure whose rounds scatter by a share of its p50."""
    fields: dict[str, Any] = {
        "case": "frame",
        "stage": "total",
        "unit": "ms",
        "better": "lower",
        "side": 512,
        "threads": 3,
        "prompts": 1,
        "n": 60,
        "min": p50 * 0.9,
        "p50": p50,
        "p95": p50 * 1.2,
        "p99": p50 * 1.3,
        "rounds": (p50 * (1 - scatter), p50, p50 * (1 + scatter)),
    }
    return Series(**{**fields, **more})


def reading(at_s: float = 0.0, **throttling: Any) -> Reading:
    """Sensors at rest, unless told otherwise."""
    return Reading(
        at_s=at_s,
        temperatures_c={"cpu-thermal": 50 + at_s / 10},
        clocks_mhz={"cpu0": 2400.0},
        governors={"cpu0": "performance"},
        throttling=Throttling(**{"firmware": (), **throttling}),
    )


def report(*figures: Series, **more: Any) -> Report:
    """A good report of a Raspberry Pi 5."""
    fields: dict[str, Any] = {
        "kind": "edgesam-bench",
        "schema": 1,
        "date": "2026-01-02T03:04:05+00:00",
        "complete": True,
        "seconds": 90.0,
        "machine": MACHINE,
        "software": {"python": "3.11.2", "onnxruntime": "1.31.1"},
        "engines": ENGINES,
        "settings": SETTINGS,
        "power_mode": None,
        "load_average": (0.1, 0.2, 0.3),
        "others_cpu_share": 0.01,
        "readings": (reading(), reading(90.0)),
        "series": figures or (series(),),
        "energy": Energy(reason="no INA"),
    }
    return Report(**{**fields, **more})


def accuracy(box: float = 0.7, **more: Any) -> Accuracy:
    """Of three objects."""
    means = {"objects": 3, **MEANS, "box": box}
    fields: dict[str, Any] = {
        "photos": 2,
        "objects": 3,
        "annotations_sha256": "2" * 64,
        "miou": {"512": {"all": means, "small": {"objects": 0}}},
    }
    return Accuracy(**{**fields, **more})
