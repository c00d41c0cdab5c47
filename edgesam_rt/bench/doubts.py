"""What makes a run's figures doubtful, as sentences for whoever reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgesam_rt import boards
from edgesam_rt.bench.report import Report
from edgesam_rt.system.sensors import FIRMWARE_BITS, NOW, is_held_back

OTHERS_SHARE = 0.1  # of all cores
DRIFT = 1.1  # last round to first


def doubts(report: Report) -> tuple[str, ...]:
    """All that apply; empty is good."""
    return tuple(sentence for check in CHECKS for sentence in check(report))


def _stopped(report: Report) -> Iterator[str]:
    if not report.complete:
        yield "The run was stopped; some figures are missing or rest on few values."


def _quick(report: Report) -> Iterator[str]:
    if report.settings.quick:
        yield "A quick run, for trying: too few values to compare with others."


def _elsewhere(report: Report) -> Iterator[str]:
    told, seen = report.settings.board, report.machine.board
    if told != seen:
        yield (
            f"Run with the settings of board {told} on a machine recognised as {seen}: "
            f"it says nothing of a {told}."
        )


def _neighbours(report: Report) -> Iterator[str]:
    share = report.others_cpu_share
    if share is not None and share > OTHERS_SHARE:
        yield f"Other processes used {100 * share:.0f} % of the cores. Stop them and measure again."


def _held_back(report: Report) -> Iterator[str]:
    when = [f"{r.at_s:.0f} s" for r in report.readings if is_held_back(r.throttling)]
    if when:
        yield f"The machine was throttled (at {', '.join(when)}): cool it, or check its supply."
    bits = set(report.readings[-1].throttling.firmware or ()) if report.readings else set()
    earlier = [n for bit, n in FIRMWARE_BITS.items() if bit >= NOW and n in bits]
    if earlier and not when:
        yield f"Since boot, perhaps before this run: {', '.join(earlier)}."


def _counted(report: Report) -> Iterator[str]:
    if len(report.readings) < 2:
        return
    first, last = (report.readings[i].throttling.counters for i in (0, -1))
    for name, count in last.items():
        if count > first.get(name, 0):
            yield f"The processor was throttled {count - first.get(name, 0)} times ({name})."


def _untold(report: Report) -> Iterator[str]:
    told = report.readings and report.readings[-1].throttling.firmware is not None
    if _firmware_tells(report.machine.board) and not told:
        yield (
            "Throttling could not be read: vcgencmd is missing or may not open /dev/vcio "
            "(group video). Such a report proves little."
        )


def _firmware_tells(board: str) -> bool:
    """Whether a board has firmware that tells of throttling; a report may be of another release."""
    return board in boards.names() and boards.load(board).heat.throttling == "vcgencmd"


def _governor(report: Report) -> Iterator[str]:
    found = {g for r in report.readings for g in r.governors.values()} - {"performance"}
    if found:
        yield f"Governor {', '.join(sorted(found))}: clocks may have changed during the run."


def _drift(report: Report) -> Iterator[str]:
    for s in report.series:
        if (s.case, s.stage) == ("frame", "total") and len(s.rounds) > 2:
            ratio = s.rounds[-1] / s.rounds[0]
            if ratio > DRIFT:
                yield (
                    f"The last round took {ratio:.2f} times the first (side {s.side}, "
                    f"{s.threads} threads): heat, or another load."
                )


CHECKS: tuple[Callable[[Report], Iterator[str]], ...] = (
    *(_stopped, _quick, _elsewhere, _neighbours, _held_back, _counted, _untold, _governor, _drift),
)
