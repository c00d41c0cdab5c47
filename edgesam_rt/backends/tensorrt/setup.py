"""A bundle's plans on this board: are they there and proved, make them, judge them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from edgesam_rt.backends.setup import AnyBundle, Say
from edgesam_rt.backends.tensorrt import vendor
from edgesam_rt.backends.tensorrt.build import Built, Order, build
from edgesam_rt.backends.tensorrt.gpu import Gpu
from edgesam_rt.backends.tensorrt.plans import Plan, plan_for, plans_dir, put_whole, writing
from edgesam_rt.backends.tensorrt.profiles import profiles_of
from edgesam_rt.bundle import installed
from edgesam_rt.errors import EdgeSamError, EngineLoadError
from edgesam_rt.manifest import EngineFile, Manifest

BACKEND = "tensorrt"
BUILD = "edgesam-engines build --board auto"


def why_not(bundle: AnyBundle) -> str | None:
    """Why this bundle's plans cannot be used here yet, and what to do; None if they can."""
    if not plans_dir().is_dir():
        return _to_do(bundle, "no plan was built here yet")
    try:
        reasons = [_reason(bundle, entry, plan) for entry, plan in plans_of(bundle)]
    except EdgeSamError as error:
        return str(error)
    return next((reason for reason in reasons if reason), None)


def _reason(bundle: AnyBundle, entry: EngineFile, plan: Plan) -> str | None:
    """Why one plan cannot be used."""
    state = plan.state()
    if state == "refused":
        return (
            f"the plan of {entry.file} gave wrong answers here and was set aside "
            f"({'; '.join(plan.problems())}). After an update: {_command(bundle)} --rebuild"
        )
    return None if state == "trusted" else _to_do(bundle, f"the plan of {entry.file} is {state}")


def prepare(bundle: AnyBundle, say: Say, *, rebuild: bool) -> None:
    """Build the plans that are not here, one after another; with `rebuild` all of them.

    Raises:
        BackendMissing, EngineLoadError, BackendError, BundleError: one cannot be built or kept.
    """
    for entry, plan in list(plans_of(bundle)):
        onnx, name = bundle.path(entry), f"tensorrt: {entry.file}"
        with plan.lock(partial(say, f"{name}: another process builds this plan; waiting")):
            state = plan.state()
            if state in ("missing", "damaged") or rebuild:
                say(f"{name}: building a plan; takes minutes, once per board")
                profiles = profiles_of(bundle, entry, BACKEND)
                made = _build(Order(onnx, profiles, allows_fp16(bundle, entry)), say)
                more = {"file": entry.file, "bundle": bundle.label, "flags": made.flags}
                plan.write(made.content, {**more, "build_seconds": made.seconds})
                say(f"{name}: built in {made.seconds:.0f} s")
            else:
                say(f"{name}: the plan is here ({state})")


def judge(bundle: AnyBundle, problems: Sequence[str]) -> None:
    """Trust the bundle's plans, or set them aside with the reason."""
    for _, plan in plans_of(bundle):
        if plan.state() != "missing":
            plan.judge(problems)


def prepared(bundle: AnyBundle) -> list[dict[str, Any]]:
    """What is known of the bundle's plans, as plain JSON."""
    return [{"state": plan.state(), **plan.noted()} for _, plan in plans_of(bundle)]


def find_plan(bundle: AnyBundle, entry: EngineFile) -> Plan:
    """The plan of one engine, proved or not.

    Raises:
        EngineLoadError: it is not here or not whole; the message says how to make it.
    """
    plan = _plan(bundle, entry)
    if (state := plan.state()) in ("missing", "damaged"):
        raise EngineLoadError(
            f"tensorrt: {_to_do(bundle, f'the plan of {entry.file} is {state} in {plan.folder}')}."
        )
    return plan


def plans_of(bundle: AnyBundle) -> Iterator[tuple[EngineFile, Plan]]:
    """The bundle's engines for TensorRT, and where their plans are or will be.

    Raises:
        BackendMissing, EngineLoadError: TensorRT or the GPU cannot be asked.
    """
    for entry in bundle.manifest.engines:
        if entry.backend == BACKEND:
            yield entry, _plan(bundle, entry)


def _plan(bundle: AnyBundle, entry: EngineFile) -> Plan:
    lib = vendor.load()
    gpu = Gpu(lib)
    return plan_for(
        {
            "onnx": entry.sha256,
            "profiles": [
                {n: [list(s) for s in shapes] for n, shapes in profile.items()}
                for profile in profiles_of(bundle, entry, BACKEND)
            ],
            "fp16": allows_fp16(bundle, entry),
            "gpu": gpu.name,
            "capability": gpu.capability,
            "tensorrt": lib.version,
        }
    )


def allows_fp16(bundle: AnyBundle, entry: EngineFile) -> bool:
    """Whether the float parts of an engine may be computed in half precision."""
    keep = bundle.manifest.keep_float if isinstance(bundle.manifest, Manifest) else {}
    return entry.part not in keep


def _build(order: Order, say: Say) -> Built:
    """Build a plan with this machine's timing cache, and keep what the cache has learnt."""
    lib = vendor.load()
    gpu = Gpu(lib)
    machine = "|".join((gpu.name, gpu.capability, lib.version))
    cache = plans_dir() / f"timing-{hashlib.sha256(machine.encode()).hexdigest()[:16]}.bin"
    timing = cache.read_bytes() if cache.is_file() else b""
    context = gpu.take_context()
    try:
        with context.current():
            made = build(lib, replace(order, timing=timing), say)
    finally:
        context.release()
    if made.timing:
        with writing(cache.parent):
            put_whole(cache, made.timing)
    return made


def _to_do(bundle: AnyBundle, what: str) -> str:
    return f"{what}. Build it on this board (minutes, once): {_command(bundle)}"


def _command(bundle: AnyBundle) -> str:
    is_known = installed().get(bundle.manifest.name) == bundle.folder
    return BUILD + ("" if is_known else f" --bundle {bundle.folder}")
