"""What programs use: `open` a segmenter, `encode`, `predict`, `everything`, `stream`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import overload

from edgesam_rt.cameras.open import open_camera
from edgesam_rt.cameras.spec import parse_source
from edgesam_rt.clock import CLOCK
from edgesam_rt.decoders import AnyDecoder, asking, finding
from edgesam_rt.engines import EngineSet, resolve
from edgesam_rt.errors import BackendError, ConfigError, unknown_name
from edgesam_rt.everything.instances import every_instance
from edgesam_rt.everything.options import with_options
from edgesam_rt.everything.strategies import STRATEGIES, Request, everything
from edgesam_rt.finder import Finder
from edgesam_rt.manifest import InstanceFacts
from edgesam_rt.pipeline.pipeline import Pipeline, Plan
from edgesam_rt.pipeline.stages import Limits
from edgesam_rt.pipeline.task import DEFAULT_STRATEGY, Prompts, make_task, refuse_asking
from edgesam_rt.records import Embedding, MaskSet, Prompt, Result
from edgesam_rt.segmenter import Encoder
from edgesam_rt.types import U8


class Segmenter:
    """Opened engines. Use it in the thread that opened it, as a context manager or with `close`."""

    def __init__(self, engines: EngineSet) -> None:
        """Open the engines of the best side and test them; see `open` for the usual way."""
        self._engines = engines
        self._encoder: Encoder | None = None
        self._decoder: AnyDecoder | None = None
        self._finder: Finder | None = None
        try:
            self._encoder = engines.open_encoder(engines.sides[0])
            self._decoder = engines.open_decoder()
            engines.trust(self._encoder, self._decoder)
        except BaseException:
            self.close()
            raise

    @property
    def bundle(self) -> str:
        """Name and version of the bundle."""
        return self._engines.bundle.label

    @property
    def board(self) -> str:
        """Name of the board it was opened for."""
        return self._engines.board.name

    @property
    def backend(self) -> str:
        """What runs the engines."""
        return self._engines.options.backend

    @property
    def encoder_side(self) -> int:
        """Side of the encoder's square input, px."""
        return self._engines.sides[0]

    def encode(self, image: U8) -> Embedding:
        """Encode a picture once; all prompts about it are answered from the result.

        Args:
            image: (H, W, 3) uint8 RGB, as `read_image` gives it.

        Raises:
            ShapeError: it is not such a picture.
        """
        return self._opened()[0].encode(image)

    @overload
    def predict(
        self, embedding: Embedding, prompts: Prompt, *, multimask_output: bool = False
    ) -> MaskSet: ...

    @overload
    def predict(
        self, embedding: Embedding, prompts: Sequence[Prompt], *, multimask_output: bool = False
    ) -> list[MaskSet]: ...

    def predict(
        self,
        embedding: Embedding,
        prompts: Prompt | Sequence[Prompt],
        *,
        multimask_output: bool = False,
    ) -> MaskSet | list[MaskSet]:
        """Answer a prompt, or many in one batch.

        Args:
            embedding: of the picture, from `encode`.
            prompts: one prompt, or a sequence with one per object.
            multimask_output: give all candidates of each prompt instead of the best one: first the
                answer to a clear prompt, then those to an ambiguous point.

        Returns:
            For one prompt a MaskSet; for a sequence a list of them in the same order.

        Raises:
            PromptError: a prompt means nothing on this picture.
            ShapeError: a mask input of another encoder side.
        """
        decoder = self._opened()[1]
        if isinstance(prompts, Prompt):
            return decoder.predict(embedding, [prompts], multimask_output=multimask_output)
        found = decoder.predict(embedding, prompts, multimask_output=multimask_output)
        each = decoder.facts.masks if multimask_output else 1
        return [found[i * each : (i + 1) * each] for i in range(len(prompts))]

    def everything(
        self,
        image: U8 | Embedding,
        *,
        strategy: str = DEFAULT_STRATEGY,
        deadline_ms: float | None = None,
        **options: float,
    ) -> MaskSet:
        """Find all masks of a picture.

        Args:
            image: (H, W, 3) uint8 RGB, or its embedding.
            strategy: "grid": ask with a uniform grid of points (SAM's automatic mask generator);
                "hierarchical": coarsely first, then finely where nothing was sure (TinySAM);
                "objects": ask with the boxes of a detector (MobileSAMv2), which needs the image.
                A bundle that finds all instances at once (FastSAM) asks nothing and has none.
            deadline_ms: from now on; the masks found until then are returned, and `completeness`
                tells how much was left. A step that has begun is finished. None is no deadline.
            options: thresholds instead of the bundle's own, by SAM's names; see
                `edgesam_rt.manifest.EverythingFacts`, or `InstanceFacts` of such a bundle.

        Returns:
            Masks by falling predicted IoU ("objects": times the box's score); possibly none.

        Raises:
            ConfigError: an unknown strategy or option, or one that needs the image.
        """
        started_ns = CLOCK.now_ns()
        if strategy not in STRATEGIES:
            raise ConfigError(unknown_name("strategy", strategy, STRATEGIES))
        facts = with_options(self._engines.bundle.manifest.thresholds, options)
        encoder, decoder = self._opened()
        is_embedding = isinstance(image, Embedding)
        deadline_ns = None if deadline_ms is None else started_ns + int(deadline_ms * 1e6)
        if isinstance(facts, InstanceFacts):
            refuse_asking("everything", strategy)
            return every_instance(finding(decoder), self._embedded(image), facts, deadline_ns)
        request = Request(
            asking(decoder, "everything mode"),
            self._embedded(image),
            facts,
            pixels=None if isinstance(image, Embedding) else image,
            encode=None if is_embedding else encoder.encode,
            find=self._opened_finder().find if strategy == "objects" else None,
            deadline_ns=deadline_ns,
        )
        return everything(strategy, request)

    def stream(
        self,
        source: str,
        *,
        prompts: Prompt | Sequence[Prompt] = (),
        mode: str | None = None,
        strategy: str = DEFAULT_STRATEGY,
        budget_ms: float | None = None,
        max_frames: int | None = None,
    ) -> Iterator[Result]:
        """Segment the frames of a source, camera and engines working side by side.

        Capture, encoding and decoding run in threads of their own with engines of their own. A
        live source gives its newest frame and drops what the reader is too slow for; a file waits
        for its reader and loses nothing. Leaving the loop stops the run.

        Args:
            source: as on the command line: a path, "v4l2:/dev/video0", "synthetic:?frames=50", …
            prompts: asked of every frame: one, or a sequence with one per object; in track mode of
                the first one.
            mode: "prompt", "everything", or "track": objects prompted in the first frame are
                followed, and `Result.tracks` says how it stands with them. None: "prompt" if there
                are prompts.
            strategy: of everything mode, see `everything`.
            budget_ms: capture to result; None is the board's, 0 none.
            max_frames: stop after so many.

        Yields:
            A Result per frame.

        Raises:
            ConfigError, CameraError, PipelineError: what went wrong, once.
        """
        self._opened()
        spec = parse_source(source)
        asked = (prompts,) if isinstance(prompts, Prompt) else tuple(prompts)
        facts = self._engines.bundle.manifest.thresholds
        plan = Plan(
            engines=self._engines,
            open_camera=lambda: open_camera(spec),
            task=make_task(mode, Prompts(asked), strategy, facts),
            budget_ms=self._engines.board.budget_ms if budget_ms is None else budget_ms,
            limits=Limits(max_frames=max_frames),
        )
        return _results(plan)

    def close(self) -> None:
        """Give the engines back; a second call does nothing."""
        for engine in (self._encoder, self._decoder, self._finder):
            if engine is not None:
                engine.close()
        self._encoder = self._decoder = self._finder = None

    def __enter__(self) -> Segmenter:
        """Nothing more to do: it is open."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _embedded(self, image: U8 | Embedding) -> Embedding:
        """A picture's embedding, made now if it is not one already."""
        return image if isinstance(image, Embedding) else self._opened()[0].encode(image)

    def _opened_finder(self) -> Finder:
        """What finds boxes, opened when it is first needed."""
        self._opened()
        if self._finder is None:
            self._finder = self._engines.open_finder()
        return self._finder

    def _opened(self) -> tuple[Encoder, AnyDecoder]:
        if self._encoder is None or self._decoder is None:
            raise BackendError("this segmenter was closed; open another one with edgesam_rt.open.")
        return self._encoder, self._decoder


def _results(plan: Plan) -> Iterator[Result]:
    with Pipeline(plan, with_results=True) as pipeline:
        yield from pipeline.results()


def open(
    bundle: str | os.PathLike[str] | None = None,
    *,
    board: str = "auto",
    backend: str | None = None,
    encoder_side: int | None = None,
    threads: int | None = None,
    detector: str | os.PathLike[str] | None = None,
    self_test: bool = True,
) -> Segmenter:
    """Open a bundle's engines on a board.

    Args:
        bundle: name or folder; None is the one the board's file names.
        board: "auto" recognises it; or a name, see `edgesam-run --help`.
        backend: None is the first of the board's that is installed.
        encoder_side: px; None is the first step of the board's ladder. Smaller is quicker.
        threads: None is the board's number.
        detector: name or folder of the bundle that finds boxes for strategy "objects"; None is the
            one that ships, "own" the discovery head of this bundle: quicker, and finds fewer.
            Opened when it is first needed.
        self_test: test the engines before they are trusted; takes two encoder runs.

    Raises:
        ConfigError: an unknown name; known ones are listed.
        BundleError: the bundle is incomplete or altered.
        SelfTestError: its engines give wrong answers on this machine.
        BackendMissing, EngineLoadError: they cannot be run here.
    """
    return Segmenter(
        resolve(
            board=board,
            bundle_name=bundle,
            backend=backend,
            encoder_side=encoder_side,
            threads=threads,
            detector_name=detector,
            self_test=self_test,
        )
    )
