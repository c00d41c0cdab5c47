"""LiteRT engines for a bundle that has ONNX ones: translated, tested, packed beside them.

The encoders are translated from the bundle's own ONNX files, so both backends compute with the same
integers. The decoder parts are exported anew, for whole embeddings and fixed numbers of prompts.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import onnx
from torch import nn

from edgesam_engines import build, pack
from edgesam_engines.export import to_onnx
from edgesam_engines.families.base import Family
from edgesam_engines.litert import checks
from edgesam_engines.litert.checks import BACKEND, REFERENCE
from edgesam_engines.litert.flatbuffer import File
from edgesam_engines.litert.parts import part_file
from edgesam_engines.litert.translate import add_graph
from edgesam_rt import bundle as bundles
from edgesam_rt.manifest import EngineFile

Progress = Callable[[str], None]


def run(
    found: bundles.Bundle,
    family: Family,
    model: nn.Module,
    photos: Sequence[Path],
    progress: Progress,
) -> bundles.Bundle:
    """Put LiteRT engines into a bundle, in the place of those that it may have.

    Args:
        found: the bundle; it is replaced as a whole, or left as it is.
        family: of the bundle.
        model: the float model that its decoder was exported from.
        photos: to compare both backends on.
        progress: is told each step.

    Raises:
        TranslationError: a graph has what no rule knows.
        SelfTestError, VerificationError: the backends disagree, or an INT8 encoder computes in
            float.
    """
    manifest = found.manifest
    kept = tuple(e for e in manifest.engines if e.backend != BACKEND)
    with pack.new_bundle(found.folder, replace=True) as folder:
        for name in {entry.file for entry in kept}:
            shutil.copy2(found.folder / name, folder / name)
        progress("encoders: translate")
        made = _encoders(found, folder)
        made += _decoder_parts(found.sides(REFERENCE), family, model, folder, progress)
        manifest = msgspec.structs.replace(manifest, engines=(*kept, *made))
        pack.write_manifest(folder, manifest)
        progress(f"compare with {REFERENCE}")
        report = checks.report(bundles.load(folder), photos)
        checks.require(report, manifest.precision)
        verification = {**manifest.verification, BACKEND: report}
        pack.write_manifest(folder, msgspec.structs.replace(manifest, verification=verification))
    return bundles.load(found.folder)


def _encoders(found: bundles.Bundle, folder: Path) -> list[EngineFile]:
    """One file for all sides: most of their integers are the same, and are written once."""
    file = File("edgesam_rt encoder")
    entries = [found.engine("encoder", REFERENCE, side) for side in found.sides(REFERENCE)]
    for entry in entries:
        add_graph(file, onnx.load(found.path(entry)), f"side{entry.side}")
    content = file.content()
    return [
        pack.write_file(
            folder,
            content,
            part="encoder",
            backend=BACKEND,
            file="encoder.tflite",
            side=entry.side,
            inputs=entry.inputs,
            outputs=entry.outputs,
        )
        for entry in entries
    ]


def _decoder_parts(
    sides: Sequence[int], family: Family, model: nn.Module, folder: Path, progress: Progress
) -> list[EngineFile]:
    """One file for every part: it serves all sides, as the ONNX one does."""
    by_side = {side: family.decoder_graphs(model, side, whole=True) for side in sides}
    made = []
    for part, spec in by_side[sides[0]].items():
        progress(f"{part}: export and translate")
        graph = to_onnx(spec).graph
        inputs, outputs = (
            tuple(pack.tensor_specs(values, build.layouts(family)))
            for values in (graph.input, graph.output)
        )
        made.append(
            pack.write_file(
                folder,
                part_file(part, {side: parts[part] for side, parts in by_side.items()}),
                part=part,
                backend=BACKEND,
                file=f"{part}.tflite",
                side=None,
                inputs=inputs,
                outputs=outputs,
            )
        )
    return made
