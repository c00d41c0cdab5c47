"""Discovery: an embedding to boxes of whatever stands in the picture; no second look at pixels."""

from __future__ import annotations

import numpy as np

from edgesam_rt.backends import open_engine
from edgesam_rt.boxes import Boxes
from edgesam_rt.bundle import Bundle
from edgesam_rt.detector_manifest import BOXES, SCORES
from edgesam_rt.errors import BundleError, ConfigError
from edgesam_rt.imaging.boxes import choose_boxes
from edgesam_rt.manifest import Part
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import EngineOptions
from edgesam_rt.types import F32

PART: Part = "discovery"
CANDIDATES = 400  # best boxes that NMS looks at: it takes more time than the engine beyond


def has_discovery(bundle: Bundle, backend: str) -> bool:
    """Whether a bundle has a discovery head for a backend."""
    sides = bundle.sides(backend)
    return bool(sides) and bundle.has(PART, backend, sides[0])


class Discovery:
    """The discovery head of a bundle. One thread opens, uses and closes it.

    It takes the embeddings of every side that the bundle has.

    Raises:
        ConfigError: the bundle has none for this backend.
        BundleError, BackendMissing, EngineLoadError: see `backends.open_engine`.
    """

    def __init__(self, bundle: Bundle, options: EngineOptions) -> None:
        if not has_discovery(bundle, options.backend):
            raise ConfigError(
                f"bundle {bundle.label}: no discovery head for {options.backend}. Build the bundle "
                "with one, or let a detector find the boxes."
            )
        facts = bundle.manifest.discovery
        if facts is None:
            raise BundleError(
                f"bundle {bundle.folder}: it has a discovery head, but its manifest does not say "
                "which boxes to take (key 'discovery'). Install the bundle again."
            )
        self.facts = facts
        self._label = bundle.label
        side = bundle.sides(options.backend)[0]
        self._engine = open_engine(bundle, PART, options.backend, side, options.backend_options)
        made = set(self._engine.outputs)
        if made != {BOXES, SCORES}:
            self._engine.close()
            raise BundleError(
                f"bundle {bundle.folder}: a discovery head has the outputs {BOXES!r} and "
                f"{SCORES!r}, this one has {sorted(made)}. Install the bundle again."
            )

    def find(self, embedding: Embedding) -> Boxes:
        """Find boxes of objects of any kind.

        Args:
            embedding: made by an encoder of the same bundle.

        Returns:
            At most `facts.max_boxes`, by falling score, in px of the picture; possibly none.

        Raises:
            ConfigError: the embedding is another bundle's.
            BackendError: the engine failed or was closed.
        """
        xyxy, scores = self.every_box(embedding)
        hw = embedding.image_hw
        return Boxes(*choose_boxes(xyxy, scores, hw, self.facts, CANDIDATES))

    def every_box(self, embedding: Embedding) -> tuple[F32, F32]:
        """All that the engine says: (N, 4) boxes in picture pixels, not clipped, and (N,) scores.

        The errors are those of `find`.
        """
        if embedding.bundle != self._label:
            raise ConfigError(
                f"discovery: the head of bundle {self._label} was given an embedding that "
                f"{embedding.bundle} made. Encode the picture with the same bundle."
            )
        made = self._engine.run({n: embedding.tensors[n] for n in self._engine.inputs})
        corners = np.asarray(made[BOXES], np.float32).reshape(-1, 2, 2)
        return embedding.fit.from_unit(corners).reshape(-1, 4), np.asarray(made[SCORES], np.float32)

    def close(self) -> None:
        """Give the engine back; a second call does nothing."""
        self._engine.close()
