"""What answers prompts where the encoder has found all instances already: no engine, arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import BundleError, ConfigError
from edgesam_rt.instances.choose import choose
from edgesam_rt.instances.find import Found, find
from edgesam_rt.instances.masks import InstanceMasks, Part, contains, joined, make
from edgesam_rt.instances.tensors import TENSORS
from edgesam_rt.manifest import DecoderFacts, InstanceFacts
from edgesam_rt.prompt_feeds import low_res_hw, placed
from edgesam_rt.records import Embedding, MaskSet, Prompt
from edgesam_rt.segmenter import anchor
from edgesam_rt.types import F32


class InstanceDecoder:
    """Chooses among the instances of an embedding, and makes the masks of those chosen.

    It stands where a `segmenter.Decoder` stands for other bundles.

    Raises:
        BundleError: the bundle's encoder finds no instances.
    """

    def __init__(self, bundle: Bundle, backend: str, side: int) -> None:
        made = {spec.name for spec in bundle.engine("encoder", backend, side).outputs}
        instances = bundle.manifest.instances
        if instances is None or made != set(TENSORS):
            raise BundleError(
                f"bundle {bundle.folder}: an encoder that finds instances gives "
                f"{', '.join(sorted(TENSORS))}, and key 'instances' says which are taken; this one "
                f"gives {', '.join(sorted(made))}. Install the bundle again."
            )
        self.facts: DecoderFacts = bundle.manifest.decoder
        self.instances: InstanceFacts = instances
        self.label = bundle.label

    def find(self, embedding: Embedding, facts: InstanceFacts | None = None) -> Found:
        """The instances of a picture, by falling score; no mask is made.

        Args:
            embedding: made by an encoder of the same bundle.
            facts: which are taken; None for the bundle's own thresholds.

        Raises:
            ConfigError: the embedding is another bundle's.
        """
        if embedding.bundle != self.label:
            raise ConfigError(
                f"bundle {self.label} was given an embedding that {embedding.bundle} made. Encode "
                "the picture with the same bundle."
            )
        return find(embedding, facts or self.instances)

    def masks(
        self, embedding: Embedding, found: Found, logits: F32, completeness: float = 1.0
    ) -> InstanceMasks:
        """Instances as masks, one each.

        Args:
            embedding: of the picture.
            found: K instances.
            logits: (K, h, w) of them, by `masks.make`.
            completeness: share of all that were found.
        """
        return InstanceMasks(
            logits,
            found.scores,
            embedding.fit,
            self.facts.mask_threshold,
            completeness=completeness,
            parts=tuple((Part(*each),) for each in zip(logits, found.boxes_xyxy, strict=True)),
        )

    def predict(
        self, embedding: Embedding, prompts: Sequence[Prompt], *, multimask_output: bool = False
    ) -> MaskSet:
        """Answer prompts about one picture; see `choose.choose` for what they mean.

        Args:
            embedding: of the picture.
            prompts: any number.
            multimask_output: give all M answers of each prompt: the best one, then single
                instances. Answers that there are not are empty masks with a score of 0.

        Returns:
            One mask per prompt in their order; with `multimask_output` M masks per prompt.

        Raises:
            PromptError: a prompt means nothing on this picture.
            ConfigError: the embedding is another bundle's.
        """
        asked = placed(prompts, embedding.image_hw, self.facts)
        if not asked:
            return self.nothing(embedding)
        found, each = self.find(embedding), self.facts.masks if multimask_output else 1
        points = np.concatenate([p.point_coords for p in asked])
        hits = contains(embedding, found, points, self.facts.mask_threshold)
        ends = np.cumsum([len(p.point_coords) for p in asked])[:-1]
        answers = [
            answer
            for prompt, own in zip(asked, np.split(hits, ends, 1), strict=True)
            for answer in choose(prompt, found, own, each - 1)
        ]
        wanted, places = np.unique(np.concatenate(answers), return_inverse=True)
        rows = np.split(places, np.cumsum([len(a) for a in answers])[:-1])
        some = found.pick(wanted)
        anchors = np.stack([anchor(p) for p in prompts]).repeat(each, 0)
        return joined(make(embedding, some), some, rows, anchors, self.nothing(embedding))

    def nothing(self, embedding: Embedding) -> MaskSet:
        """An empty answer about a picture."""
        logits = np.zeros((0, *low_res_hw(embedding.fit, self.facts)), np.float32)
        scores = np.zeros(0, np.float32)
        return InstanceMasks(logits, scores, embedding.fit, self.facts.mask_threshold)

    def close(self) -> None:
        """Nothing is open."""
