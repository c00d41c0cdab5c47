"""The only writer of bundles: a temporary folder, the manifest last, then a rename."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import onnx

from edgesam_engines.workplace import swap, workplace
from edgesam_rt.bundle import MANIFEST
from edgesam_rt.detector_manifest import DetectorManifest
from edgesam_rt.errors import ConfigError
from edgesam_rt.manifest import EngineFile, Manifest, Part, TensorSpec

_DTYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT64: "int64",
}


def sha256(path: Path) -> str:
    """Of a file, as 64 hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tensor_specs(
    values: Sequence[onnx.ValueInfoProto], layouts: Mapping[str, str]
) -> list[TensorSpec]:
    """What an ONNX graph says of its inputs or outputs."""
    return [
        TensorSpec(
            name=v.name,
            shape=tuple(d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim),
            dtype=_DTYPES[v.type.tensor_type.elem_type],
            layout=layouts.get(v.name, ""),
        )
        for v in values
    ]


def write_engine(
    folder: Path, model: onnx.ModelProto, part: Part, side: int | None, layouts: Mapping[str, str]
) -> EngineFile:
    """Write an ONNX engine into a bundle folder and describe it."""
    onnx.checker.check_model(model)
    return write_file(
        folder,
        model.SerializeToString(deterministic=True),
        part=part,
        backend="onnxruntime",
        file=f"{part}-{side}.onnx" if side else f"{part}.onnx",
        side=side,
        inputs=tuple(tensor_specs(model.graph.input, layouts)),
        outputs=tuple(tensor_specs(model.graph.output, layouts)),
    )


def write_file(
    folder: Path,
    content: bytes,
    *,
    part: Part,
    backend: str,
    file: str,
    side: int | None,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
) -> EngineFile:
    """Write an engine of any backend into a bundle folder and describe it."""
    (folder / file).write_bytes(content)
    return EngineFile(
        part=part,
        backend=backend,
        file=file,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        side=side,
        inputs=inputs,
        outputs=outputs,
    )


def write_manifest(folder: Path, manifest: Manifest | DetectorManifest) -> None:
    """Write (or replace) the manifest, readable by people."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(text + b"\n")


@contextmanager
def new_bundle(out: Path, *, replace: bool) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its place when all went well.

    Raises:
        ConfigError: `out` exists and is not to be replaced, or is not a bundle; or another build
            makes it just now.
        SinkError: there is no room, or no permission.
    """
    check_place(out, replace=replace)
    place = out.resolve()
    with workplace(place) as folder:
        check_place(out, replace=replace)  # another build may just have ended
        yield folder
        swap(folder, place)


def check_place(out: Path, *, replace: bool) -> None:
    """Refuse what a bundle may not be written over.

    Raises:
        ConfigError: see `new_bundle`.
    """
    if out.exists() and not replace:
        raise ConfigError(f"{out} exists. Give another --out, or --replace.")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file, not a bundle's folder; it is not replaced.")
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise ConfigError(f"{out} is not a bundle; it is not replaced.")
