"""The processor: its instructions, and what they mean for INT8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from edgesam_rt.doctor.findings import Fact, Finding, passed, warned
from edgesam_rt.doctor.patient import Patient
from edgesam_rt.system import cpu


class Meaning(NamedTuple):
    """What instructions mean for INT8: any of `flags` is enough."""

    flags: tuple[str, ...]
    said: str


# The first that fits. docs/decisions/0012-board-engines.md has the sources.
MEANINGS = (
    Meaning(("amx_int8", "avx512_vnni", "avx_vnni"), "INT8 dot products: INT8 runs fast"),
    Meaning(("i8mm",), "INT8 matrix products and dot products: INT8 runs fast"),
    Meaning(("asimddp",), "dot products (SDOT, UDOT): INT8 runs fast"),
    Meaning(("asimd",), "no dot products: INT8 gains less, and is still the faster choice"),
)
SATURATES = "AVX2 without VNNI: INT8 gains little, and sums may saturate; the self-test judges"


def processor(patient: Patient) -> Iterator[Finding]:
    """Name, cores, and what integer kernels find."""
    about = cpu.cpuinfo(patient.machine.root)
    has = cpu.flags(about)
    told = f"{cpu.name(about)}, {cpu.usable_cores()} cores usable"
    named = f" ({', '.join(has)})" if has else ""
    facts: dict[str, Fact] = {"flags": " ".join(has), "usable_cores": cpu.usable_cores()}
    lacks = set(patient.board.cpu.features) - set(has)
    meaning = next((m.said for m in MEANINGS if set(m.flags) & set(has)), "")
    if lacks and about:
        yield warned(
            f"{told}{named}: lacks {', '.join(sorted(lacks))}, which a {patient.board.title} has",
            "edgesam-doctor --board auto",
            **facts,
        )
    elif meaning:
        yield passed(f"{told}: {meaning}{named}", **facts)
    elif "avx2" in has:
        yield warned(f"{told}: {SATURATES}", "edgesam-bench compares INT8 with float.", **facts)
    else:
        yield warned(
            f"{told}: no instructions known that INT8 gains from{named}",
            "edgesam-bench tells how fast it is.",
            **facts,
        )
