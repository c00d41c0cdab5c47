"""Everything mode of bundles whose encoder finds all instances."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from edgesam_rt.decoders import AnyDecoder, finding
from edgesam_rt.engines import EngineSet
from edgesam_rt.everything.instances import every_instance
from edgesam_rt.manifest import InstanceFacts
from edgesam_rt.pipeline.recall import Recall
from edgesam_rt.pipeline.work import Work
from edgesam_rt.records import Frame, MaskSet, Prompt


@dataclass
class InstancesTask:
    """All instances that the encoder finds in every frame.

    Attributes:
        facts: thresholds.
    """

    mode: ClassVar[str] = "everything"
    facts: InstanceFacts
    _recall: Recall = field(default_factory=Recall, init=False, repr=False, compare=False)

    def open(self, engines: EngineSet) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def prompts_for(self, frame: Frame) -> tuple[Prompt, ...]:
        """None."""
        return ()

    def answer(self, decoder: AnyDecoder, work: Work) -> MaskSet:
        """All masks made before the deadline, the surest first."""
        return self._recall.answer(work.embedding, None, lambda: self._find(decoder, work))

    def _find(self, decoder: AnyDecoder, work: Work) -> MaskSet:
        return every_instance(finding(decoder), work.embedding, self.facts, work.deadline_ns)
