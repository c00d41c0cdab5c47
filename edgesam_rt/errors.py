"""Every error this package raises on purpose.

    EdgeSamError                exit code 1
      ConfigError               2   what the user asked for is wrong: name, value, file, prompt
        PromptError             2   a prompt that cannot mean anything on this picture
        ServerMissing           3   a library that the HTTP server needs is not installed
        ControlError            2   the run cannot be changed as asked, over HTTP
          NoFrame               2   there is no picture to try the change on
          UnknownObject         2   no object has that id
          WrongMode             2   not in this mode, or no more of it
      BundleError               1   a bundle is incomplete, altered, or of an unknown schema
        SelfTestError           1   its engine does not give the answers it was accepted with
      BackendError              1
        BackendMissing          3   the runtime library is not installed
        EngineLoadError         1   the library refused the engine file
        ShapeError              1   a tensor has another shape or dtype than the manifest says
      ImageError                1   a picture that cannot be read
        ImageTruncated          1   its end is missing
      CameraError               1   a source broke while it was read
        CameraMissing           3   no such device, or no permission
        EndOfStream             -   not a failure: the source has no more frames
      SinkError                 1   a result could not be written
        SinkMissing             3   a library that the sink needs is not installed
        ConsumerGone            -   not a failure: nobody reads the results any more
        ResultsLost             -   not a failure: some could not be delivered; counted
      PipelineError             1   a stage failed; the cause is chained
      InternalError             70  our own bug

A message says what, where, what was expected, what was found, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EdgeSamError(Exception):
    """Base of all errors raised on purpose.

    Attributes:
        exit_code: what a command ends with.
        frame_id: the frame a pipeline's stage had in hand when it failed, if any.
    """

    exit_code = 1
    frame_id: int | None = None


class ConfigError(EdgeSamError):
    """What was asked for cannot be done as asked."""

    exit_code = 2


class PromptError(ConfigError):
    """A prompt that cannot mean anything on this picture."""


class BundleError(EdgeSamError):
    """A bundle is incomplete, altered, or of a schema this reader does not know."""


class SelfTestError(BundleError):
    """An engine loads but does not give the answers it was accepted with."""


class BackendError(EdgeSamError):
    """An engine could not be opened or run."""


class BackendMissing(BackendError):
    """The library that runs this kind of engine is not installed."""

    exit_code = 3


class EngineLoadError(BackendError):
    """The library refused the engine file."""


class ShapeError(BackendError):
    """A tensor has another shape or dtype than its engine takes."""


class ImageError(EdgeSamError):
    """A picture that cannot be read."""


class ImageTruncated(ImageError):
    """A picture whose end is missing; decoders would fill the rest with grey."""


class CameraError(EdgeSamError):
    """A source broke."""


class CameraMissing(CameraError):
    """There is no such device, or no permission to open it."""

    exit_code = 3


class EndOfStream(CameraError):
    """The source has no more frames; not a failure."""


class SinkError(EdgeSamError):
    """A result could not be written."""


class SinkMissing(SinkError):
    """A library that the sink needs is not installed."""

    exit_code = 3


class ConsumerGone(SinkError):
    """Whoever read the results has gone (`… | head`); not a failure."""


class ResultsLost(SinkError):
    """Results that could not be delivered and were given up; the run goes on everywhere.

    Attributes:
        count: how many.
    """

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


class PipelineError(EdgeSamError):
    """A stage of the pipeline failed; the cause is chained."""

    def __init__(self, message: str, *, frame_id: int | None = None, exit_code: int = 1) -> None:
        super().__init__(message)
        self.frame_id = frame_id
        self.exit_code = exit_code


class ServerMissing(ConfigError):
    """A library that the HTTP server needs is not installed."""

    exit_code = 3


class ControlError(ConfigError):
    """The run cannot be changed as asked; it goes on as it was."""


class NoFrame(ControlError):
    """There is no picture to try the change on."""


class UnknownObject(ControlError):
    """No object has that id."""


class WrongMode(ControlError):
    """The present mode does not allow it, or no more of it."""


class InternalError(EdgeSamError):
    """A bug of ours."""

    exit_code = 70


def unknown_name(what: str, got: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name: the nearest match, then all known names."""
    names = sorted(known)
    near = difflib.get_close_matches(got, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {got!r}.{hint} Known: {', '.join(names) or 'none'}."


def as_ours(error: Exception) -> EdgeSamError:
    """Return an error of this package as it is, any other as a bug of ours with it as its cause."""
    if isinstance(error, EdgeSamError):
        return error
    ours = InternalError(f"{type(error).__name__}: {error}")
    ours.__cause__ = error
    return ours
