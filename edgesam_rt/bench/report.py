"""The report of `edgesam-bench`: one JSON file per run, its shape as data, and its JSON Schema.

`report.schema.json` beside this file is made of these structs by `python -m
edgesam_rt.bench.report`; a test holds the two together. docs/benchmarks.md explains the fields.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgesam_rt.config import convert
from edgesam_rt.errors import ConfigError
from edgesam_rt.sinks.files import check_file, write_failed, write_whole
from edgesam_rt.system.sensors import Throttling

KIND: Literal["edgesam-bench"] = "edgesam-bench"
SCHEMA = 1
SCHEMA_FILE = Path(__file__).with_name("report.schema.json")
WHO = "edgesam-bench"

Unit = Literal["ms", "fps", "MiB", "W", "J"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all parts of a report have in common."""


class Series(_Part, frozen=True):
    """One figure, measured n times.

    Attributes:
        case: what was run: "frame", "prompts", "pipeline", "start", "memory", "energy".
        stage: which part of it: "fit", "encode", "score", "mask head", "post", "total", …
        unit: of all values; "J" is joules per result.
        better: which direction is an improvement.
        side: of the encoder, px; threads: of the engines; prompts: in one call; None where it
            does not matter.
        n: how many values; min, p50, p95, p99: of all of them.
        rounds: median of each round, in the order they were run. Their spread is the run's noise.
    """

    case: str
    stage: str
    unit: Unit
    better: Literal["lower", "higher"]
    n: int
    min: float
    p50: float
    p95: float
    p99: float
    rounds: tuple[float, ...]
    side: int | None = None
    threads: int | None = None
    prompts: int | None = None


class Reading(_Part, frozen=True):
    """What the sensors said at one moment; empty where the machine tells nothing.

    Attributes:
        at_s: since the run began.
        temperatures_c: degrees Celsius by sensor.
        clocks_mhz: present clocks: "cpu0" (the policy of that core), or a device's name.
        governors: of the same.
        throttling: see there.
    """

    at_s: float
    temperatures_c: dict[str, float] = {}
    clocks_mhz: dict[str, float] = {}
    governors: dict[str, str] = {}
    throttling: Throttling = Throttling()


class Machine(_Part, frozen=True):
    """What was measured. Two reports with the same values come from the same kind of machine.

    Attributes:
        arch: "x86_64", "aarch64".
        cpu, cpu_flags: name, and the instructions that kernels choose by.
        cores: of the machine; memory_mib: of the machine.
        model: of the device tree or the firmware, or "".
        board: name of the board file it was recognised as.
    """

    arch: str
    cpu: str
    cpu_flags: tuple[str, ...]
    cores: int
    memory_mib: int
    model: str
    board: str


class Engines(_Part, frozen=True):
    """What ran.

    Attributes:
        bundle, precision, backend: by name.
        sha256: of the bundle's manifest.json, which holds those of all its engine files.
        files: sha256 by engine file.
    """

    bundle: str
    precision: str
    backend: str
    sha256: str
    files: dict[str, str]


class Settings(_Part, frozen=True):
    """What the run was told.

    Attributes:
        board: whose data file gave the defaults.
        sides, threads: measured, each with each.
        pinned: cores the process was tied to; empty if it was not.
        spin: whether idle engine threads spin.
        quick: a short run, for trying; do not send it as a report.
        rounds: how often all cases took their turn; warm_up: runs thrown away before the first.
        size_wh: of the synthetic picture, px.
    """

    board: str
    sides: tuple[int, ...]
    threads: tuple[int, ...]
    pinned: tuple[int, ...]
    spin: bool
    quick: bool
    rounds: int
    warm_up: int
    size_wh: tuple[int, int]


class Energy(_Part, frozen=True):
    """Whether there was a power sensor.

    Attributes:
        source: which, and what it covers; None if there is none that can be read.
        reason: why not, for each kind of sensor.
        idle_w: mean before the run, doing nothing.
    """

    source: str | None = None
    reason: str = ""
    idle_w: float | None = None


class Accuracy(_Part, frozen=True):
    """Mask IoU on photos with true masks.

    Attributes:
        photos, objects: how many.
        annotations_sha256: of their annotations.json.
        miou: by encoder side ("512"), size of object ("all", "small", …) and measure ("box", …).
    """

    photos: int
    objects: int
    annotations_sha256: str
    miou: dict[str, dict[str, dict[str, float]]]


class Report(_Part, frozen=True):
    """A whole report.

    Attributes:
        kind, schema: what this file is.
        date: when the run began, UTC.
        complete: False if it was stopped; what was measured until then is there.
        seconds: how long it took.
        machine, software, engines, settings: what was measured, and how.
        power_mode: as the board's own tool calls it (`nvpmodel -q`), or None.
        load_average: at the start, over 1, 5 and 15 minutes.
        others_cpu_share: of all cores, what other processes used meanwhile, 0 to 1; None: unknown.
        readings: of the sensors: at the start, after each round, at the end.
        series: the figures. energy, accuracy: see there.
        warnings: what makes the figures doubtful, as sentences.
    """

    kind: Literal["edgesam-bench"]
    schema: int
    date: str
    complete: bool
    seconds: float
    machine: Machine
    software: dict[str, str]
    engines: Engines
    settings: Settings
    power_mode: str | None
    load_average: tuple[float, ...]
    others_cpu_share: float | None
    readings: tuple[Reading, ...]
    series: tuple[Series, ...]
    energy: Energy
    accuracy: Accuracy | None = None
    warnings: tuple[str, ...] = ()


def encode(report: Report) -> bytes:
    """The report as JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def write(report: Report, path: Path) -> None:
    """Write a report whole; an older file stays until the new one is complete.

    Raises:
        SinkError, ConfigError: it cannot be written.
    """
    save(encode(report), path)


def save(data: bytes, path: Path, who: str = WHO) -> None:
    """Write a file whole for a command; see `write`."""
    try:
        write_whole(path, data)
    except OSError as error:
        intact = f"The older {path} is as it was." if path.is_file() else ""
        raise write_failed(who, path, error, intact) from error


def check_place(path: Path, who: str = WHO) -> None:
    """See that a file can be made at a path, before minutes are spent on what goes into it.

    Raises:
        SinkError, ConfigError: it cannot.
    """
    check_file(path, who)
    trial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise write_failed(who, path, error, "") from error


def read(path: Path) -> Report:
    """Read a report.

    Raises:
        ConfigError: there is none, or it is damaged, or of another schema.
    """
    raw = _decode(path)
    if not isinstance(raw, Mapping) or raw.get("kind") != KIND:
        raise ConfigError(f"{path}: not a report of edgesam-bench. Make one: edgesam-bench --out.")
    if raw.get("schema") != SCHEMA:
        raise ConfigError(
            f"{path}: schema {raw.get('schema')!r}, this edgesam-bench reads {SCHEMA}. "
            "Use the release of edgesam_rt that wrote it."
        )
    return convert(raw, Report, str(path))


def _decode(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}.") from error


def json_schema() -> bytes:
    """The JSON Schema of a report, as the file beside this one holds it."""
    made = msgspec.json.schema(Report)
    return json.dumps(made, indent=1, sort_keys=True).encode() + b"\n"


if __name__ == "__main__":
    save(json_schema(), SCHEMA_FILE)
