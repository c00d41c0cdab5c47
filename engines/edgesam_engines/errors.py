"""Errors of the factory; they join the runtime's tree, so that one command handles both."""

from __future__ import annotations

from edgesam_rt.errors import ConfigError, EdgeSamError


class CheckpointError(ConfigError):
    """A file is not the checkpoint it was taken for."""


class CalibrationError(ConfigError):
    """The calibration pictures cannot be used."""


class VerificationError(EdgeSamError):
    """A finished engine does not reach what its recipe asks for; nothing was packed."""


class TranslationError(EdgeSamError):
    """A graph has something that its LiteRT translation does not know."""


def no_picture() -> CalibrationError:
    """What to raise when there was nothing to calibrate on."""
    return CalibrationError(
        "calibration: none of the pictures can be used. The lines above say why; name a "
        "folder with some dozen photos."
    )
