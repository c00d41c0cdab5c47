"""Findings as text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from edgesam_rt.doctor.findings import Status
from edgesam_rt.doctor.report import Check

WIDTH = 80
NAME_WIDTH = 12
COLOURS: Mapping[Status, str] = {"PASS": "32", "WARN": "33", "FAIL": "31", "SKIP": "2"}
_INDENT = " " * (2 + 4 + 2 + NAME_WIDTH + 2)


def heading(group: str) -> str:
    """The line above a group."""
    return f"\n{group}\n"


def line(check: Check, *, colour: bool = False) -> str:
    """A finding and its next step; ends with a newline."""
    found = check.finding
    status = f"\x1b[{COLOURS[found.status]}m{found.status}\x1b[0m" if colour else found.status
    said = _wrapped(found.said, _INDENT)
    lines = [f"  {status}  {check.name:<{NAME_WIDTH}}  {said}"]
    if found.next_step:
        lines.append(f"{_INDENT}-> {_wrapped(found.next_step, _INDENT + '   ')}")
    return "\n".join(lines) + "\n"


def summary(counts: Mapping[Status, int]) -> str:
    """The last line."""
    told = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
    verdict = "Something does not work." if counts["FAIL"] else "Nothing fails."
    return f"\n{told}. {verdict}\n"


def _wrapped(words: str, indent: str) -> str:
    """Words in lines that fit beside the indent; the first line has none of its own."""
    lines = textwrap.wrap(" ".join(words.split()), WIDTH - len(indent), break_on_hyphens=False) or [
        ""
    ]
    return f"\n{indent}".join(lines)
