"""Quotas of control groups, version 1 and 2, as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesam_rt.system.quota import quota_cores
from tests.bench.machines import write

V2 = {
    "proc/self/cgroup": "0::/system.slice/edgesam@front.service",
    "sys/fs/cgroup/system.slice/edgesam@front.service/cpu.max": "50000 100000",
    "sys/fs/cgroup/system.slice/cpu.max": "max 100000",
}
V1 = {
    "proc/self/cgroup": "4:memory:/docker/ab12\n3:cpu,cpuacct:/docker/ab12\n0::/",
    "sys/fs/cgroup/cpu,cpuacct/docker/ab12/cpu.cfs_quota_us": 25000,
    "sys/fs/cgroup/cpu,cpuacct/docker/ab12/cpu.cfs_period_us": 100000,
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": -1,
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": 100000,
}


def test_the_units_own_quota_counts(tmp_path: Path) -> None:
    assert quota_cores(write(tmp_path, V2)) == 0.5


def test_a_tighter_quota_around_it_counts_more(tmp_path: Path) -> None:
    slice_ = {"sys/fs/cgroup/system.slice/cpu.max": "20000 100000"}
    assert quota_cores(write(tmp_path, {**V2, **slice_})) == 0.2


def test_version_1_says_it_in_two_files(tmp_path: Path) -> None:
    assert quota_cores(write(tmp_path, V1)) == 0.25


def test_inside_a_container_the_group_is_the_root(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}
    assert quota_cores(write(tmp_path, files)) == 1.5


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "0::/x"},
        {"proc/self/cgroup": "0::/x", "sys/fs/cgroup/x/cpu.max": "max 100000"},
        {"proc/self/cgroup": "0::/x", "sys/fs/cgroup/x/cpu.max": "5 0"},
        {"proc/self/cgroup": "0::/../../..", "sys/fs/cgroup/cpu.max": "broken"},
        {"proc/self/cgroup": "nonsense"},
    ],
)
def test_where_nothing_limits_it_there_is_none(files: dict[str, str], tmp_path: Path) -> None:
    assert quota_cores(write(tmp_path, files)) is None
