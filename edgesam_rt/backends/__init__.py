"""Libraries that run engines, behind one seam."""

from __future__ import annotations

import importlib
import importlib.util

from edgesam_rt.backends.base import Backend, BackendOptions
from edgesam_rt.backends.table import TABLE
from edgesam_rt.bundle import Bundle, DetectorBundle
from edgesam_rt.errors import BackendMissing, ConfigError, unknown_name
from edgesam_rt.manifest import Part

__all__ = ["Backend", "BackendOptions", "available", "choose", "open_engine"]


def available() -> tuple[str, ...]:
    """Backends whose library is installed, in the table's order; imports none of them."""
    return tuple(n for n, row in TABLE.items() if importlib.util.find_spec(row.package))


def choose(bundle: Bundle | DetectorBundle, preferred: tuple[str, ...]) -> str:
    """Return the first of the preferred backends that is installed and has engines in the bundle.

    Raises:
        ConfigError: a preferred name is in no table, or the bundle has engines for none of them.
        BackendMissing: the bundle has engines, but nothing installed runs them.
    """
    for name in preferred:
        if name not in TABLE:
            raise ConfigError(unknown_name("backend", name, TABLE))
    here = available()
    fitting = [name for name in preferred if name in bundle.backends]
    for name in fitting:
        if name in here:
            return name
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
    row = TABLE[backend]
    entry = bundle.engine(part, backend, side)
    path = bundle.path(entry)
    try:
        module = importlib.import_module(row.module)
    except ImportError as error:
        raise BackendMissing(f"{backend}: {error}. Install it: {row.missing}.") from error
    factory: type[Backend] = getattr(module, row.factory)
    opened: Backend = factory(path, entry.inputs, entry.outputs, options)  # type: ignore[call-arg,arg-type]
    return opened
