"""LiteRT engines for a bundle that has ONNX ones: translated, tested, packed beside them.

Everything is translated from the bundle's own ONNX files, so both backends compute with the same
integers. Only decoder parts that want embeddings cut to the picture are exported anew from the
checkpoint, for whole ones: LiteRT's shapes are fixed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import onnx
from torch import nn

from edgesam_engines import bundle_parts, pack
from edgesam_engines.errors import TranslationError
from edgesam_engines.export import to_onnx
from edgesam_engines.families.base import Family
from edgesam_engines.litert import checks
from edgesam_engines.litert.checks import BACKEND, REFERENCE
from edgesam_engines.litert.flatbuffer import File
from edgesam_engines.litert.parts import BUCKETS, Fixed, bound, exported, part_file
from edgesam_engines.litert.translate import add_graph
from edgesam_rt import bundle as bundles
from edgesam_rt.manifest import EngineFile, Part, TensorSpec

Progress = Callable[[str], None]
Weights = Callable[[], tuple[Family, nn.Module]]  # a bundle's family, and its float model


def run(
    found: bundles.Bundle, weights: Weights, photos: Sequence[Path], progress: Progress
) -> bundles.Bundle:
    """Put LiteRT engines into a bundle, in the place of those that it may have.

    Args:
        found: the bundle; it is replaced as a whole, or left as it is.
        weights: asked only where the decoder must be exported anew.
        photos: to compare both backends on.
        progress: is told each step.

    Raises:
        TranslationError: a graph has what no rule knows.
        SelfTestError, VerificationError: the backends disagree, or an INT8 encoder computes in
            float.
    """
    if found.manifest.instances is not None:
        raise TranslationError(
            f"bundle {found.label}: networks that find instances are not translated for LiteRT. "
            "ONNX Runtime runs it."
        )
    with pack.new_bundle(found.folder, replace=True) as folder:
        for name in {e.file for e in found.manifest.engines if e.backend != BACKEND}:
            shutil.copy2(found.folder / name, folder / name)
        fill(folder, found, weights, photos, progress)
    return bundles.load(found.folder)


def fill(
    folder: Path,
    found: bundles.Bundle,
    weights: Weights,
    photos: Sequence[Path],
    progress: Progress,
) -> None:
    """Put LiteRT engines into a folder that has a bundle's other ones; the rest is as in `run`.

    Args:
        folder: where its new files go, and its new manifest.
        found: the bundle, in that folder or in another one.
        weights: as in `run`.
        photos: as in `run`.
        progress: as in `run`.
    """
    manifest = found.manifest
    kept = tuple(e for e in manifest.engines if e.backend != BACKEND)
    progress("encoders: translate")
    made = _encoders(found, folder)
    cuts = manifest.decoder.cut_multiple > 0
    parts = _exported_parts(found, *weights()) if cuts else _own_parts(found)
    made += [_write_part(folder, part, progress) for part in parts]
    manifest = msgspec.structs.replace(manifest, engines=(*kept, *made))
    pack.write_manifest(folder, manifest)
    progress(f"compare with {REFERENCE}")
    report = checks.report(bundles.load(folder), photos)
    checks.require(report, manifest.precision, checks.float_convolutions(found))
    verification = {**manifest.verification, BACKEND: report}
    pack.write_manifest(folder, msgspec.structs.replace(manifest, verification=verification))


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


@dataclass(frozen=True)
class _DecoderPart:
    """One part for every side: one file serves all, as the ONNX one does."""

    part: Part
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    by_side: Mapping[int, Fixed]


def _own_parts(found: bundles.Bundle) -> list[_DecoderPart]:
    """The bundle's own ONNX files: they take whole squares as they are."""
    sides = found.sides(REFERENCE)
    entries = [found.engine(part, REFERENCE, sides[0]) for part in BUCKETS if _has(found, part)]
    return [
        _DecoderPart(
            entry.part,
            entry.inputs,
            entry.outputs,
            dict.fromkeys(sides, bound(onnx.load(found.path(entry)))),
        )
        for entry in entries
    ]


def _has(found: bundles.Bundle, part: Part) -> bool:
    return found.has(part, REFERENCE, found.sides(REFERENCE)[0])


def _exported_parts(found: bundles.Bundle, family: Family, model: nn.Module) -> list[_DecoderPart]:
    """Parts exported anew, for whole squares."""
    by_side = {
        side: family.decoder_graphs(model, side, whole=True) for side in found.sides(REFERENCE)
    }
    made = []
    for part, spec in next(iter(by_side.values())).items():
        graph = to_onnx(spec).graph
        inputs, outputs = (
            tuple(pack.tensor_specs(values, bundle_parts.layouts(family)))
            for values in (graph.input, graph.output)
        )
        fixed = {side: exported(parts[part]) for side, parts in by_side.items()}
        made.append(_DecoderPart(part, inputs, outputs, fixed))
    return made


def _write_part(folder: Path, made: _DecoderPart, progress: Progress) -> EngineFile:
    progress(f"{made.part}: translate")
    return pack.write_file(
        folder,
        part_file(made.part, made.by_side),
        part=made.part,
        backend=BACKEND,
        file=f"{made.part}.tflite",
        side=None,
        inputs=made.inputs,
        outputs=made.outputs,
    )
