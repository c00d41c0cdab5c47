"""One visit: all checks, the proof if it was asked for, and the report of both."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from edgesam_rt import backends
from edgesam_rt.backends import BackendOptions
from edgesam_rt.bench import environment, reading
from edgesam_rt.bundle import Bundle
from edgesam_rt.doctor.examine import examine
from edgesam_rt.doctor.findings import Finding, failed, passed, skipped
from edgesam_rt.doctor.patient import Patient
from edgesam_rt.doctor.report import KIND, SCHEMA, Check, Report, count
from edgesam_rt.doctor.table import CHECKS
from edgesam_rt.errors import EdgeSamError
from edgesam_rt.proof import prove

LISTS = "edgesam-engines list"
TOLD = 2  # problems of a proof in its finding; the report has all
Tell = Callable[[Check], None]
Proof = dict[str, Any]


class Visit:
    """A patient's visit; call `examine`, then `prove` if wanted, then `report`."""

    def __init__(self, patient: Patient, tell: Tell = lambda check: None) -> None:
        """Begin.

        Args:
            patient: who is examined.
            tell: told of every finding at once.
        """
        self._patient = patient
        self._tell = tell
        self._date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.checks: list[Check] = []
        self.proofs: dict[str, Proof] | None = None

    def examine(self) -> None:
        """Run all checks."""
        for check in examine(self._patient, CHECKS):
            self._note(check)

    def missing(self) -> tuple[str, ...]:
        """What the proof lacks: the board's first backend, if it is not installed."""
        first = self._patient.board.backends[0]
        return () if first in backends.available() else (first,)

    def prove(self, say: Callable[[str], None]) -> None:
        """Prove every backend of the board that is installed; whatever happens is in the report."""
        self.proofs = {}
        try:
            bundle = self._patient.bundle()
        except EdgeSamError as error:
            self._note_proof("bundle", failed(str(error), "Install the bundle again."))
            return
        for name in self._patient.board.backends:
            if name not in backends.available():
                self._note_proof(name, skipped("not installed", backends.row(name).missing))
            elif name not in bundle.backends:
                self._note_proof(name, skipped(f"{bundle.label} has no engines for it", LISTS))
            else:
                self.proofs[name] = made = self._prove(bundle, name, say)
                self._note_proof(name, _verdict(made))

    def _prove(self, bundle: Bundle, name: str, say: Callable[[str], None]) -> Proof:
        board = self._patient.board
        options = BackendOptions(threads=board.thread_count(), spin=board.spin)
        try:
            return prove(bundle, name, options, say=say)
        except Exception as error:  # noqa: BLE001  the report of a failure must still be written
            told = f"{type(error).__name__}: {error}"
            return {"passed": False, "problems": [told], "traceback": traceback.format_exc()}

    def report(self) -> Report:
        """What was found."""
        patient = self._patient
        root, command = patient.machine.root, patient.machine.command
        return Report(
            kind=KIND,
            schema=SCHEMA,
            date=self._date,
            board=patient.board.name,
            detected=patient.detected,
            quick=patient.quick,
            machine=environment.machine(root, patient.detected or patient.board.name),
            software=environment.software(root),
            reading=reading.read(0.0, root, command),
            checks=tuple(self.checks),
            counts=count(self.checks),
            proofs=self.proofs,
        )

    def _note_proof(self, name: str, finding: Finding) -> None:
        self._note(Check(group="Proof", name=name, finding=finding))

    def _note(self, check: Check) -> None:
        self.checks.append(check)
        self._tell(check)


def _verdict(made: Proof) -> Finding:
    if not made["passed"]:
        told = made["problems"][:TOLD]
        more = len(made["problems"]) - len(told)
        told += [f"{more} more in the report"] if more else []
        return failed("; ".join(told), "Send the report; do not use this backend.")
    sides = ", ".join(str(side["side"]) for side in made["sides"])
    compared = any("compared" in side for side in made["sides"])
    masks = f", masks as {made['compared_with']}'s" if compared else ""
    return passed(f"{made['library']}: self-test passed{masks}, sides {sides}")
