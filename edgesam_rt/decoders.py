"""Whichever decoder a bundle has: an engine that is asked, or a choice among found instances."""

from __future__ import annotations

from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import ConfigError
from edgesam_rt.instances.decoder import InstanceDecoder
from edgesam_rt.segmenter import Decoder, EngineOptions

AnyDecoder = Decoder | InstanceDecoder


def open_decoder(bundle: Bundle, options: EngineOptions, side: int) -> AnyDecoder:
    """Open what answers prompts about the embeddings of a bundle.

    Raises:
        BundleError, BackendMissing, EngineLoadError: it cannot be opened.
    """
    if bundle.manifest.instances is not None:
        return InstanceDecoder(bundle, options.backend, side)
    return Decoder(bundle, options, side)


def asking(decoder: AnyDecoder, what: str) -> Decoder:
    """The decoder, for work that needs one to ask.

    Args:
        decoder: of any bundle.
        what: the work, for the message.

    Raises:
        ConfigError: the bundle has none.
    """
    if isinstance(decoder, InstanceDecoder):
        raise ConfigError(no_decoder(what))
    return decoder


def finding(decoder: AnyDecoder) -> InstanceDecoder:
    """The decoder, for work with thresholds of instances.

    Raises:
        ConfigError: it is another bundle's.
    """
    if not isinstance(decoder, InstanceDecoder):
        raise ConfigError("the thresholds are those of another bundle. Restart the run.")
    return decoder


def no_decoder(what: str) -> str:
    """Why some work cannot be done by a bundle that finds instances."""
    return (
        f"{what} asks a decoder again and again, and this bundle has none: it finds all instances "
        "of a picture at once. Use prompt or everything mode with it, or another bundle."
    )
