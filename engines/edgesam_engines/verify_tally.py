"""How near engines come to the float model: embeddings, masks, and true masks where known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from edgesam_engines.instance_cases import asking_for_instances
from edgesam_engines.ptq_judges import is_telling
from edgesam_engines.verify_cases import BOX, POINT, Case
from edgesam_rt import selftest
from edgesam_rt.bench.protocols import iou
from edgesam_rt.bundle import Bundle
from edgesam_rt.decoders import open_decoder
from edgesam_rt.records import Embedding
from edgesam_rt.segmenter import Encoder, EngineOptions
from edgesam_rt.types import Bool


class Answer(NamedTuple):
    """One prompt: its kind, IoU with the float model's mask, whether that mask tells anything."""

    kind: str
    iou: float
    telling: bool


class Truth(NamedTuple):
    """One prompt with a known mask: its kind, and the IoU of the float model's and of ours."""

    kind: str
    exact: float
    made: float


@dataclass
class Tally:
    """What was seen of one pair of engines.

    Attributes:
        pictures: how many.
        cosines: with the float embedding, by tensor.
        answers: prompt by prompt.
        truths: of prompts whose true mask is known.
    """

    pictures: int = 0
    cosines: dict[str, list[float]] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    truths: list[Truth] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """For the report, rounded."""
        ious = [a.iou for a in self.answers]
        found: dict[str, Any] = {
            "photos": self.pictures,
            "prompts": len(ious),
            "mean_iou": _mean(ious),
            "p10_iou": round(float(np.percentile(ious, 10)), 4),
            "cosine": {name: _mean(v, 5) for name, v in self.cosines.items()},
            "least_cosine": {name: round(min(v), 5) for name, v in self.cosines.items()},
        }
        for kind in (POINT, BOX):
            told = [a.iou for a in self.answers if a.kind == kind and a.telling]
            if told:
                found[f"by_{kind}"] = {"prompts": len(told), "mean_iou": _mean(told)}
        if self.truths:
            found["truth"] = {kind: _of_truths(self.truths, kind) for kind in (POINT, BOX)}
        return found


def _of_truths(truths: Iterable[Truth], kind: str) -> dict[str, Any]:
    rows = [t for t in truths if t.kind == kind]
    exact, made = _mean([t.exact for t in rows]), _mean([t.made for t in rows])
    return {"objects": len(rows), "float_miou": exact, "miou": made}


def _mean(values: list[float], digits: int = 4) -> float:
    return round(float(np.mean(values)), digits)


class Contender:
    """The engines of one backend at one side, and their tally."""

    def __init__(self, bundle: Bundle, backend: str, side: int) -> None:
        self.encoder = Encoder(bundle, EngineOptions(backend), side)
        self.decoder = open_decoder(bundle, EngineOptions(backend), side)
        self.tally = Tally()

    def ask(self, case: Case, exact: Embedding, wanted: list[Bool]) -> None:
        """Answer the case's prompts.

        Args:
            case: what is asked.
            exact: the float model's embedding, cut to the picture where the family's are.
            wanted: the masks that the float model gives.
        """
        made = self.encoder.encode(case.pixels)
        mine = self.encoder.without_padding(made).tensors
        for name, values in exact.tensors.items():
            self.tally.cosines.setdefault(name, []).append(selftest.cosine(values, mine[name]))
        masks = list(self.decoder.predict(made, case.prompts).each_mask())
        for kind, mask, want in zip(case.kinds, masks, wanted, strict=True):
            alike = iou(mask, want) if (mask | want).any() else 1.0
            self.tally.answers.append(Answer(kind, alike, is_telling(want)))
        known = zip(case.kinds, case.truths, wanted, masks, strict=False)
        self.tally.truths += [Truth(k, iou(w, t), iou(m, t)) for k, t, w, m in known]
        self.tally.pictures += 1

    def done(self) -> dict[str, Any]:
        """Give the engines back, and what was found."""
        self.encoder.close()
        self.decoder.close()
        return self.tally.figures()


def ask_all(case: Case, whole: Embedding, contenders: Mapping[str, Contender]) -> None:
    """Let all contenders answer a case.

    Args:
        case: what is asked.
        whole: the float model's embedding; the first one's decoder answers for it.
        contenders: by name.
    """
    judge = next(iter(contenders.values()))
    exact = replace(whole, tensors=judge.encoder.cut(whole.tensors, whole.fit))
    case = asking_for_instances(case, judge.decoder, exact)
    wanted = list(judge.decoder.predict(exact, case.prompts).each_mask())
    for contender in contenders.values():
        contender.ask(case, exact, wanted)
