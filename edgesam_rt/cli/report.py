"""The summary of a run, for people: a few lines that fit a terminal of 80 columns."""

from __future__ import annotations

from edgesam_rt.pipeline.metrics import Summary

_STAGE_ORDER = ("capture", "wait", "fit", "encode", "decode", "mask", "age")
_LABELS = {"age": "capture to result", "wait": "wait for encoder"}
_LABEL_WIDTH = 34


def table(summary: Summary) -> str:
    """A few lines of text that end with a newline."""
    sides = "/".join(str(s) for s in summary.encoder_sides) or "-"
    lines = [
        f"{summary.results} of {summary.frames} frames in {summary.wall_s:.2f} s, "
        f"{summary.fps:.1f} per second, peak memory {summary.peak_memory_mib:.0f} MiB",
        f"{summary.bundle} at side {sides}, {summary.backend} with {summary.threads} threads, "
        f"board {summary.board}",
        f"{'stage, milliseconds':<{_LABEL_WIDTH}}{'n':>7}{'p50':>9}{'p95':>9}{'p99':>9}",
    ]
    known = [s for s in _STAGE_ORDER if s in summary.stages]
    known += sorted(s for s in summary.stages if s.startswith("sink "))
    for name in known:
        row = summary.stages[name]
        label = _short(_LABELS.get(name, name))
        lines.append(
            f"{label:<{_LABEL_WIDTH}}{row.n:>7}{row.p50_ms:>9.2f}{row.p95_ms:>9.2f}{row.p99_ms:>9.2f}"
        )
    if summary.dropped:
        lost = ", ".join(f"{n} {reason}" for reason, n in sorted(summary.dropped.items()))
        lines.append(f"frames lost: {lost}")
    if summary.camera_breaks:
        why = ", ".join(f"{n} {reason}" for reason, n in sorted(summary.camera_breaks.items()))
        lines.append(f"camera broke: {why}; came back {summary.reconnects} times")
    for name, n in sorted(summary.sink_dropped.items()):
        lines.append(f"results lost by {name}: {n}")
    if summary.late:
        lines.append(f"results over budget: {summary.late}")
    if len(summary.ladder) > 1:
        steps = ", ".join(f"step {step}: {n}" for step, n in sorted(summary.ladder.items()))
        lines.append(f"results by quality: {steps}")
    if summary.reused:
        how = ", ".join(f"{n} {kind}" for kind, n in sorted(summary.reused.items()))
        lines.append(f"results of an earlier embedding: {how}")
    return "\n".join(lines) + "\n"


def _short(label: str) -> str:
    """The label, its middle left out if it is too long for its column."""
    room = _LABEL_WIDTH - 1
    if len(label) <= room:
        return label
    head = label[: label.find(":") + 1] if ":" in label else ""
    return head + "..." + label[-(room - len(head) - 3) :]
