"""Options of sources and sinks: what each may be, as data, and the reading of them."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgesam_rt.errors import ConfigError

_LONGEST_SIDE = 16384


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        parse: text to value; raises ValueError for a text that is not `expected`.
        expected: what may be given, for messages.
        default: the value when it is not given.
        help: one line.
    """

    parse: Callable[[str], object]
    expected: str
    default: object
    help: str


def flag(default: bool | None, help_line: str) -> Option:
    """On or off; a default of None lets the source decide."""
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}

    def parse(text: str) -> bool:
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]

    return Option(parse, "1 or 0", default, help_line)


def whole(default: int | None, least: int, help_line: str) -> Option:
    """A whole number of at least `least`."""

    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or int(text) < least:
            raise ValueError(text)
        return int(text)

    return Option(parse, f"a whole number from {least}", default, help_line)


def number(default: float | None, above: float, most: float, help_line: str) -> Option:
    """A finite number, more than `above` (0 included if `above` is negative), at most `most`."""

    def parse(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and above < value <= most):
            raise ValueError(text)
        return value

    return Option(parse, f"a number from {max(above, 0.0):g} to {most:g}", default, help_line)


def choice(default: str | None, names: tuple[str, ...], help_line: str) -> Option:
    """One of some names."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(text)
        return text

    return Option(parse, " or ".join(names), default, help_line)


def size(default: tuple[int, int] | None, least: int, help_line: str) -> Option:
    """Width and height in px, as 640x480."""

    def parse(text: str) -> tuple[int, int]:
        found = re.fullmatch("([0-9]{1,5})x([0-9]{1,5})", text)
        if not found or not all(least <= int(n) <= _LONGEST_SIDE for n in found.groups()):
            raise ValueError(text)
        return int(found[1]), int(found[2])

    expected = f"WIDTHxHEIGHT, {least} to {_LONGEST_SIDE} px each, as 640x480"
    return Option(parse, expected, default, help_line)


def amount(least: int, help_line: str) -> Option:
    """A number of bytes of at least `least`, as 500kB, 100MB or 2GB; none by default."""
    units = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}

    def parse(text: str) -> int:
        found = _found(re.fullmatch("([0-9]{1,12})([kmg]?b|)", text.strip().lower()))
        value = int(found[1]) * units.get(found[2], 1)
        if value < least:
            raise ValueError(text)
        return value

    return Option(parse, f"bytes, kB, MB or GB from {least} bytes, as 100MB", None, help_line)


def named_numbers(help_line: str) -> Option:
    """Names with numbers, as AfMode:2,AnalogueGain:4.0."""

    def parse(text: str) -> dict[str, int | float]:
        found = [re.fullmatch(r"(\w+):(-?[0-9.]+)", part) for part in text.split(",")]
        return {m[1]: float(m[2]) if "." in m[2] else int(m[2]) for m in map(_found, found)}

    return Option(parse, "NAME:NUMBER,…, as AfMode:2,AnalogueGain:4.0", None, help_line)


def text(help_line: str) -> Option:
    """Any text but none."""

    def parse(given: str) -> str:
        if not given.strip():
            raise ValueError(given)
        return given

    return Option(parse, "a name", None, help_line)


def _found(match: re.Match[str] | None) -> re.Match[str]:
    if match is None:
        raise ValueError
    return match


def read_values(
    subject: str, scheme: str, given: Mapping[str, str], known: Mapping[str, Option]
) -> dict[str, Any]:
    """Return the value of every known option: the given ones parsed, else the defaults.

    Args:
        subject: whose options these are, for messages, as "source 'v4l2:'".
        scheme: the kind of it.
        given: names and texts.
        known: what there is.

    Raises:
        ConfigError: an unknown option (with the nearest known), or a value that cannot be.
    """
    values: dict[str, Any] = {name: option.default for name, option in known.items()}
    for name, text in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"{subject}: unknown option {name!r}.{hint} "
                f"{scheme}: knows {', '.join(sorted(known)) or 'no options'}."
            )
        try:
            values[name] = known[name].parse(text)
        except ValueError as error:
            raise ConfigError(
                f"{subject}: option {name}: expected {known[name].expected}, got {text!r}."
            ) from error
    return values
