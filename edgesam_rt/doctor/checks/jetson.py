"""JetPack, CUDA and TensorRT on a Jetson."""

from __future__ import annotations

import json
from collections.abc import Iterator

from edgesam_rt.backends.tensorrt.api import OLDEST
from edgesam_rt.doctor.checks.board import LEAST_PYTHON, dotted
from edgesam_rt.doctor.checks.software import version_of
from edgesam_rt.doctor.findings import Fact, Finding, passed, skipped, warned
from edgesam_rt.doctor.patient import Patient
from edgesam_rt.system import l4t
from edgesam_rt.system.files import text

CUDA_VERSION = "usr/local/cuda/version.json"
DPKG = ("dpkg-query", "-W", "-f=${Version}\n", "libnvinfer[0-9]*")


def jetpack(patient: Patient) -> Iterator[Finding]:
    """Whether this JetPack can run the board's first backend."""
    release, wants = patient.identity.release, patient.board.system
    if not wants.l4t:
        yield skipped("not a Jetson: nothing to do")
        return
    if release is None:
        yield warned(
            "/etc/nv_tegra_release is not here", "In a container: -v /etc/nv_tegra_release:…:ro"
        )
        return
    pack = l4t.jetpack(release)
    name = f"JetPack {pack.name}" if pack else "a JetPack that this release does not know"
    said = f"L4T {release.label}, {name}"
    problems = _problems(pack) if pack else []
    if release.major not in wants.l4t:
        problems.append("the wrong one for this board")
    if problems:
        yield warned(f"{said}: {', '.join(problems)}", wants.advice, l4t=release.label)
    else:
        yield passed(said, l4t=release.label)


def tensorrt(patient: Patient) -> Iterator[Finding]:
    """Libraries of the GPU, as the system's packages have them."""
    if patient.board.gpu is None or "tensorrt" not in patient.board.backends:
        yield skipped("this board's engines do not use TensorRT: nothing to do")
        return
    cuda = _cuda(text(patient.machine.root / CUDA_VERSION) or "")
    installed = (patient.machine.command(DPKG) or "").split()
    library = installed[0].split("-")[0] if installed else ""
    said = f"TensorRT {library or 'not found'}, CUDA {cuda or 'not found'}"
    pycuda = version_of("pycuda")
    said += f", pycuda {pycuda or 'not installed'}"
    facts: dict[str, Fact] = {"tensorrt": library, "cuda": cuda}
    if library and _is_old(library):
        yield warned(f"{said}: {OLDEST} or newer is needed", patient.board.system.advice, **facts)
    elif library and cuda and pycuda:
        yield passed(said, **facts)
    else:
        yield warned(
            said,
            "sudo apt install nvidia-jetpack; pip install pycuda in a venv made with "
            "--system-site-packages",
            **facts,
        )


def _problems(pack: l4t.JetPack) -> list[str]:
    found = []
    if pack.tensorrt and _is_old(pack.tensorrt):
        found.append(f"its TensorRT {pack.tensorrt} is below {OLDEST}")
    if pack.python < LEAST_PYTHON:
        found.append(f"its Python {dotted(pack.python)} is below {dotted(LEAST_PYTHON)}")
    return found


def _is_old(tensorrt: str) -> bool:
    return _numbers(tensorrt) < _numbers(OLDEST)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _cuda(content: str) -> str:
    try:
        return str(json.loads(content)["cuda"]["version"])
    except (ValueError, KeyError, TypeError):
        return ""
