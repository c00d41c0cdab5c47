"""The bundle's files, and its engines at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgesam_rt import backends
from edgesam_rt import bundle as bundles
from edgesam_rt.api import Segmenter
from edgesam_rt.backends.table import TABLE
from edgesam_rt.bench.cases import POINT, picture, points
from edgesam_rt.bench.measure import repeat
from edgesam_rt.bundle import Bundle, DetectorBundle
from edgesam_rt.doctor.findings import Fact, Finding, failed, passed, skipped, warned
from edgesam_rt.doctor.patient import Patient
from edgesam_rt.engines import EngineSet, resolve
from edgesam_rt.errors import BackendMissing, BundleError, EdgeSamError, SelfTestError

MANY = 64  # prompts
REPEATS, QUICK_REPEATS = 10, 3
ADVICE: tuple[tuple[type[EdgeSamError], str], ...] = (
    (SelfTestError, "Do not use this engine; try another --backend, and report it."),
    (BundleError, "Install the bundle again."),
    (BackendMissing, "Install the library that the message names."),
    (EdgeSamError, "Read the message; EDGESAM_DEBUG=1 edgesam-run shows more."),
)


def bundle_files(patient: Patient) -> Iterator[Finding]:
    """Every engine file of the segmenter and of the detector against its hash."""
    yield _files(patient.bundle)
    yield _files(lambda: bundles.find_detector(None))


def _files(find: Callable[[], Bundle | DetectorBundle]) -> Finding:
    try:
        found = find()
        for entry in found.manifest.engines:
            found.path(entry)
    except EdgeSamError as error:
        return failed(str(error), _advice(error))
    count = len(found.manifest.engines)
    megabytes = round(sum(entry.size_bytes for entry in found.manifest.engines) / 1e6, 1)
    said = f"{found.label}: {count} engine file{'s' * (count > 1)}, {megabytes} MB, hashes match"
    return passed(said, bundle=found.label, files=count, megabytes=megabytes)


def engines(patient: Patient) -> Iterator[Finding]:
    """Self-test and times of every backend and side that can run here."""
    found = patient.bundle()
    here = [name for name in patient.board.backends if name in backends.available()]
    if not here:
        yield failed("no backend of this board is installed", TABLE["onnxruntime"].missing)
    for name in here:
        yield from _of_backend(patient, found, name)


def _of_backend(patient: Patient, found: Bundle, name: str) -> Iterator[Finding]:
    if name not in found.backends:
        yield skipped(f"{name}: {found.label} has no engines for it", "edgesam-engines list")
        return
    reason = _why_not(found, name)
    if reason is not None:
        yield warned(f"{name}: {reason}", f"edgesam-engines build --board {patient.board.name}")
        return
    ladder = {step.encoder_side for step in patient.board.ladder}
    has = found.sides(name)
    sides = tuple(side for side in has if side in ladder) or has
    for side in sides[:1] if patient.quick else sides:
        yield _of_side(patient, found, name, side)


def _why_not(found: Bundle, name: str) -> str | None:
    """Why a backend cannot run the bundle yet; half an installation is a reason, too."""
    try:
        return backends.why_not(found, name)
    except EdgeSamError as error:
        return str(error)


def _of_side(patient: Patient, found: Bundle, name: str, side: int) -> Finding:
    where = f"{name} at side {side}"
    try:
        chosen = resolve(
            board=patient.board.name,
            bundle_name=found.folder.resolve(),
            backend=name,
            encoder_side=side,
        )
        times = _times(chosen, QUICK_REPEATS if patient.quick else REPEATS)
    except EdgeSamError as error:
        return failed(f"{where}: {error}", _advice(error), backend=name, side=side)
    threads = chosen.options.backend_options.threads
    facts: dict[str, Fact] = {"backend": name, "side": side, "threads": threads, **times}
    said = "self-test passed; {encode_ms:.1f} ms encode, {point_ms:.1f} ms a point, "
    said += "{points_ms:.1f} ms {many} points, {threads} threads"
    return passed(f"{where}: {said.format(**facts, many=MANY)}", **facts)


def _advice(error: EdgeSamError) -> str:
    return next(text for kind, text in ADVICE if isinstance(error, kind))


def _times(chosen: EngineSet, repeats: int) -> dict[str, float]:
    """Milliseconds on the wall, medians; opening the engines runs the self-test."""
    with Segmenter(chosen) as one:
        pixels, many = picture(), points(MANY)
        embedding = one.encode(pixels)
        works = {
            "encode_ms": lambda: one.encode(pixels),
            "point_ms": lambda: one.predict(embedding, POINT).masks,
            "points_ms": lambda: one.predict(embedding, many),
        }
        return {
            name: repeat(work, warm_up=1, repeats=repeats).figures()["wall_ms"]["p50"]
            for name, work in works.items()
        }
