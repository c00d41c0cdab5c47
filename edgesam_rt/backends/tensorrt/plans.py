"""The cache of plans: one folder per plan, named by all that the plan depends on.

A plan fits one GPU and one TensorRT, so a system update asks for new ones by asking for another
folder; nothing is ever loaded that was made elsewhere. A folder appears whole, by a rename, or not
at all. It holds `engine.plan`, `facts.json` (what it was made from and how) and, once the plan was
proved, `verdict.json`. Locks belong to open files, so they go with a process however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgesam_rt.errors import BackendError
from edgesam_rt.paths import cache_dir

FORMAT = 1  # of the folder, and of how plans are built; another number makes all plans anew
PLAN, FACTS, VERDICT = "engine.plan", "facts.json", "verdict.json"
State = Literal["missing", "damaged", "unproven", "refused", "trusted"]
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """A place for one plan, which may not be there yet.

    Attributes:
        folder: of the plan.
        facts: all that it depends on; plain JSON.
    """

    folder: Path
    facts: Facts

    @property
    def path(self) -> Path:
        """The plan's file."""
        return self.folder / PLAN

    def state(self) -> State:
        """What there is. "damaged" is a file that is not the one that was written."""
        if not self.folder.is_dir():
            return "missing"
        noted = _read(self.folder / FACTS)
        if noted is None or noted.get("sha256") != _sha256(self.path):
            return "damaged"
        verdict = _read(self.folder / VERDICT)
        if verdict is None:
            return "unproven"
        return "trusted" if verdict.get("problems") == [] else "refused"

    def noted(self) -> dict[str, Any]:
        """What was written down when it was built, but for its profiles; empty if it is missing."""
        found = _read(self.folder / FACTS) or {}
        return {key: value for key, value in found.items() if key != "profiles"}

    def problems(self) -> list[str]:
        """Why it was refused."""
        return list((_read(self.folder / VERDICT) or {}).get("problems", []))

    def write(self, content: bytes, more: Facts) -> None:
        """Put a plan here, whole or not at all, in the place of an older one."""
        noted = {**self.facts, **more, "sha256": hashlib.sha256(content).hexdigest()}
        with writing(self.folder.parent) as parent:
            new = Path(tempfile.mkdtemp(prefix=f".{self.folder.name}.", dir=parent))
            try:
                _put(new / PLAN, content)
                _put(new / FACTS, json.dumps(noted, indent=2).encode())
                shutil.rmtree(self.folder, ignore_errors=True)
                new.rename(self.folder)
            finally:
                shutil.rmtree(new, ignore_errors=True)

    def judge(self, problems: Sequence[str]) -> None:
        """Note what its proof found; with no problems it is trusted from now on."""
        with writing(self.folder):
            put_whole(self.folder / VERDICT, json.dumps({"problems": list(problems)}).encode())

    @contextlib.contextmanager
    def lock(self, wait: Callable[[], None]) -> Iterator[None]:
        """Keep other processes from making the same plan; `wait` is called before waiting."""
        with writing(self.folder.parent) as parent:
            stream = (parent / f"{self.folder.name}.lock").open("ab")
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                wait()
                fcntl.flock(stream, fcntl.LOCK_EX)
            _sweep(self.folder)
            yield


def plan_for(facts: Facts) -> Plan:
    """The place of the plan with these facts."""
    all_facts = {"format": FORMAT, **facts}
    text = json.dumps(all_facts, sort_keys=True, separators=(",", ":"))
    return Plan(plans_dir() / hashlib.sha256(text.encode()).hexdigest()[:32], all_facts)


def plans_dir() -> Path:
    """Where plans are."""
    return cache_dir() / "tensorrt"


def put_whole(path: Path, content: bytes) -> None:
    """Write a file that is never seen half written."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        _put(Path(name), content)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """A folder to write into, made if need be.

    Raises:
        BackendError: it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except OSError as error:
        raise BackendError(
            f"tensorrt: cannot keep plans in {folder}: {error.strerror or error}. Free some space "
            "or name another folder with EDGESAM_CACHE."
        ) from error


def _put(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sweep(folder: Path) -> None:
    """Take away what a process that was killed left half made. Only under the plan's lock."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left, ignore_errors=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
