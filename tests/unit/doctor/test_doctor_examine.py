"""None of the checks may crash or hang the doctor."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgesam_rt.doctor import text
from edgesam_rt.doctor.examine import examine, findings
from edgesam_rt.doctor.findings import Finding, failed, passed, skipped, warned
from edgesam_rt.doctor.patient import Patient, admit
from edgesam_rt.doctor.report import Check, count
from edgesam_rt.doctor.table import CHECKS, CheckRow
from edgesam_rt.errors import BundleError
from tests import doctor_doubles as d


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return admit(quick=True, machine=d.machine(tmp_path, d.PI5, d.HEALTHY_PI))


def crashes(patient: Patient) -> Iterator[Finding]:
    yield passed("so far, so good")
    raise ZeroDivisionError("by accident")


def knows_why(patient: Patient) -> Iterator[Finding]:
    raise BundleError("the bundle is gone.")
    yield


def hangs(patient: Patient) -> Iterator[Finding]:
    time.sleep(30)
    yield passed("too late")


def mute(patient: Patient) -> Iterator[Finding]:
    yield from ()


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (crashes, "the check failed: ZeroDivisionError: by accident"),
        (knows_why, "the bundle is gone."),
        (hangs, "no answer in 0.05 s"),
        (mute, "said nothing"),
    ],
)
def test_what_goes_wrong_in_a_check_is_a_finding(
    check: d.Check, words: str, patient: Patient
) -> None:
    found = findings(CheckRow("group", "name", check, patience_s=0.05), patient)
    assert found[-1].status == "FAIL"
    assert words in found[-1].said
    assert found[-1].next_step


def test_what_a_check_found_before_it_crashed_is_kept(patient: Patient) -> None:
    assert findings(CheckRow("g", "n", crashes), patient)[0] == passed("so far, so good")


def test_the_others_go_on(patient: Patient) -> None:
    rows = [CheckRow("g", name, check) for name, check in (("a", crashes), ("b", knows_why))]
    assert [c.name for c in examine(patient, rows)] == ["a", "a", "b"]


def test_every_check_has_a_name_of_its_own_that_fits_its_column() -> None:
    names = [row.name for row in CHECKS]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= text.NAME_WIDTH


def test_checks_of_a_group_stand_together() -> None:
    groups = [row.group for row in CHECKS]
    assert groups == sorted(groups, key=groups.index)


LONG = "word " * 60
FOUND = [passed("good"), warned(LONG, LONG), failed("bad", "do this"), skipped("not here")]


@pytest.mark.parametrize("found", FOUND, ids=lambda f: f.status)
def test_a_finding_fits_eighty_columns_and_is_plain_without_colour(found: Finding) -> None:
    said = text.line(Check(group="g", name="power sensor", finding=found))
    assert max(map(len, said.splitlines())) <= 80
    assert found.status in said
    assert "\x1b" not in said
    assert ("-> " in said) == bool(found.next_step)


def test_colour_is_around_the_status_alone() -> None:
    said = text.line(Check(group="g", name="n", finding=FOUND[2]), colour=True)
    assert said.startswith("  \x1b[31mFAIL\x1b[0m  n")


def test_the_summary_counts_and_judges() -> None:
    checks = [Check(group="g", name="n", finding=f) for f in FOUND]
    assert text.summary(count(checks)).strip() == (
        "1 PASS, 1 WARN, 1 FAIL, 1 SKIP. Something does not work."
    )
    assert text.summary(count(checks[:1])).strip() == "1 PASS. Nothing fails."
