"""The program under test as a process: started as users start it, looked at through /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.soak.judge import Sample

_SYSTEM_PACKAGES = Path("/usr/lib/python3/dist-packages")
_STOP_S = 30.0


@contextmanager
def started(
    arguments: Sequence[str], summary: Path, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `edgesam-run --json`; ended by SIGTERM at the end.

    Args:
        arguments: of it.
        summary: where its last line goes.
        log: where its messages go.
    """
    with (
        tempfile.TemporaryDirectory() as extra,
        summary.open("wb") as stdout,
        log.open("wb") as stderr,
    ):
        (Path(extra) / "gi").symlink_to(_SYSTEM_PACKAGES / "gi")  # the system's GStreamer
        found = os.pathsep.join([extra, *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "edgesam_rt.cli.run", "--json", *arguments]
        process = subprocess.Popen(
            command, stdout=stdout, stderr=stderr, env={**os.environ, "PYTHONPATH": found}
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def sample(pid: int, began_s: float, results: int) -> Sample:
    """Look at a process now.

    Args:
        pid: of it.
        began_s: `time.monotonic()` at its start.
        results: that it made so far.

    Raises:
        OSError: it is not there any more.
    """
    place = Path("/proc") / str(pid)
    lines = (place / "status").read_text(encoding="ascii", errors="replace").splitlines()
    values = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    return Sample(
        at_s=time.monotonic() - began_s,
        results=results,
        anonymous_mib=int(values["RssAnon"][0]) / 1024,
        threads=int(values["Threads"][0]),
        descriptors=sum(1 for _ in (place / "fd").iterdir()),
    )
