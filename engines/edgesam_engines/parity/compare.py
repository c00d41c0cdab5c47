"""Upstream and the runtime on one file of seeded weights, prompt by prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgesam_engines.parity.upstream import Answers, Predictor
from edgesam_rt.bundle import Bundle
from edgesam_rt.prompt_feeds import from_prompts
from edgesam_rt.records import BACKGROUND, Embedding, Prompt
from edgesam_rt.segmenter import Decoder, Encoder, EngineOptions
from edgesam_rt.types import F32, U8, AnyArray

SAMPLES = 32  # values kept of each tensor
MOST_DIFFERENCE = 1e-3  # of the range of upstream's values
LEAST_AGREEMENT = 0.999  # share of pixels


def prompts_for(image_hw: tuple[int, int], earlier: F32) -> dict[str, Prompt]:
    """One of each kind; `earlier` is a mask of low resolution to refine."""
    h, w = image_hw
    point = Prompt.point(round(0.4 * w), round(0.55 * h))
    box = Prompt.box(round(0.2 * w), round(0.3 * h), round(0.7 * w), round(0.8 * h))
    several = Prompt.points(
        [[round(x * w), round(y * h)] for x, y in ((0.4, 0.55), (0.6, 0.4), (0.1, 0.9))], [1, 1, 0]
    )
    near = Prompt.point(round(0.5 * w), round(0.6 * h))
    return {
        "point": point,
        "two points": point + near,
        "box": box,
        "points": several,
        "box and point": box + Prompt.point(round(0.3 * w), round(0.4 * h), 0),
        "point and mask": point.with_mask(earlier),
        "box and mask": box.with_mask(earlier),
    }


class Ours:
    """A bundle of the runtime that has looked at a picture."""

    def __init__(self, bundle: Bundle, pixels: U8, side: int) -> None:
        options = EngineOptions("onnxruntime")
        encoder, self._decoder = Encoder(bundle, options, side), Decoder(bundle, options, side)
        self._made: Embedding = encoder.encode(pixels)
        encoder.close()

    @property
    def embedding(self) -> F32:
        """(256, grid, grid)."""
        values: F32 = self._made.tensors["image_embeddings"]
        grid = round(len(values) ** 0.5)
        return np.asarray(values.T.reshape(-1, grid, grid), np.float32)

    def takes(self, prompt: Prompt) -> bool:
        """Whether the model looks at all that a prompt has."""
        facts = self._decoder.facts
        background = bool(np.any(prompt.point_labels == BACKGROUND))
        earlier = prompt.mask_input is not None
        return (facts.background_points or not background) and (facts.earlier_masks or not earlier)

    def answers(self, prompts: Sequence[Prompt]) -> Iterator[Answers]:
        """All answers to each, all asked in one call."""
        found = self._decoder.predict(self._made, prompts, multimask_output=True)
        m = self._decoder.facts.masks
        for at in range(0, len(found), m):
            some = found[at : at + m]
            yield Answers(some.low_res_logits, some.predicted_iou, some.masks)

    def best(self, iou: F32) -> int:
        """The answer to an ambiguous prompt by upstream's scores of the last of all M answers."""
        choices = np.array(self._decoder.facts.ambiguous_answers)
        first = self._decoder.facts.masks - len(iou)
        return int(choices[iou[choices - first].argmax()])

    def chosen(self, prompt: Prompt) -> int:
        """The answer to a prompt that the runtime chooses itself."""
        batch = from_prompts([prompt], self._made.fit, self._decoder.facts)
        _, (answer,) = self._decoder.candidates(self._decoder.score(self._made, batch), batch)
        return int(answer)


def compare(theirs: Predictor, ours: Ours, image_hw: tuple[int, int]) -> dict[str, Any]:
    """Differences by kind of prompt, and some of upstream's values to be kept."""
    first = theirs.answer(prompts_for(image_hw, np.zeros((1, 1), np.float32))["point"])
    every = prompts_for(image_hw, first.low_res[-1])
    prompts = {kind: prompt for kind, prompt in every.items() if ours.takes(prompt)}
    report: dict[str, Any] = {
        "image_hw": image_hw,
        "embedding": difference(ours.embedding, theirs.embedding),
        "chosen": [ours.chosen(prompts["point"]), ours.best(first.iou)],
        "prompts": {},
    }
    each = zip(prompts.items(), ours.answers(list(prompts.values())), strict=True)
    for (kind, prompt), got in each:
        want = theirs.answer(prompt)
        some = slice(-len(want.iou), None)
        own = Answers(got.low_res[some], got.iou[some], got.masks[some])
        report["prompts"][kind] = {
            "low_res_masks": difference(own.low_res, want.low_res),
            "iou_predictions": difference(own.iou, want.iou),
            "pixels_alike": float((own.masks == want.masks).mean()),
            "mask_share": [round(float(m.mean()), 4) for m in want.masks],
        }
    return report


def summary(golden: Mapping[str, Any]) -> str:
    """A golden file as a row of the table in docs/families.md: the largest differences."""
    prompts = [p for photo in golden["photos"] for p in photo["prompts"].values()]
    most = {
        name: max(p[name]["most"] for p in prompts) for name in ("low_res_masks", "iou_predictions")
    }
    embedding = max(photo["embedding"]["most"] for photo in golden["photos"])
    alike = min(p["pixels_alike"] for p in prompts)
    figures = " | ".join(f"{n:.1e}" for n in (embedding, *most.values()))
    return f"| `{golden['family']}` | {figures} | {100 * alike:.4f} % |"


def difference(got: AnyArray, want: AnyArray) -> dict[str, Any]:
    """Largest difference in parts of the range of `want`, and some of its values."""
    spread = float(want.max() - want.min())
    return {
        "most": float(np.abs(got - want).max() / spread),
        "range": spread,
        "values": [float(f"{v:.6g}") for v in sampled(want)],
    }


def sampled(values: AnyArray) -> AnyArray:
    """SAMPLES of them, evenly spread."""
    return values.ravel()[np.linspace(0, values.size - 1, SAMPLES).astype(np.int64)]


def failures(report: Mapping[str, Any]) -> list[str]:
    """What in a report of `compare` is not as near as it must be."""
    found = []
    if len(set(report["chosen"])) > 1:
        found.append("point: of the answers ours is {}, upstream's {}".format(*report["chosen"]))
    rows = {"embedding": report["embedding"]}
    for kind, entry in report["prompts"].items():
        rows |= {f"{kind}, {n}": entry[n] for n in ("low_res_masks", "iou_predictions")}
        if entry["pixels_alike"] < LEAST_AGREEMENT:
            found.append(f"{kind}: {entry['pixels_alike']:.5f} of the pixels alike")
    found += [
        f"{n}: {r['most']:.2g} of the range" for n, r in rows.items() if r["most"] > MOST_DIFFERENCE
    ]
    return [f"{Path(report.get('photo', '')).name}: {text}" for text in found]
