"""Where boxes of objects come from: a detector that looks at pixels, or the bundle's own head."""

from __future__ import annotations

import os

from edgesam_rt.boxes import Boxes
from edgesam_rt.bundle import Bundle
from edgesam_rt.detector import Detector, open_detector
from edgesam_rt.discovery import Discovery
from edgesam_rt.errors import ConfigError
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import EngineOptions
from edgesam_rt.types import U8

OWN = "own"  # instead of a detector bundle's name: the discovery head of the segmenter's bundle


class Finder:
    """Finds boxes. One thread opens, uses and closes it.

    Args:
        bundle: of the segmenter.
        options: of its engines.
        name: name or folder of a detector bundle, None for the one that ships, or `OWN`.
        self_test: whether a detector is tested first.

    Raises:
        ConfigError, BundleError, SelfTestError: it is not there, or cannot be trusted.
    """

    def __init__(
        self,
        bundle: Bundle,
        options: EngineOptions,
        name: str | os.PathLike[str] | None,
        *,
        self_test: bool = True,
    ) -> None:
        self._opened: Detector | Discovery
        if name == OWN:
            self._opened = Discovery(bundle, options)
        else:
            self._opened = open_detector(name, options, self_test=self_test)

    def find(self, pixels: U8 | None, embedding: Embedding) -> Boxes:
        """Boxes of objects of any kind, by falling score.

        Args:
            pixels: (H, W, 3) uint8 RGB; None where only the embedding is at hand.
            embedding: of the picture.

        Raises:
            ConfigError: a detector was given no picture.
        """
        if isinstance(self._opened, Discovery):
            return self._opened.find(embedding)
        if pixels is None:
            raise ConfigError(
                "everything: strategy 'objects' looks for boxes in the picture, and was given only "
                "an embedding. Pass the image to everything(), or open with detector='own'."
            )
        return self._opened.detect(pixels)

    def close(self) -> None:
        """Give it back; a second call does nothing."""
        self._opened.close()
