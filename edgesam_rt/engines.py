"""What to run, where: a bundle and a board resolved into engines that threads can open."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec.structs import replace as with_fields

from edgesam_rt import backends, boards, bundle, selftest
from edgesam_rt.boards import Board, LadderStep
from edgesam_rt.boards.ladder import for_sides
from edgesam_rt.bundle import Bundle
from edgesam_rt.decoders import AnyDecoder, open_decoder
from edgesam_rt.discovery import has_discovery
from edgesam_rt.errors import ConfigError
from edgesam_rt.finder import OWN, Finder
from edgesam_rt.segmenter import Encoder, EngineOptions

FINDERS_FALLBACK = "onnxruntime"  # runs what finds boxes where the backend has no engine for it
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineSet:
    """Engines not opened yet. Each thread opens its own from here.

    Attributes:
        board: what we run on.
        bundle: whose engines.
        options: backend and its options.
        sides: encoder sides to use, best first.
        detector_name: bundle of the detector; None is the one that ships, "own" the bundle's head.
        self_test: whether engines are tested before they are trusted.
        passed_over: backends the board prefers to the one in `options`, and why they do not run.
    """

    board: Board
    bundle: Bundle
    options: EngineOptions
    sides: tuple[int, ...]
    detector_name: str | os.PathLike[str] | None = None
    self_test: bool = True
    passed_over: Mapping[str, str] = field(default_factory=dict)
    _trusted: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def steps(self) -> tuple[LadderStep, ...]:
        """The board's ladder with these sides, best first."""
        ladder = self.board.ladder
        if self.bundle.manifest.instances is not None:  # nothing is asked with points
            ladder = tuple(with_fields(step, points_per_side=0) for step in ladder)
        return for_sides(ladder, self.sides)

    @property
    def shares_accelerator(self) -> bool:
        """Whether encoder and decoder run on one device that does one thing at a time."""
        return self.board.shares_accelerator and self.options.backend == self.board.backends[0]

    def open_encoder(self, side: int) -> Encoder:
        """Open the encoder of a side."""
        return Encoder(self.bundle, self.options, side)

    def open_decoder(self) -> AnyDecoder:
        """Open the decoder."""
        return open_decoder(self.bundle, self.options, self.sides[0])

    def open_finder(self) -> Finder:
        """Open what finds boxes for everything mode's "objects".

        Raises:
            ConfigError, BundleError, SelfTestError: it is not there, or cannot be trusted.
        """
        options = self._finder_options()
        return Finder(self.bundle, options, self.detector_name, self_test=self.self_test)

    def _finder_options(self) -> EngineOptions:
        name = self.options.backend
        if self.detector_name == OWN:
            has = has_discovery(self.bundle, name)
        else:
            has = name in bundle.find_detector(self.detector_name).backends
        return self.options if has else replace(self.options, backend=FINDERS_FALLBACK)

    def trust(self, encoder: Encoder, decoder: AnyDecoder) -> None:
        """Run the bundle's self-test on opened engines, once per side.

        Raises:
            SelfTestError: they give wrong answers.
        """
        if not self.self_test:
            return
        with self._lock:
            if encoder.side not in self._trusted:
                selftest.run(self.bundle, encoder, decoder)
                self._trusted.add(encoder.side)
                log.info("%s side %d passed its self-test", self.bundle.label, encoder.side)

    def trust_all(self) -> None:
        """Open, test and close the engines of every side; for before a pipeline starts."""
        missing = [side for side in self.sides if side not in self._trusted]
        if not self.self_test or not missing:
            return
        decoder = self.open_decoder()
        try:
            for side in missing:
                encoder = self.open_encoder(side)
                try:
                    self.trust(encoder, decoder)
                finally:
                    encoder.close()
        finally:
            decoder.close()


def resolve(
    *,
    board: str = "auto",
    bundle_name: str | os.PathLike[str] | None = None,
    backend: str | None = None,
    encoder_side: int | None = None,
    threads: int | None = None,
    detector_name: str | os.PathLike[str] | None = None,
    self_test: bool = True,
    root: Path = Path("/"),
) -> EngineSet:
    """Resolve names into an EngineSet; opens nothing.

    Args:
        board: a board's name, or "auto".
        bundle_name: name or folder of a bundle; None is the board's.
        backend: None is the board's first that is installed.
        encoder_side: None follows the board's ladder.
        threads: None is the board's number.
        detector_name: see EngineSet; looked for when it is opened.
        self_test: see EngineSet.
        root: where the board is looked for.

    Raises:
        ConfigError: an unknown name, a side the bundle does not have, threads < 1.
        BundleError, BackendMissing, EngineLoadError: see `bundle.find` and
            `backends.choose_with_reasons`.
    """
    row = boards.resolve(board, root)
    found = bundle.find(bundle_name if bundle_name is not None else row.bundle)
    choice = backends.choose_with_reasons(found, (backend,) if backend else row.backends)
    for other, reason in choice.passed_over.items():
        log.warning("%s runs, not %s: %s", choice.name, other, reason)
    if threads is not None and threads < 1:
        raise ConfigError(f"threads: expected at least 1, got {threads}.")
    how = backends.BackendOptions(threads=threads or row.thread_count(), spin=row.spin)
    sides = _sides(found, choice.name, row, encoder_side)
    options = EngineOptions(choice.name, how)
    return EngineSet(
        row, found, options, sides, detector_name, self_test, passed_over=choice.passed_over
    )


def _sides(found: Bundle, backend: str, board: Board, wanted: int | None) -> tuple[int, ...]:
    has = found.sides(backend)
    if wanted is not None:
        if wanted not in has:
            raise ConfigError(
                f"encoder side {wanted}: bundle {found.label} has {', '.join(map(str, has))}."
            )
        return (wanted,)
    ladder = {s.encoder_side for s in board.ladder}
    return tuple(side for side in has if side in ladder) or has[:1]
