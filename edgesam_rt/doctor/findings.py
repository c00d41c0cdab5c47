"""What a check finds."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["PASS", "WARN", "FAIL", "SKIP"]
Fact = str | int | float | bool


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing found.

    Attributes:
        status: PASS; WARN: works, but look at it; FAIL: does not work; SKIP: does not apply, or
            could not be looked at.
        said: what was found, in a sentence.
        next_step: what to do, a command where there is one; of a WARN or a FAIL never empty.
        facts: the same for programs; units are in the names.
    """

    status: Status
    said: str
    next_step: str = ""
    facts: dict[str, Fact] = {}


def passed(said: str, **facts: Fact) -> Finding:
    """All is well."""
    return Finding(status="PASS", said=said, facts=facts)


def warned(said: str, next_step: str, **facts: Fact) -> Finding:
    """It works, but somebody should look at it."""
    return Finding(status="WARN", said=said, next_step=next_step, facts=facts)


def failed(said: str, next_step: str, **facts: Fact) -> Finding:
    """It does not work."""
    return Finding(status="FAIL", said=said, next_step=next_step, facts=facts)


def skipped(said: str, next_step: str = "", **facts: Fact) -> Finding:
    """It does not apply here, or could not be looked at."""
    return Finding(status="SKIP", said=said, next_step=next_step, facts=facts)
