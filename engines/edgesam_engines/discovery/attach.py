"""A discovery head into a bundle: while it is built, or into a copy of a finished one."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from edgesam_engines import pack
from edgesam_engines.discovery.head import LAYOUTS, graph_spec, read_head
from edgesam_engines.export import to_onnx
from edgesam_rt import bundle as bundles
from edgesam_rt.discovery import PART
from edgesam_rt.errors import ConfigError
from edgesam_rt.manifest import BoxFacts, EngineFile


def write(checkpoint: Path, folder: Path) -> EngineFile:
    """Export a head into a bundle's folder; one engine serves every side.

    Raises:
        CheckpointError: the file holds none.
    """
    graph = to_onnx(graph_spec(read_head(checkpoint)))
    return pack.write_engine(folder, graph, PART, None, LAYOUTS)


def attach(bundle: Path, checkpoint: Path, facts: BoxFacts, out: Path) -> bundles.Bundle:
    """Copy a bundle, with a head in the place of the one it may have; replaces `out`.

    Raises:
        CheckpointError, BundleError, ConfigError: one of them cannot be used.
    """
    given = bundles.load(bundle)
    if given.manifest.family != "pocketsam":
        raise ConfigError(
            f"bundle {given.label}: discovery heads are made for PocketSAM's feature grids, this "
            f"one is of family {given.manifest.family}."
        )
    kept = tuple(e for e in given.manifest.engines if e.part != PART)
    with pack.new_bundle(out, replace=True) as folder:
        for entry in kept:
            shutil.copyfile(given.path(entry), folder / entry.file)
        engines = (*kept, write(checkpoint, folder))
        manifest = msgspec.structs.replace(given.manifest, engines=engines, discovery=facts)
        pack.write_manifest(folder, manifest)
    return bundles.load(out)
