"""The HTTP server of a run, where one is asked for; without it nothing of it is imported."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import edgesam_rt
from edgesam_rt.cli.run_config import RunConfig
from edgesam_rt.errors import ConfigError, ServerMissing
from edgesam_rt.pipeline.pipeline import Plan
from edgesam_rt.secrets import read_secret

if TYPE_CHECKING:
    from edgesam_rt.server.entry import Entry
    from edgesam_rt.service.running import Running

NEEDS = ("prometheus_client", "starlette", "uvicorn")
_NOT_HERE = "a-token-that-nobody-knows"  # stands for one that cannot be read while checking
log = logging.getLogger(__name__)


def entry_of(config: RunConfig, *, is_check: bool) -> Entry | None:
    """Where and to whom a configuration wants to serve; None is nowhere. Opens nothing.

    Args:
        config: to be served.
        is_check: whether nothing will run; a credential that systemd brings may be missing then.

    Raises:
        ConfigError: the address or the token is not right.
        ServerMissing: a library is not installed.
    """
    if config.http is None:
        if config.http_token_file is not None:
            raise ConfigError("http_token_file is given without http: name an address too.")
        return None
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ServerMissing(
            f"http: {', '.join(missing)} is not installed. Run: pip install 'edgesam_rt[service]'"
        )
    from edgesam_rt.server.entry import make_entry

    return make_entry(config.http, _token_of(config.http_token_file, is_check=is_check))


def _token_of(file: str | None, *, is_check: bool) -> str | None:
    if file is None:
        return None
    try:
        return read_secret(file, "http_token_file")
    except ConfigError:
        if not is_check or "/" in file:
            raise
    log.warning("http_token_file: no %s here; LoadCredential=%s:… has to bring it", file, file)
    return _NOT_HERE


@contextmanager
def serving(entry: Entry | None, running: Running[Any] | None, plan: Plan) -> Iterator[None]:
    """Serve a run while it lasts."""
    if entry is None or running is None:
        yield
        return
    from edgesam_rt.server.entry import open_server

    engines = plan.engines
    build = {
        "version": edgesam_rt.__version__,
        "bundle": engines.bundle.label,
        "backend": engines.options.backend,
        "board": engines.board.name,
    }
    with open_server(entry, running, build) as address:
        log.info("http: serving at http://%s/", address)
        yield
