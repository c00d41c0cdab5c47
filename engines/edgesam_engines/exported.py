"""Exported graphs kept on disk: another build of the same weights need not trace them again.

A graph is found by what it was made from: the weights, the sources that export it and the versions
of the packages they use. A file has its content's hash in front: a torn one is none.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import onnx
from torch import nn

import edgesam_engines
from edgesam_engines.ptq.graphs import Progress
from edgesam_rt.sinks.files import write_whole

MOST_BYTES = 2 << 30  # of all of them; the ones not used for longest go
_SOURCES = ("families/*.py", "encoders.py", "export.py", "graph_edits.py", "onnx_network.py")
_SUFFIX = ".graph"  # a hash, then ONNX
_HASH_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Exported:
    """A store of graphs.

    Attributes:
        folder: of its files; None keeps nothing.
        most_bytes: that they may take.
    """

    folder: Path | None = None
    most_bytes: int = MOST_BYTES

    def graph(
        self,
        model: nn.Module,
        facts: object,
        make: Callable[[], onnx.ModelProto],
        progress: Progress,
    ) -> onnx.ModelProto:
        """A graph from the store, or made now and kept.

        Args:
            model: that it is exported from; its weights count.
            facts: what else it depends on; their `repr` counts.
            make: exports it.
            progress: told if it was there, and if it could not be kept.
        """
        if self.folder is None:
            return make()
        path = self.folder / f"{_digest(model, facts)}{_SUFFIX}"
        content = _whole(path)
        if content is not None:
            progress("the exported graph is taken from an earlier build")
            return onnx.load_from_string(content)
        made = make()
        try:
            self._keep(path, made.SerializeToString())
        except OSError as error:
            progress(f"the exported graph is not kept: {path}: {error.strerror or error}")
        return made

    def _keep(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, hashlib.sha256(content).digest() + content)
        room = self.most_bytes
        by_age = sorted(path.parent.glob(f"*{_SUFFIX}"), key=lambda p: -p.stat().st_mtime)
        for old in by_age:
            room -= old.stat().st_size
            if room < 0 and old != path:
                old.unlink(missing_ok=True)


def _whole(path: Path) -> bytes | None:
    """The content of a file that is there and not torn; it then counts as used now."""
    with contextlib.suppress(OSError):
        read = path.read_bytes()
        content = read[_HASH_BYTES:]
        if hashlib.sha256(content).digest() == read[:_HASH_BYTES]:
            os.utime(path)
            return content
    return None


def _digest(model: nn.Module, facts: object) -> str:
    digest = hashlib.sha256(repr((facts, _tool())).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + repr(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().contiguous().numpy())
    return digest.hexdigest()[:32]


@functools.cache
def _tool() -> str:
    """A hash of the sources that graphs come from, and the versions of what exports."""
    root = Path(str(edgesam_engines.__file__)).parent
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _SOURCES for path in root.glob(pattern)):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest() + repr([version(n) for n in ("torch", "onnx", "onnxruntime")])
