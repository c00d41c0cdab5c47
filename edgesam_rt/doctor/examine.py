"""Run the checks so that none can crash or hang the doctor."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from edgesam_rt.doctor.findings import Finding, failed
from edgesam_rt.doctor.patient import Patient
from edgesam_rt.doctor.report import Check
from edgesam_rt.doctor.table import CheckRow
from edgesam_rt.errors import EdgeSamError

REPORT_IT = "Please report it, with the output of edgesam-doctor --json."


def examine(patient: Patient, rows: Sequence[CheckRow]) -> Iterator[Check]:
    """Findings of every check, as soon as each is there."""
    for row in rows:
        for found in findings(row, patient):
            yield Check(group=row.group, name=row.name, finding=found)


def findings(row: CheckRow, patient: Patient) -> list[Finding]:
    """What one check finds; an error, silence or too long a time is a failure of its own."""
    found: list[Finding] = []
    worker = threading.Thread(target=_look, args=(row, patient, found), daemon=True)
    worker.start()
    worker.join(row.patience_s)
    done = list(found)
    if worker.is_alive():
        done.append(failed(f"no answer in {row.patience_s:g} s", REPORT_IT))
    elif not done:
        done.append(failed("the check said nothing", REPORT_IT))
    return done


def _look(row: CheckRow, patient: Patient, found: list[Finding]) -> None:
    try:
        for finding in row.look(patient):
            found.append(finding)
    except EdgeSamError as error:
        found.append(failed(str(error), "Do what the message says, and run the doctor again."))
    except Exception as error:  # noqa: BLE001  whatever it is, the other checks go on
        found.append(failed(f"the check failed: {type(error).__name__}: {error}", REPORT_IT))
