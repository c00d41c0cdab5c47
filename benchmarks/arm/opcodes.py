"""Dot-product instructions in the code that QEMU translated: what really ran, by the bits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Pattern(NamedTuple):
    """A kind of instruction: `word & mask == value`."""

    mask: int
    value: int


# Arm Architecture Reference Manual for A-profile, C7: "SDOT, UDOT (vector)" and "(by element)".
DOT_PRODUCTS: Mapping[str, Pattern] = {
    "sdot": Pattern(0xBFE0FC00, 0x0E809400),
    "udot": Pattern(0xBFE0FC00, 0x2E809400),
    "sdot by element": Pattern(0xBFC0F400, 0x0F80E000),
    "udot by element": Pattern(0xBFC0F400, 0x2F80E000),
}
_LINE = re.compile(r"0x[0-9a-f]+:\s+([0-9a-f]{8})\s")


def name_of(word: int) -> str | None:
    """Which dot product a 32-bit instruction is; None if it is another instruction."""
    for name, (mask, value) in DOT_PRODUCTS.items():
        if word & mask == value:
            return name
    return None


def count(lines: Iterable[str]) -> dict[str, int]:
    """Count dot products and all instructions in the lines of QEMU's `in_asm` log.

    QEMU translates a piece of code when it is about to run, and again when its cache was full: the
    counts are places in the code that ran, not how often.
    """
    found: Counter[str] = Counter()
    for line in lines:
        match = _LINE.match(line)
        if match:
            found["instructions"] += 1
            name = name_of(int(match[1], 16))
            if name:
                found[name] += 1
    return {name: found[name] for name in ("instructions", *DOT_PRODUCTS)}
