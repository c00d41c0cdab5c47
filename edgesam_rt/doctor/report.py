"""The doctor's report: its shape as data, and its JSON Schema.

`report.schema.json` beside this file is made of these structs by `python -m
edgesam_rt.doctor.report`; a test holds the two together.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgesam_rt.bench.report import Machine, Reading, save
from edgesam_rt.doctor.findings import Finding, Status

KIND: Literal["edgesam-doctor"] = "edgesam-doctor"
SCHEMA = 1
SCHEMA_FILE = Path(__file__).with_name("report.schema.json")
WHO = "edgesam-doctor"


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One finding of one check; a check may have several.

    Attributes:
        group: heading; name: of the check; finding: see there.
    """

    group: str
    name: str
    finding: Finding


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole report.

    Attributes:
        kind, schema: what this file is.
        date: UTC.
        board: examined as; detected: recognised as, "" if boards clash.
        quick: whether it was a short examination.
        machine, software, reading: as in a report of edgesam-bench.
        checks: all findings, in the table's order.
        counts: findings by status.
        proofs: by backend, what `edgesam_rt.proof.prove` says; None without --prove.
    """

    kind: Literal["edgesam-doctor"]
    schema: int
    date: str
    board: str
    detected: str
    quick: bool
    machine: Machine
    software: dict[str, str]
    reading: Reading
    checks: tuple[Check, ...]
    counts: dict[Status, int]
    proofs: dict[str, dict[str, Any]] | None = None


def count(checks: Iterable[Check]) -> dict[Status, int]:
    """Findings by status; every status is there."""
    found = Counter(check.finding.status for check in checks)
    statuses: tuple[Status, ...] = ("PASS", "WARN", "FAIL", "SKIP")
    return {status: found[status] for status in statuses}


def encode(report: Report) -> bytes:
    """The report as JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def write(report: Report, path: Path) -> None:
    """Write a report whole.

    Raises:
        SinkError, ConfigError: it cannot be written.
    """
    save(encode(report), path, WHO)


def json_schema() -> bytes:
    """The JSON Schema of a report, as the file beside this one holds it."""
    return json.dumps(msgspec.json.schema(Report), indent=1, sort_keys=True).encode() + b"\n"


if __name__ == "__main__":
    save(json_schema(), SCHEMA_FILE, WHO)
