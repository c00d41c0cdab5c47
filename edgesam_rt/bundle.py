"""The only reader of bundles: finds them, checks them, hands out their engine files.

There are two kinds: segmenters (encoder and decoder), and detectors, which find boxes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from edgesam_rt.detector_manifest import KIND, DetectorManifest
from edgesam_rt.errors import BundleError, ConfigError, unknown_name
from edgesam_rt.manifest import COVERED, SCHEMA, EngineFile, Manifest, Part

MANIFEST = "manifest.json"
DEFAULT = "pocketsam-int8"
DEFAULT_DETECTOR = "yolox-nano-int8"
SEARCH_VARIABLE = "EDGESAM_BUNDLES"

_PACKAGE = Path(__file__).resolve().parent
M = TypeVar("M", Manifest, DetectorManifest)


@dataclass(frozen=True)
class EngineFolder(Generic[M]):
    """An opened bundle of either kind: its manifest, and where its files lie."""

    folder: Path
    manifest: M

    @property
    def main_part(self) -> Part:
        """What its pictures go into."""
        return "detector" if isinstance(self.manifest, DetectorManifest) else "encoder"

    @property
    def label(self) -> str:
        """Name and version, as results carry them."""
        return f"{self.manifest.name} {self.manifest.version}"

    @property
    def backends(self) -> tuple[str, ...]:
        """Backends that have its main part here, in the manifest's order."""
        names = (e.backend for e in self.manifest.engines if e.part == self.main_part)
        return tuple(dict.fromkeys(names))

    def sides(self, backend: str) -> tuple[int, ...]:
        """Sides of the main part's input that a backend has, px, largest first."""
        found = {e.side for e in self._of(backend) if e.part == self.main_part and e.side}
        return tuple(sorted(found, reverse=True))

    def has(self, part: Part, backend: str, side: int) -> bool:
        """Whether there is such an engine."""
        return any(e.part == part and e.side in (None, side) for e in self._of(backend))

    def takes_squares(self, backend: str, side: int) -> bool:
        """Whether a backend's engines want embeddings as whole squares, not cut to the picture."""
        entries = (e for e in self._of(backend) if e.side in (None, side))
        return any(spec.name == COVERED for entry in entries for spec in entry.inputs)

    def engine(self, part: Part, backend: str, side: int) -> EngineFile:
        """Return the engine file of a part.

        Raises:
            BundleError: the bundle has none.
        """
        for entry in self._of(backend):
            if entry.part == part and entry.side in (None, side):
                return entry
        has = ", ".join(
            f"{e.part} {e.backend} {e.side or ''}".strip() for e in self.manifest.engines
        )
        raise BundleError(
            f"bundle {self.folder}: no {part} for {backend} at side {side}; it has {has}."
        )

    def path(self, entry: EngineFile) -> Path:
        """Return the path of an engine file whose content is what the manifest says.

        Raises:
            BundleError: the file was altered or is incomplete.
        """
        path = self.folder / entry.file
        _check_size(self.folder, entry)
        with path.open("rb") as stream:
            digest = hashlib.sha256()
            while block := stream.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != entry.sha256:
            raise BundleError(
                f"bundle {self.folder}: {entry.file} was altered: expected sha256 "
                f"{entry.sha256[:12]}…, got {digest.hexdigest()[:12]}…. Install the bundle again."
            )
        return path

    def check_files(self, backend: str) -> None:
        """Check all files of a backend against their hashes.

        Raises:
            BundleError: one was altered or is incomplete.
        """
        for entry in self._of(backend):
            self.path(entry)

    def _of(self, backend: str) -> Iterator[EngineFile]:
        return (e for e in self.manifest.engines if e.backend == backend)


Bundle = EngineFolder[Manifest]
DetectorBundle = EngineFolder[DetectorManifest]


def _check_size(folder: Path, entry: EngineFile) -> None:
    path = folder / entry.file
    if not path.is_file():
        raise BundleError(
            f"bundle {folder}: {entry.file} is missing. It was half copied; install it again."
        )
    size = path.stat().st_size
    if size != entry.size_bytes:
        raise BundleError(
            f"bundle {folder}: {entry.file} is incomplete or altered: expected "
            f"{entry.size_bytes} bytes, got {size}. Install the bundle again."
        )


def load(folder: Path) -> Bundle:
    """Read a segmenter's manifest and check that all its files are there.

    Raises:
        BundleError: no manifest, an unknown schema, a key too many or too few, a missing file, or
            a bundle of another kind.
    """
    raw = _raw_manifest(folder)
    if "kind" in raw:
        raise BundleError(
            f"bundle {folder}: it is a {raw['kind']}, not a segmenter. Name a bundle with an "
            f"encoder, such as {DEFAULT!r}; detectors go with everything mode."
        )
    return EngineFolder(folder, _checked(folder, raw, Manifest, "encoder"))


def load_detector(folder: Path) -> DetectorBundle:
    """Read a detector's manifest; as `load`, and with the same errors."""
    raw = _raw_manifest(folder)
    if raw.get("kind") != KIND:
        raise BundleError(
            f"bundle {folder}: it is a {raw.get('kind', 'segmenter')}, not a detector. Name a "
            f"bundle that finds boxes, such as {DEFAULT_DETECTOR!r}."
        )
    return EngineFolder(folder, _checked(folder, raw, DetectorManifest, "detector"))


def load_any(folder: Path) -> Bundle | DetectorBundle:
    """Read a bundle of either kind; as `load`, and with the same errors."""
    kind = _raw_manifest(folder).get("kind")
    return load_detector(folder) if kind == KIND else load(folder)


def _raw_manifest(folder: Path) -> dict[str, object]:
    """The manifest as plain data, of a schema that this runtime reads."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(
            f"bundle {folder}: no {MANIFEST}. A bundle is a folder made by `edgesam-engines build`."
        )
    try:
        raw = msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _damaged(folder, error) from error
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or schema != SCHEMA:
        raise BundleError(
            f"bundle {folder}: {MANIFEST} has schema {schema!r}, this runtime reads {SCHEMA}. "
            "Use the edgesam_rt release that belongs to the bundle, or build the bundle again."
        )
    return raw


def _checked(folder: Path, raw: dict[str, object], kind: type[M], main_part: Part) -> M:
    """The manifest, with all its files in place."""
    try:
        manifest = msgspec.convert(raw, kind)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise _damaged(folder, error) from error
    if not any(entry.part == main_part for entry in manifest.engines):
        raise BundleError(
            f"bundle {folder}: it has no {main_part} engine. Install the bundle again."
        )
    for entry in manifest.engines:
        if Path(entry.file).is_absolute() or ".." in Path(entry.file).parts:
            raise BundleError(
                f"bundle {folder}: engine file {entry.file!r} lies outside of it. Install it again."
            )
        _check_size(folder, entry)
    return manifest


def _damaged(folder: Path, error: Exception) -> BundleError:
    return BundleError(
        f"bundle {folder}: {MANIFEST} is damaged: {error}. Install the bundle again."
    )


def search_path() -> list[Path]:
    """Folders that hold bundles, first match first.

    `EDGESAM_BUNDLES` (folders, separated as in PATH), then those the package carries, then those of
    the repository that the package was installed from in editable form.
    """
    named = [Path(p) for p in os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep) if p]
    own = [_PACKAGE / "bundles", _PACKAGE.parent / "engines" / "prebuilt"]
    return [*named, *(p for p in own if p.is_dir())]


def installed() -> dict[str, Path]:
    """Bundles on the search path, by folder name; hidden ones are still being made."""
    found: dict[str, Path] = {}
    for base in search_path():
        if base.is_dir():
            for folder in sorted(base.iterdir()):
                if (folder / MANIFEST).is_file() and not folder.name.startswith("."):
                    found.setdefault(folder.name, folder)
    return found


def find(name_or_path: str | os.PathLike[str] | None) -> Bundle:
    """Load a segmenter by name or folder; None is the default one.

    Raises:
        ConfigError: there is no such bundle; known ones are listed.
        BundleError: it is damaged, or a detector.
    """
    return load(_folder(name_or_path, DEFAULT))


def find_detector(name_or_path: str | os.PathLike[str] | None) -> DetectorBundle:
    """Load a detector by name or folder; None is the default one.

    Raises:
        ConfigError: there is no such bundle; known ones are listed.
        BundleError: it is damaged, or a segmenter.
    """
    return load_detector(_folder(name_or_path, DEFAULT_DETECTOR))


def find_any(name_or_path: str | os.PathLike[str]) -> Bundle | DetectorBundle:
    """Load a bundle of either kind; the errors are those of `find`."""
    return load_any(_folder(name_or_path, DEFAULT))


def _folder(name_or_path: str | os.PathLike[str] | None, default: str) -> Path:
    name = os.fspath(name_or_path) if name_or_path is not None else default
    if os.sep in name or Path(name).is_dir():
        if not Path(name).is_dir():
            raise ConfigError(f"bundle {name}: no such folder.")
        return Path(name)
    known = installed()
    if name not in known:
        raise ConfigError(unknown_name("bundle", name, known))
    return known[name]
