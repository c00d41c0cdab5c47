"""What a backend may need on a board before it can run a bundle, and whether it is trusted.

Most need nothing. TensorRT makes plans, which takes minutes and happens on the board. A row of the
table names a module with four functions: `why_not(bundle)`, `prepare(bundle, say, rebuild)`,
`judge(bundle, problems)` and `prepared(bundle)`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from edgesam_rt.backends.table import TABLE, BackendRow
from edgesam_rt.bundle import Bundle, DetectorBundle
from edgesam_rt.errors import BackendMissing, ConfigError, unknown_name

Say = Callable[[str], None]
AnyBundle = Bundle | DetectorBundle


class _Setup(Protocol):
    def why_not(self, bundle: AnyBundle) -> str | None: ...

    def prepare(self, bundle: AnyBundle, say: Say, *, rebuild: bool) -> None: ...

    def judge(self, bundle: AnyBundle, problems: Sequence[str]) -> None: ...

    def prepared(self, bundle: AnyBundle) -> list[dict[str, Any]]: ...


def row(name: str) -> BackendRow:
    """A backend's row.

    Raises:
        ConfigError: there is none of that name; known ones are listed.
    """
    if name not in TABLE:
        raise ConfigError(unknown_name("backend", name, TABLE))
    return TABLE[name]


def why_not(bundle: AnyBundle, name: str) -> str | None:
    """Why a backend cannot run a bundle here yet, and what to do; None if it can."""
    module = _module(name)
    return module.why_not(bundle) if module else None


def prepare(bundle: AnyBundle, name: str, say: Say | None = None, *, rebuild: bool = False) -> None:
    """Make what a backend needs to run a bundle here; with `rebuild` also what is there already.

    Raises:
        BackendMissing, BackendError, BundleError: it cannot be made.
    """
    if module := _module(name):
        module.prepare(bundle, say or _silent, rebuild=rebuild)


def judge(bundle: AnyBundle, name: str, problems: Sequence[str]) -> None:
    """Note whether what was prepared may be used: with no problems it may."""
    if module := _module(name):
        module.judge(bundle, problems)


def prepared(bundle: AnyBundle, name: str) -> list[dict[str, Any]]:
    """What is known of what was prepared, as plain JSON; for reports."""
    module = _module(name)
    return module.prepared(bundle) if module else []


def _module(name: str) -> _Setup | None:
    chosen = row(name)
    if chosen.setup is None:
        return None
    try:
        return cast("_Setup", importlib.import_module(chosen.setup))
    except ImportError as error:
        raise BackendMissing(f"{name}: {error}. Install it: {chosen.missing}.") from error


def _silent(_: str) -> None:
    """For who is not interested."""
