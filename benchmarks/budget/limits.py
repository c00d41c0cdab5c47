"""Ways to take the processor away from a process, and to give it back."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

CGROUPS = Path("/sys/fs/cgroup")
PERIOD_US = 100_000  # the kernel's, systemd's and Docker's own
GROUP = f"edgesam-budget-{os.getpid()}"


class Load(Protocol):
    """Something that makes a process slower. It may be begun and ended again and again."""

    how: str

    def begin(self, pid: int) -> None:
        """Make the process slower."""
        ...

    def end(self, pid: int) -> None:
        """Leave it alone again."""
        ...


class Quota:
    """A share of one core, by the kernel's control groups (v2 or v1).

    Args:
        cores: that the process may use.
    """

    def __init__(self, cores: float) -> None:
        self._cores = cores
        is_v2 = (CGROUPS / "cgroup.controllers").exists()
        self._group = (CGROUPS if is_v2 else CGROUPS / "cpu") / GROUP
        self._is_v2 = is_v2
        self.how = f"cgroup v{2 if is_v2 else 1} quota, period {PERIOD_US // 1000} ms"

    @staticmethod
    def works() -> bool:
        """Whether this machine lets us make such a group."""
        probe = Quota(1.0)
        try:
            probe._write(None)
        except OSError:
            return False
        finally:
            probe.remove()
        return True

    def begin(self, pid: int) -> None:
        """Limit the process."""
        self._write(self._cores)
        (self._group / "cgroup.procs").write_text(str(pid))

    def end(self, pid: int) -> None:
        """Take the limit away; the process stays in the group until it ends."""
        del pid
        self._write(None)

    def remove(self) -> None:
        """Remove the group, once nothing is in it."""
        with contextlib.suppress(OSError):
            self._group.rmdir()

    def _write(self, cores: float | None) -> None:
        self._group.mkdir(exist_ok=True)
        if self._is_v2:
            quota = "max" if cores is None else str(int(cores * PERIOD_US))
            (self._group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        else:
            quota = "-1" if cores is None else str(int(cores * PERIOD_US))
            (self._group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (self._group / "cpu.cfs_quota_us").write_text(quota)


class DutyCycle:
    """A share of the time, by stopping and continuing the process: where there are no groups.

    It is harder than a quota: while the process is stopped, nothing of it runs at all.

    Args:
        share: of the time that the process runs.
    """

    how = f"SIGSTOP and SIGCONT, period {PERIOD_US // 1000} ms"

    def __init__(self, share: float) -> None:
        self._share = share
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, pid: int) -> None:
        """Begin to stop it."""
        self._ended.clear()
        self._thread = threading.Thread(target=self._work, args=(pid,), daemon=True)
        self._thread.start()

    def end(self, pid: int) -> None:
        """Stop no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _work(self, pid: int) -> None:
        period_s = PERIOD_US / 1e6
        with contextlib.suppress(ProcessLookupError):
            while not self._ended.wait(period_s * self._share):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(period_s * (1 - self._share))
                os.kill(pid, signal.SIGCONT)


class Rivals:
    """Busy processes of the same priority.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._busy: list[multiprocessing.Process] = []
        self.how = f"{count} busy processes of the same priority"

    def begin(self, pid: int) -> None:
        """Start them."""
        del pid
        self._busy = [
            multiprocessing.Process(target=_burn, daemon=True) for _ in range(self._count)
        ]
        for process in self._busy:
            process.start()

    def end(self, pid: int) -> None:
        """End them."""
        del pid
        for process in self._busy:
            process.kill()
            process.join()


@contextlib.contextmanager
def share_of_a_core(share: float) -> Iterator[Load]:
    """The best way there is here to leave a process a share of one core."""
    if not Quota.works():
        yield DutyCycle(share)
        return
    quota = Quota(share)
    try:
        yield quota
    finally:
        quota.remove()


def _burn() -> None:
    while True:
        pass
