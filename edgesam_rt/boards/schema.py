"""The shape of a board's data file: every key, what it means, and in which unit.

A key that is not listed here is refused. Every number in a file has a line in `sources`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edgesam_rt.manifest import Positive, Precision
from edgesam_rt.system.cpu import usable_cores

Where = Literal["hardware", "emulation", "double", "nothing yet"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all parts of a board's file have in common."""


class Detect(_Part, frozen=True):
    """How to recognise the board; any match counts, the most specific of all boards wins.

    Attributes:
        model: beginnings of the device tree's `model`; more specific than anything else, the
            longer the more.
        compatible: strings of the device tree's `compatible` list, `*` for any characters. The
            list itself begins with the most specific.
        files: paths below the root that this kind of system alone has.
        l4t: releases of Jetson Linux, "R36" or "R32 t210ref": all that a container may show.
    """

    model: tuple[str, ...] = ()
    compatible: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    l4t: tuple[str, ...] = ()


class Choice(_Part, frozen=True):
    """Which engine runs here.

    Attributes:
        precision: of the engine that the first backend runs.
        why: the reason, in a sentence or a few.
    """

    precision: Precision
    why: str


class LadderStep(_Part, frozen=True):
    """One step of quality; the first is the best, each costs less than the one before.

    Attributes:
        name: what it does, in two or three words; in results, metrics and log.
        encoder_side: px, one that the bundle has.
        points_per_side: of the grid in everything mode, at most; 0: as many as the bundle says.
        stop_at: share of the budget after which everything mode asks no more.
        reuse_ms: while the scene stands still, an embedding is used again until it is this old;
            0 encodes every frame.
        encode_every: only every n-th frame is looked at. In track mode the last masks are kept
            between them, and the result says so; in the others, a live source's are left out.
    """

    name: Annotated[str, msgspec.Meta(min_length=1)]
    encoder_side: Positive
    points_per_side: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    stop_at: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    reuse_ms: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 0.0
    encode_every: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1


class Cpu(_Part, frozen=True):
    """The processor.

    Attributes:
        cores: what they are.
        features: instructions that it has, as the Linux kernel spells them; only those that
            integer kernels choose by (`system.cpu.FLAGS`).
    """

    cores: str = ""
    features: tuple[str, ...] = ()


class Gpu(_Part, frozen=True):
    """The graphics processor that engines may run on.

    Attributes:
        name: what it is.
        compute_capability: NVIDIA's number of its architecture.
        int8: whether it has integer units for networks.
    """

    name: str
    compute_capability: str
    int8: bool


class Heat(_Part, frozen=True):
    """How to see that the board is hot or held back.

    Attributes:
        zones: names of its thermal zones (`type` in /sys/class/thermal) that must be there.
        hot_c: from which temperature on it slows down, degrees Celsius; None: as the zones' own
            trip points say.
        throttling: who tells of throttling: the Raspberry Pi's firmware, the kernel's cooling
            devices, or nobody.
    """

    zones: tuple[str, ...] = ()
    hot_c: float | None = None
    throttling: Literal["vcgencmd", "cooling", "nobody"] = "nobody"


class Power(_Part, frozen=True):
    """Power sensors and modes.

    Attributes:
        sensor: what measures the power it takes: INA monitors in hwmon, the Raspberry Pi 5's power
            chip, the processor's counters, or nothing.
        modes: of `nvpmodel`, number by name, where known; the board's own /etc/nvpmodel.conf goes
            before it.
        fastest: names of the modes that hold nothing back, the best first.
        pin_clocks: command that ties all clocks to the mode's highest; "" if there is none.
    """

    sensor: Literal["ina", "pmic", "rapl", "none"] = "none"
    modes: dict[str, Annotated[int, msgspec.Meta(ge=0)]] = {}
    fastest: tuple[str, ...] = ()
    pin_clocks: str = ""


class System(_Part, frozen=True):
    """The system software that the board needs.

    Attributes:
        l4t: majors of Jetson Linux on which the first backend can run.
        advice: what to do where another one is found.
    """

    l4t: tuple[Positive, ...] = ()
    advice: str = ""


class Run(_Part, frozen=True):
    """What was run.

    Attributes:
        where: the best proof there is: on the board itself, under emulation, against a double of
            the library, or nothing yet.
        what: in words.
    """

    where: Where
    what: str


class Board(_Part, frozen=True):
    """One board.

    Attributes:
        name, title: as on the command line, and for people.
        detect: how to recognise it.
        covers: other products that the same file serves.
        backends: in order of preference.
        bundle: the one that suits it; choice: why.
        threads: of the engines; 0 for all cores this process may use.
        spin: whether idle threads spin; see BackendOptions.
        camera: default source.
        budget_ms: default latency budget of a live source, capture to result; 0 for none.
        ladder: steps of quality, best first.
        shares_accelerator: with the first backend, encoder and decoder run on one device that does
            one thing at a time.
        cpu, gpu, heat, power, system: see there.
        memory_mib: sizes it is sold with, MiB.
        devices: device files that this board's tools and engines open.
        runs: what was run where, by backend.
        caveats: what does not work, and why, as sentences.
        sources: where facts come from, by key ("threads", "power.modes"). Every number has one; one
            that begins with "start value" was not measured on the board.
    """

    name: str
    title: str
    backends: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    bundle: str
    choice: Choice
    ladder: Annotated[tuple[LadderStep, ...], msgspec.Meta(min_length=1)]
    runs: dict[str, Run]
    sources: dict[str, str]
    detect: Detect = Detect()
    covers: tuple[str, ...] = ()
    threads: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    spin: bool = False
    camera: str = "v4l2:/dev/video0"
    budget_ms: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    shares_accelerator: bool = False
    cpu: Cpu = Cpu()
    gpu: Gpu | None = None
    heat: Heat = Heat()
    power: Power = Power()
    system: System = System()
    memory_mib: tuple[Positive, ...] = ()
    devices: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()

    def thread_count(self) -> int:
        """Threads to use here: never more than this process may run at once."""
        usable = usable_cores()
        return min(self.threads, usable) if self.threads else usable
