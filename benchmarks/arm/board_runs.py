"""One board's part of the proof: the job, then every stage, on both machines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arm import adds, compare, opcodes, ops, probe, run_graph
from benchmarks.arm.userland import EXCHANGE, ArmError, Userland
from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import Bundle

JOB = ("--point", "345,120", "--object", "--box", "285,95,415,150")
CPUS = {"rpi5": "cortex-a76", "rpi4": "cortex-a72"}


@dataclass(frozen=True)
class Bench:
    """Where the proof runs.

    Attributes:
        userland: of the other machine.
        work: a folder of this machine for what comes out.
        site: the wheel, unpacked for this machine: both run the same files.
        photo: a picture file.
    """

    userland: Userland
    work: Path
    site: Path
    photo: Path

    @property
    def bundle(self) -> Bundle:
        """The wheel's own."""
        return bundles.find(self.site / "edgesam_rt" / "bundles" / bundles.DEFAULT)

    def native(self, words: list[str]) -> None:
        """Run Python here, on the wheel.

        Raises:
            ArmError: it failed.
        """
        done = subprocess.run(
            [sys.executable, *words],
            env={**os.environ, "PYTHONPATH": str(self.site)},
            cwd=self.work,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ArmError(f"{' '.join(words)}: exit code {done.returncode}.\n{done.stderr[-800:]}")

    def job(self, site: str, board: str, words: tuple[str, ...], out: str) -> Path:
        """`edgesam-run` on the photo inside; returns the folder of its masks."""
        folder = self.userland.exchange / out
        shutil.rmtree(folder, ignore_errors=True)
        command = [f"/opt/{site}/bin/edgesam-run", self.userland.put(self.photo), "--board", board]
        command += ["--out", f"masks:/{EXCHANGE}/{out}", "--json", *words]
        said = json.loads(self.userland.run(CPUS[board], site, command))
        if said["results"] != 1:
            raise ArmError(f"{out}: edgesam-run gave {said['results']} results, expected 1.")
        return folder

    def native_job(self, board: str, words: tuple[str, ...], out: str) -> Path:
        """The same here."""
        folder = self.work / out
        shutil.rmtree(folder, ignore_errors=True)
        command = ["-m", "edgesam_rt", str(self.photo), "--board", board]
        self.native([*command, "--out", f"masks:{folder}", "--quiet", *words])
        return folder


def prove(bench: Bench, board: str, backend: str, site: str) -> dict[str, Any]:
    """The job, the stages and the instructions of one board with one backend."""
    words = ("--backend", backend, *JOB)
    name = f"{board}-{backend}"
    masks = compare.masks(bench.native_job(board, words, name), bench.job(site, board, words, name))
    stages, counts = _stages(bench, board, backend, site)
    return {
        "board": board,
        "cpu": CPUS[board],
        "backend": backend,
        "masks": masks,
        "stages": stages,
        "instructions": counts,
    }


def _stages(
    bench: Bench, board: str, backend: str, site: str
) -> tuple[list[compare.Stage], dict[str, int]]:
    userland, script = bench.userland, Path(probe.__file__)
    here = bench.work / f"{board}-{backend}.npz"
    there = userland.exchange / f"{board}-{backend}-arm.npz"
    log = userland.exchange / "translated.log"
    bench.native([str(script), str(bench.photo), board, backend, str(here)])
    inside = [userland.put(script), userland.put(bench.photo), board, backend]
    inside += [f"/{EXCHANGE}/{there.name}", userland.put(here)]
    userland.run(CPUS[board], site, inside, log)
    with log.open(encoding="ascii", errors="replace") as lines:
        counts = opcodes.count(lines)
    log.unlink()
    with np.load(here) as a, np.load(there) as b:
        return compare.stages(dict(a), dict(b)), counts


def prove_operators(bench: Bench, board: str, side: int, site: str) -> dict[str, Any]:
    """Every integer operator of ONNX Runtime's encoder alone; see `ops`."""
    source = _encoder(bench, side)
    whole, apart = bench.work / "whole.onnx", bench.work / "apart.onnx"
    ops.with_all_outputs(source, whole)
    ops.taken_apart(source, apart)
    inputs = _given(bench, board, side, source, whole)
    kinds = ops.compare(source, *_on_both(bench, board, site, apart, inputs))
    return {"board": board, "cpu": CPUS[board], "side": side, "kinds": kinds}


def prove_adds(bench: Bench, board: str, site: str) -> dict[str, Any]:
    """Additions by the rule that their scales follow; see `adds`."""
    graph, inputs = bench.work / "adds.onnx", bench.work / "adds-in.npz"
    adds.write(graph, inputs)
    rules = adds.compare(*_on_both(bench, board, site, graph, inputs))
    return {"board": board, "cpu": CPUS[board], "rules": rules}


def _on_both(
    bench: Bench, board: str, site: str, graph: Path, inputs: Path
) -> tuple[dict[str, run_graph.Array], dict[str, run_graph.Array]]:
    """The outputs of a graph here and there, by name."""
    here, there = bench.work / "graph.npz", bench.userland.exchange / "graph-arm.npz"
    script, put = Path(run_graph.__file__), bench.userland.put
    bench.native([str(script), str(graph), str(inputs), str(here)])
    words = [put(script), put(graph), put(inputs), f"/{EXCHANGE}/{there.name}"]
    bench.userland.run(CPUS[board], site, words)
    with np.load(here) as a, np.load(there) as b:
        return run_graph.names(a), run_graph.names(b)


def _encoder(bench: Bench, side: int) -> Path:
    """ONNX Runtime's, of the bundle that ships."""
    return bench.bundle.path(bench.bundle.engine("encoder", "onnxruntime", side))


def _square(bench: Bench, board: str, side: int, source: Path) -> Path:
    """The encoder's input that `prove` left here, in a file."""
    with np.load(bench.work / f"{board}-onnxruntime.npz") as arrays:
        square = arrays[f"{side}/input/square"][None]
    (name,) = ops.inputs_of(source)
    path = bench.work / "square.npz"
    np.savez(path, **{run_graph.member(name): square})
    return path


def _given(bench: Bench, board: str, side: int, source: Path, whole: Path) -> Path:
    """What every operator gets: the tensors of a run here, in a file."""
    square, tensors = _square(bench, board, side, source), bench.work / "tensors.npz"
    bench.native([run_graph.__file__, str(whole), str(square), str(tensors)])
    with np.load(tensors) as made, np.load(square) as first:
        given = {run_graph.member(ops.GIVEN) + key: made[key] for key in made}
        np.savez(bench.work / "given.npz", **given, **dict(first))
    return bench.work / "given.npz"
