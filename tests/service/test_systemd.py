"""The service under a real systemd: installed by its script, started, hurt, reloaded, stopped."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from tests.firmware import chroots
from tests.service.booted import INSTALL, RUNTIME, Booted, Instance, booted

NEEDED = ("systemd-nspawn", "debootstrap", "nsenter")
MISSING = [name for name in NEEDED if shutil.which(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.geteuid() != 0, reason="a container needs root"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the userland is amd64"),
]
CONFIG = """\
source = "synthetic:?live=1&size=64x48&fps=5{source}"
encoder_side = 384
threads = 1
out = ["jsonl:results.jsonl"]

[[object]]
points = [[30, 20]]
"""
SECOND_OBJECT = "\n[[object]]\nbox = [4, 4, 40, 40]\n"
QUICK = "[Service]\nRestartSec=1\nWatchdogSec=15\n"
Make = Callable[..., Instance]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """A machine on which install_service.sh has installed the runtime and one service."""
    folder = tmp_path_factory.mktemp("systemd")
    with booted(folder, chroots.wheels(tmp_path_factory.mktemp("wheels"))) as up:
        up.write("/srv/first.toml", CONFIG.format(source=""))
        up.must(f"{INSTALL} first {RUNTIME} --config /srv/first.toml --yes", limit_s=900)
        yield up


@pytest.fixture
def make(machine: Booted) -> Iterator[Make]:
    """Write a configuration and install its service; it is stopped at the end."""
    made: list[Instance] = []

    def install(name: str, text: str = CONFIG.format(source="")) -> Instance:
        machine.write(f"/srv/{name}.toml", text)
        machine.must(f"{INSTALL} {name} --config /srv/{name}.toml --yes")
        machine.write(f"/etc/systemd/system/edgesam@{name}.service.d/test.conf", QUICK)
        machine.must("systemctl daemon-reload")
        made.append(Instance(machine, name))
        return made[-1]

    yield install
    for each in made:
        machine.run(f"systemctl stop {each.unit}")


def test_the_script_starts_it_and_a_second_run_finds_nothing_to_do(machine: Booted) -> None:
    first = Instance(machine, "first")
    machine.must(f"{INSTALL} first --start --yes")
    assert (first.show("ActiveState"), first.show("User")) == ("active", "edgesam")
    again = machine.run(f"{INSTALL} first --config /srv/first.toml --start --yes")
    assert "Nothing to do." in again.stderr, again.stderr
    undone = machine.run(f"{INSTALL} first --undo --yes")
    assert undone.returncode == 0, undone.stderr
    assert first.show("ActiveState") == "inactive"
    assert (machine.root / "etc/edgesam/first.toml").exists()


def test_start_returns_only_when_results_flow(make: Make) -> None:
    service = make("flow")
    service.ask("start --no-block")
    while service.show("ActiveState") in ("inactive", "activating"):
        late = len(service.rows()) > 1 and service.show("ActiveState") != "active"
        assert not late, "results flow, and systemd was not told"
    assert service.show("ActiveState") == "active", service.journal()
    service.wait_for("the first result is written", lambda: bool(service.rows()))
    service.ask("restart")
    assert service.journal().count("ready: the first result is there") == 2
    assert "telemetry" not in service.journal()
    service.wait_for("a status", lambda: "results per second" in service.show("StatusText"))
    assert "ladder step 0, age p95" in service.show("StatusText")


def test_killed_it_is_back(make: Make) -> None:
    service = make("killed")
    service.ask("start")
    service.machine.must(f"kill -9 {service.show('MainPID')}")
    service.wait_for("a restart", lambda: service.show("NRestarts") == "1")
    service.wait_for("active again", lambda: service.show("ActiveState") == "active")
    service.wait_for("results again", lambda: bool(service.rows()))


def test_a_camera_that_hangs_is_restarted_by_the_watchdog(make: Make) -> None:
    service = make("hangs", CONFIG.format(source="&silent_after=10"))
    service.ask("start")
    first = service.show("MainPID")
    service.wait_for("the watchdog", lambda: "Watchdog timeout" in service.journal())
    service.wait_for("a restart", lambda: int(service.show("NRestarts")) >= 1)
    service.wait_for("active again", lambda: service.show("ActiveState") == "active")
    assert service.show("MainPID") != first
    assert "Fatal Python error: Aborted" in service.journal()  # where it hung


def test_a_wrong_configuration_is_said_and_not_tried_again(make: Make) -> None:
    service = make("wrong")
    service.machine.write("/etc/edgesam/wrong.toml", 'sorce = "synthetic:"\n')
    assert service.machine.run(f"systemctl start {service.unit}").returncode != 0
    time.sleep(3)  # RestartSec is 1
    assert (service.show("ActiveState"), service.show("NRestarts")) == ("failed", "0")
    said = service.journal("--priority=err")
    assert "/etc/edgesam/wrong.toml: unknown key 'sorce'. Did you mean 'source'?" in said


def test_a_reload_changes_prompts_in_the_same_process(make: Make) -> None:
    service = make("reload")
    service.ask("start")
    pid = service.show("MainPID")
    text = CONFIG.format(source="") + SECOND_OBJECT
    service.machine.write("/etc/edgesam/reload.toml", text)
    service.ask("reload")
    service.wait_for("two objects", lambda: len(service.rows()[-1]["objects"]) == 2)
    service.machine.write("/etc/edgesam/reload.toml", text + "budget = 5\n")
    assert service.machine.run(f"systemctl reload {service.unit}").returncode != 0
    assert "unknown key" in service.journal("--priority=err")
    rows = len(service.rows())
    service.wait_for("more results", lambda: len(service.rows()) > rows)
    assert (service.show("MainPID"), service.show("NRestarts")) == (pid, "0")
    assert [row["frame_id"] for row in service.rows()] == sorted(
        row["frame_id"] for row in service.rows()
    )


def test_http_answers_inside_and_its_token_is_a_credential(make: Make) -> None:
    text = 'http = "127.0.0.1:8080"\nhttp_token_file = "http"\n' + CONFIG.format(source="")
    token = "correct-horse-battery-staple"
    machine = make("named", CONFIG.format(source="")).machine  # the folders are there
    machine.write("/etc/edgesam/credentials/http", token)
    machine.must("chmod 0700 /etc/edgesam/credentials && chmod 0600 /etc/edgesam/credentials/http")
    service = make("http", text)
    credential = "[Service]\nLoadCredential=http:/etc/edgesam/credentials/http\n"
    machine.write("/etc/systemd/system/edgesam@http.service.d/http.conf", credential)
    machine.must("systemctl daemon-reload")
    service.ask("start")
    url = "http://127.0.0.1:8080"
    assert ask_inside(machine, f"{url}/healthz", token) == "200"
    assert ask_inside(machine, f"{url}/metrics", token) == "200"
    assert ask_inside(machine, f"{url}/healthz", "wrong") == "401"
    readable = machine.run("runuser -u edgesam -- cat /etc/edgesam/credentials/http")
    assert readable.returncode != 0, "the user of the service could read the file itself"
    assert token not in service.journal()
    service.ask("reload")
    service.wait_for("the reload", lambda: "reload: changed: nothing" in service.journal())


def ask_inside(machine: Booted, url: str, token: str) -> str:
    """The status that a program on the machine gets; there is no curl."""
    script = """
import sys, urllib.error, urllib.request
url, token = sys.argv[1:]
asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
try:
    print(urllib.request.urlopen(asked, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""
    machine.write("/srv/ask.py", script)
    return machine.must(f"python3 /srv/ask.py {url} {token}")


def test_it_stops_in_time_and_that_is_no_failure(make: Make) -> None:
    service = make("stops")
    service.ask("start")
    started = time.monotonic()
    service.ask("stop")
    assert time.monotonic() - started < 40  # TimeoutStopSec
    assert (service.show("ActiveState"), service.show("Result")) == ("inactive", "success")
    assert service.results.read_text().endswith("}\n")


def test_a_full_disk_loses_results_and_nothing_else(make: Make) -> None:
    service = make("full")
    state = f"/var/lib/edgesam/{service.name}"
    service.machine.must(f"install -d -o edgesam -g edgesam {state}")
    service.machine.must(f"mount -t tmpfs -o size=16k,uid=edgesam,gid=edgesam tmpfs {state}")
    service.ask("start")
    pid = service.show("MainPID")
    service.wait_for("a full disk", lambda: "No space left" in service.journal("--priority=err"))
    service.wait_for("a status", lambda: "lost by sinks" in service.show("StatusText"))
    service.machine.must(f"mount -o remount,size=10m {state}")
    size = f"stat -c %s {state}/results.jsonl"
    before = int(service.machine.must(size))
    service.wait_for("results", lambda: int(service.machine.must(size)) > before)
    assert (service.show("MainPID"), service.show("NRestarts")) == (pid, "0")
    service.machine.must(f"tail -n 1 {state}/results.jsonl | python3 -m json.tool")


def test_it_writes_nothing_outside_its_own_folders(make: Make) -> None:
    """Whatever the services of all tests here made belongs to their user."""
    service = make("tidy")
    service.ask("start")
    found = service.machine.must("find / -xdev -user edgesam -not -path '/proc/*'").split()
    own = ("/var/lib/edgesam", "/var/cache/edgesam")
    assert [path for path in found if not path.startswith(own)] == []
    assert f"{own[0]}/{service.name}/results.jsonl" in found
    outside = "touch /opt/edgesam/x || touch /etc/edgesam/x || touch /var/tmp/../lib/x"
    pid = service.show("MainPID")
    denied = service.machine.run(
        f"nsenter -t {pid} -m -S 0 runuser -u edgesam -- sh -c '{outside}'"
    )
    assert denied.stderr.count("Read-only file system") + denied.stderr.count("denied") >= 3


def test_sysusers_and_tmpfiles_agree_with_the_script(machine: Booted) -> None:
    files = "/etc/passwd /etc/group"
    folders = "/etc/edgesam /var/lib/edgesam /var/cache/edgesam"
    state = f"cat {files}; stat -c '%n %a %U %G' {folders}"
    before = machine.must(state)
    machine.must("systemd-sysusers /srv/edgesam/systemd/sysusers.d/edgesam.conf")
    machine.must("systemd-tmpfiles --create /srv/edgesam/systemd/tmpfiles.d/edgesam.conf")
    assert machine.must(state) == before
