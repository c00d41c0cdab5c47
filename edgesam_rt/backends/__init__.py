"""Libraries that run engines, behind one seam."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from edgesam_rt.backends.base import Backend, BackendOptions
from edgesam_rt.backends.setup import Say, judge, prepare, prepared, row, why_not
from edgesam_rt.backends.table import TABLE
from edgesam_rt.bundle import Bundle, DetectorBundle
from edgesam_rt.errors import BackendMissing, ConfigError, EngineLoadError
from edgesam_rt.manifest import Part

__all__ = [
    "Backend",
    "BackendOptions",
    "Say",
    "available",
    "choose",
    "choose_with_reasons",
    "judge",
    "open_engine",
    "prepare",
    "prepared",
    "row",
    "why_not",
]


def available() -> tuple[str, ...]:
    """Backends whose library is installed, in the table's order; imports none of them."""
    return tuple(name for name, found in TABLE.items() if found.is_installed)


def choose(bundle: Bundle | DetectorBundle, preferred: tuple[str, ...]) -> str:
    """The name alone of what `choose_with_reasons` chooses; it raises the same."""
    return choose_with_reasons(bundle, preferred).name


class Choice(NamedTuple):
    """A backend, and why those that were preferred to it are not used, by name."""

    name: str
    passed_over: dict[str, str]


def choose_with_reasons(bundle: Bundle | DetectorBundle, preferred: tuple[str, ...]) -> Choice:
    """Return the first preferred backend that is installed and ready and has engines in the bundle.

    Raises:
        ConfigError: a preferred name is in no table, or the bundle has engines for none of them.
        BackendMissing: the bundle has engines, but nothing installed runs them.
        EngineLoadError: what is installed is not ready to run them.
    """
    for name in preferred:
        row(name)
    here = available()
    fitting = [name for name in preferred if name in bundle.backends]
    reasons: dict[str, str] = {}
    for name in fitting:
        reason = why_not(bundle, name) if name in here else f"not installed: {TABLE[name].missing}"
        if reason is None:
            return Choice(name, reasons)
        reasons[name] = reason
    if waiting := [f"{name}: {reason}" for name, reason in reasons.items() if name in here]:
        raise EngineLoadError(f"{'; '.join(waiting)}.")
    if not fitting:
        raise ConfigError(
            f"bundle {bundle.label}: has engines for {', '.join(bundle.backends)}, "
            f"none for {', '.join(preferred)}."
        )
    raise BackendMissing(
        f"bundle {bundle.label}: none of {', '.join(fitting)} is installed. "
        f"Install one: {TABLE[fitting[0]].missing}."
    )


def open_engine(
    bundle: Bundle | DetectorBundle, part: Part, backend: str, side: int, options: BackendOptions
) -> Backend:
    """Open one engine of a bundle, checked against its hash.

    Raises:
        BundleError: the file is not what the manifest says.
        BackendMissing, EngineLoadError: it cannot be run here.
    """
    chosen = TABLE[backend]
    entry = bundle.engine(part, backend, side)
    try:
        module = importlib.import_module(chosen.module)
    except ImportError as error:
        raise BackendMissing(f"{backend}: {error}. Install it: {chosen.missing}.") from error
    factory: type[Backend] = getattr(module, chosen.factory)
    return factory.of_bundle(bundle, entry, options)
