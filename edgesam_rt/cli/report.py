"""The summary of a run, for people."""

from __future__ import annotations

from edgesam_rt.pipeline.metrics import Summary

_STAGE_ORDER = ("capture", "wait", "fit", "encode", "decode", "mask", "age")


def table(summary: Summary) -> str:
    """A few lines of text that end with a newline."""
    sides = "/".join(str(s) for s in summary.encoder_sides)
    lines = [
        f"{summary.results} of {summary.frames} frames in {summary.wall_s:.2f} s, "
        f"{summary.fps:.1f} per second, peak memory {summary.peak_memory_mib:.0f} MiB",
        f"{summary.bundle} at side {sides or '-'} by {summary.backend}, "
        f"{summary.threads} threads, board {summary.board}",
        f"{'stage':<22}{'n':>7}{'p50':>9}{'p95':>9}{'p99':>9}  ms",
    ]
    known = [s for s in _STAGE_ORDER if s in summary.stages]
    known += sorted(s for s in summary.stages if s.startswith("sink "))
    for name in known:
        row = summary.stages[name]
        label = "capture to result" if name == "age" else name
        lines.append(f"{label:<22}{row.n:>7}{row.p50_ms:>9.2f}{row.p95_ms:>9.2f}{row.p99_ms:>9.2f}")
    if summary.dropped:
        lost = ", ".join(f"{n} {reason}" for reason, n in sorted(summary.dropped.items()))
        lines.append(f"frames lost: {lost}")
    for name, n in sorted(summary.sink_dropped.items()):
        lines.append(f"results lost by {name}: {n}")
    if summary.late:
        lines.append(f"results over budget: {summary.late}")
    if len(summary.ladder) > 1:
        steps = ", ".join(f"step {step}: {n}" for step, n in sorted(summary.ladder.items()))
        lines.append(f"results by quality: {steps}")
    return "\n".join(lines) + "\n"
