"""Builds the demo's page: one HTML file with its pictures inside, and the clip beside it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import cv2
import facts
import numpy as np

import edgesam_rt as es
from edgesam_rt.drawing.palette import colour, ink_on

HERE = Path(__file__).resolve().parent
_JPEG_QUALITY = 88
_STAGES = {
    "capture": ("read", "the picture from its file"),
    "fit": ("fit", "to the encoder’s square"),
    "encode": ("encode", "once per picture, INT8"),
    "decode": ("decode", "all prompts of a picture"),
    "mask": ("mask", "to the picture’s size"),
    "sink overlay": ("draw", "and write the picture"),
    "sink masks": ("masks", "written as PNGs"),
    "sink jsonl": ("JSONL", "written"),
    "age": ("capture to result", "waiting included"),
}
Row = dict[str, Any]  # a line of a JSONL file; docs/results.md


@dataclass(frozen=True)
class Run:
    """One command that was run.

    Attributes:
        title: what it did.
        command: as a person would type it.
        summary: what `--json` printed; empty if it does not.
    """

    title: str
    command: str
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """Where the runs put what they made.

    Attributes:
        out: folder of the page.
        clip, clip_overlay: names of the videos in it.
    """

    out: Path
    clip: str = "clip.webm"
    clip_overlay: str = "clip-overlay.webm"


def read_rows(path: Path) -> list[Row]:
    """Read a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write(made: Made, runs: Sequence[Run], machine: facts.Machine, when: str) -> Path:
    """Write `index.html` from what the runs made, and return its path.

    Args:
        made: where it is.
        runs: photos, the clip's making, the clip, everything mode; those with summaries in order.
        machine: where they ran.
        when: date and time of the runs.
    """
    captions: dict[str, Row] = json.loads((HERE / "captions.json").read_text("utf-8"))
    photos = read_rows(made.out / "photos.jsonl")
    found = read_rows(made.out / "everything.jsonl")
    frames = read_rows(made.out / "clip.jsonl")
    measured = [run for run in runs if run.summary]
    engines = facts.engines()
    parts = {
        "intro": _intro(photos, len(frames), engines, when),
        "tiles": _tiles(measured[0].summary, measured[1].summary),
        "busy": _busy(machine),
        "clip": _video(made.clip, "Before") + _video(made.clip_overlay, "After"),
        "clip_legend": _legend(_median_row(frames), ["rocket", "woman", "astronaut and helmet"]),
        "photos": "\n".join(_photo(made.out / "photos", row, captions) for row in photos),
        "everything": "\n".join(_photo(made.out / "everything", row, {}) for row in found),
        "times": "\n".join(_times(run) for run in measured),
        "facts": _facts(machine, engines, measured),
        "folder": escape(str(HERE.parent)),
        "commands": "\n".join(_command(run) for run in runs),
        "credits": "\n".join(_credit(c) for c in facts.credits(HERE / "photos" / "CREDITS.md")),
        "label": escape(engines.label),
        "weights_licence": escape(engines.licence),
        "weights_origin": escape(engines.origin),
    }
    page = Template((HERE / "page.html").read_text("utf-8")).substitute(parts)
    path = made.out / "index.html"
    path.write_text(page, "utf-8")
    return path


def _intro(photos: Sequence[Row], frames: int, engines: facts.Engines, when: str) -> str:
    objects = sum(len(row["objects"]) for row in photos)
    return (
        f"{objects} objects in {len(photos)} photos, and three in each of {frames} frames of a "
        f"clip, by <b>{escape(engines.label)}</b>: {engines.megabytes:.0f} MB of "
        f"{escape(engines.precision.upper())} engines, no torch. Made on {escape(when)}."
    )


def _tiles(photos: Mapping[str, Any], clip: Mapping[str, Any]) -> str:
    stages = clip["stages"]
    tiles = [
        ("to encode a frame, median", f"{stages['encode']['p50_ms']:.0f}", "ms"),
        ("to answer three prompts, median", f"{stages['decode']['p50_ms']:.0f}", "ms"),
        ("frames of the clip, drawn and encoded", f"{clip['fps']:.1f}", "per s"),
        ("memory at most", f"{max(r['peak_memory_mib'] for r in (photos, clip)):.0f}", "MiB"),
    ]
    return "\n".join(
        f"<div><dd>{value} <small>{unit}</small></dd><dt>{what}</dt></div>"
        for what, value, unit in tiles
    )


def _busy(machine: facts.Machine) -> str:
    if not machine.was_busy:
        return ""
    return (
        '<p class="note">The machine had other work when the demo began: a load of '
        f"{machine.load:.1f}. Left alone, it is quicker than this.</p>"
    )


def _video(name: str, caption: str) -> str:
    source = escape(name, quote=True)
    return (
        f'<figure><video src="{source}" controls autoplay muted loop playsinline></video>'
        f'<figcaption>{caption} · <a href="{source}">{escape(name)}</a></figcaption></figure>'
    )


def _photo(folder: Path, row: Row, captions: Mapping[str, Row]) -> str:
    """One photo before and after; what its objects are called comes from the captions."""
    name, caption = row["name"], captions.get(row["name"], {})
    h, w = row["image_hw"]
    after = es.read_image(folder / f"{name}.png")[:h, :, ::-1]  # BGR, without the timing strip
    encoded = cv2.imencode(".jpg", after, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    before = (HERE / "photos" / f"{name}.jpg").read_bytes()
    full = escape(f"{folder.name}/{name}.png", quote=True)
    size = f'width="{w}" height="{h}" loading="lazy"'
    names = caption.get("objects", [])
    objects = ", ".join(names) or f"{len(row['objects'])} objects"
    return (
        f"<article><h3>{escape(name.replace('-', ' ').capitalize())}</h3>"
        f'<p class="soft">{escape(caption.get("text", objects + " found"))}</p><div class="pair">'
        f'<figure><img src="{_data_url(before)}" {size} alt="{escape(name)}"></figure>'
        f'<figure><a href="{full}"><img src="{_data_url(encoded.tobytes())}" {size} '
        f'alt="{escape(name)}, cut out: {escape(objects)}"></a></figure></div>'
        f"{_legend(row, names)}</article>"
    )


def _data_url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


def _legend(row: Row, names: Sequence[str]) -> str:
    """What each colour is, what was asked, and the engine's own score."""
    if not names:
        return ""
    return f'<ul class="legend">{"".join(_legend_items(row["objects"], names))}</ul>'


def _median_row(frames: Sequence[Row]) -> Row:
    """The first of many rows about the same objects, with the median of their scores."""
    scores = np.array([[one["predicted_iou"] for one in row["objects"]] for row in frames])
    medians = np.median(scores, axis=0).tolist()
    objects = zip(frames[0]["objects"], medians, strict=True)
    return {"objects": [{**one, "predicted_iou": median} for one, median in objects]}


def _legend_items(objects: Sequence[Row], names: Sequence[str]) -> Iterable[str]:
    for one, name in zip(objects, names, strict=True):
        ground = colour(one["id"])
        style = f"background:{_css(ground)};color:{_css(ink_on(ground))}"
        yield (
            f'<li><span class="chip" style="{style}">{one["id"]}</span>'
            f"<span><b>{escape(name)}</b> by {asked_in_words(one['prompt'])}, "
            f"{one['predicted_iou']:.2f}</span></li>"
        )


def _css(rgb: tuple[int, int, int]) -> str:
    return f"rgb({rgb[0]} {rgb[1]} {rgb[2]})"


def asked_in_words(prompt: Row) -> str:
    """Say what a prompt consists of: "a box and a click beside it"."""
    labels = prompt.get("point_labels", [])
    clicks, others = labels.count(1), labels.count(0)
    parts = ["a box"] if "box_xyxy" in prompt else []
    if clicks:
        parts.append("a click" if clicks == 1 else f"{clicks} clicks")
    if others:
        parts.append("a click beside it" if others == 1 else f"{others} clicks beside it")
    return " and ".join(parts)


def _times(run: Run) -> str:
    """One run's table."""
    summary, rows = run.summary, []
    counts = f"{summary['results']} of {summary['frames']} in {summary['wall_s']:.1f} s"
    for key, (label, what) in _STAGES.items():
        for stage, row in summary["stages"].items():
            if stage == key or stage.startswith(f"{key}:"):
                cells = "".join(f'<td class="n">{_ms(row[f"p{q}_ms"])}</td>' for q in (50, 95, 99))
                rows.append(f"<tr><td>{label}<small>{what}</small></td>{cells}</tr>")
    return (
        f"<article><h3>{escape(run.title)}</h3>"
        f'<p class="soft">{counts}, '
        f"{summary['fps']:.1f} per second, at most {summary['peak_memory_mib']:.0f} MiB</p>"
        '<table><thead><tr><th>stage</th><th class="n">p50</th><th class="n">p95</th>'
        f'<th class="n">p99</th></tr></thead><tbody>{"".join(rows)}</tbody></table></article>'
    )


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _facts(machine: facts.Machine, engines: facts.Engines, runs: Sequence[Run]) -> str:
    used = {side for run in runs for side in run.summary["encoder_sides"]}
    sides = " and ".join(f"{side}" for side in sorted(used, reverse=True))
    backends = " and ".join(sorted({run.summary["backend"] for run in runs}))
    rows = {
        "Processor": f"{machine.cpu}, {machine.threads} threads used",
        "Board": machine.board,
        "System": machine.system,
        "Engines": f"{engines.label} by {backends}, pictures encoded at {sides} px",
        "Versions": machine.versions,
    }
    return "\n".join(f"<dt>{k}</dt><dd>{escape(v)}</dd>" for k, v in rows.items())


def _command(run: Run) -> str:
    lines = run.command.replace(" --", " \\\n  --")
    return f"<h3>{escape(run.title)}</h3><pre><code>{escape(lines)}</code></pre>"


def _credit(credit: facts.Credit) -> str:
    origin = re.sub(r"`([^`]*)`", r"\1", credit.origin)
    linked = "".join(
        f'<a href="{escape(part)}">{escape(part)}</a>'
        if part.startswith("https://")
        else escape(part)
        for part in re.split(r"<(https://[^>]*)>", origin)
    )
    return (
        f"<tr><td>{escape(credit.title)}<small>{escape(credit.file)}</small></td>"
        f"<td>{escape(credit.author)}</td><td>{escape(credit.licence)}</td><td>{linked}</td></tr>"
    )
