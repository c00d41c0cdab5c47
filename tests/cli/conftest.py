"""The command line in this process, and a folder full of good and bad input."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesam_rt.cli.run import main
from tests.cli.workplace import Ran, make_workplace

Cli = Callable[..., Ran]


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Input of all kinds; tests write elsewhere."""
    folder = make_workplace(tmp_path_factory.mktemp("workplace"))
    config = folder / "good.toml"
    config.write_text(config.read_text().replace("{d}", str(folder)))
    return folder


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Cli:
    """Run `edgesam-run` in this process; what it logs counts as written to stderr."""

    def call(*args: str | Path) -> Ran:
        capsys.readouterr()
        caplog.clear()
        level = logging.ERROR if "--quiet" in args else logging.WARNING
        with caplog.at_level(level):
            try:
                code = main([str(a) for a in args])
            except SystemExit as left:  # argparse
                code = int(left.code or 0)
        out, err = capsys.readouterr()
        logged = "".join(f"{r.levelname}: {r.getMessage()}\n" for r in caplog.records)
        return Ran(code, out, logged + err)

    return call
