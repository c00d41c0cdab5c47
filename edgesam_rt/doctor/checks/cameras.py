"""Cameras, and the right to open devices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from edgesam_rt.doctor.checks.software import version_of
from edgesam_rt.doctor.findings import Finding, passed, skipped, warned
from edgesam_rt.doctor.patient import Patient
from edgesam_rt.system.files import number, text

# V4L2 devices that are no cameras: codecs and picture processors of the Raspberry Pi and others.
_OTHER = re.compile(r"codec|isp|hevc|pispbe|rpivid|loopback|vim2m", re.IGNORECASE)
# Receivers of camera ribbons: raw data, read through libcamera or Argus alone.
_CSI = re.compile(r"unicam|rp1-cfe|vi-output", re.IGNORECASE)


def cameras(patient: Patient) -> Iterator[Finding]:
    """What can be seen of cameras."""
    named = {path: _name(patient, path) for path in patient.devices("video[0-9]*")}
    usable = [f"{p.name} ({n})" for p, n in named.items() if _is_camera(patient, p, n)]
    ribbons = sorted({n for n in named.values() if _CSI.search(n)})
    if usable:
        yield passed(f"V4L2: {', '.join(usable)}", cameras=len(usable))
    elif not ribbons:
        yield skipped(
            "no camera is connected; pictures, videos and synthetic frames work",
            "Connect one; in a container: --device /dev/video0",
            cameras=0,
        )
    if ribbons:
        yield warned(
            f"ribbon camera seen ({', '.join(ribbons)}), which V4L2 cannot use",
            _ribbon_advice(patient),
            ribbons=len(ribbons),
        )


def rights(patient: Patient) -> Iterator[Finding]:
    """Whether this user may open cameras and the board's own devices."""
    root = patient.machine.root
    own = [root / name.lstrip("/") for name in patient.board.devices]
    here = [*patient.devices("video[0-9]*"), *(path for path in own if path.exists())]
    here += (root / "dev/dri").glob("renderD*") if patient.board.gpu else ()
    closed = [p for p in here if not patient.machine.may_open(p)]
    if not here:
        yield skipped("no device of this board is here: nothing to do")
    elif closed:
        groups = "video,render" if any("dri" in p.parts for p in closed) else "video"
        user = patient.machine.user
        yield warned(
            f"{user} may not open {', '.join('/' + str(p.relative_to(root)) for p in closed)}",
            f"sudo usermod -aG {groups} {user}, then log in again",
            closed=len(closed),
        )
    else:
        yield passed(f"all {len(here)} devices may be opened", devices=len(here))


def _is_camera(patient: Patient, device: Path, name: str) -> bool:
    """A USB camera's second device gives metadata: its index is not 0."""
    index = number(patient.machine.root / "sys/class/video4linux" / device.name / "index")
    return not index and not _OTHER.search(name) and not _CSI.search(name)


def _name(patient: Patient, device: Path) -> str:
    folder = patient.machine.root / "sys/class/video4linux" / device.name
    return text(folder / "name") or "unnamed"


def _ribbon_advice(patient: Patient) -> str:
    """The source that reads it, and what that needs."""
    if patient.board.gpu is not None:
        return "name the source: edgesam-run csi:0"
    lacks = version_of("picamera2") is None
    need = " (first: sudo apt install python3-picamera2)" if lacks else ""
    return f"name the source: edgesam-run picamera:0{need}"
