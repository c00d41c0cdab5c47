"""How much engines differ from their float twin, on photos: embeddings, masks, true masks, time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgesam_engines.ptq.fidelity import decibels
from edgesam_engines.ptq.graphs import spread
from edgesam_engines.train import sources
from edgesam_engines.train.config import load_recipe
from edgesam_rt import selftest
from edgesam_rt.bench import protocols
from edgesam_rt.bundle import Bundle
from edgesam_rt.errors import ConfigError
from edgesam_rt.imaging.files import read_image
from edgesam_rt.proof import probes
from edgesam_rt.records import Embedding, MaskSet, Prompt
from edgesam_rt.segmenter import Decoder, Encoder, EngineOptions
from edgesam_rt.types import F32, U8, Bool

MEASURES = ("box", "point", "clicks")
SMALLEST_OBJECT = 32 * 32  # px in the photo
_SPLIT = Path(__file__).resolve().parent / "train" / "recipes" / "pocketsam-clean.toml"
BACKEND = "onnxruntime"
TELLING = (0.001, 0.95)  # of the picture, that a mask covers
Masked = list[Bool]


@dataclass
class Tally:
    """What was seen of one engine.

    Attributes:
        cosines: with the float embedding, per tensor and photo.
        noises: squared error in parts of the float values' squares, mean over the tensors.
        ious: of its masks with the float engine's.
        truths: per measure, IoU of its masks with the true ones.
        encode_ms: of each photo.
    """

    cosines: dict[str, list[float]] = field(default_factory=dict)
    noises: list[float] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)
    truths: dict[str, list[float]] = field(default_factory=lambda: {m: [] for m in MEASURES})
    encode_ms: list[float] = field(default_factory=list)

    def add_embedding(self, made: Embedding, exact: Embedding) -> None:
        """Compare the embeddings of one photo."""
        noises = []
        for name, wanted in exact.tensors.items():
            a, b = made.tensors[name].astype(np.float64), wanted.astype(np.float64)
            self.cosines.setdefault(name, []).append(selftest.cosine(a, b))
            noises.append(float(np.square(a - b).sum() / (np.square(b).sum() or 1.0)))
        self.noises.append(float(np.mean(noises)))

    def summary(self, exact: Tally) -> dict[str, Any]:
        """Figures for the report; `exact` is the float engine's tally."""
        out: dict[str, Any] = {"encode_ms_p50": round(float(np.median(self.encode_ms)), 2)}
        if self.ious:
            cosines = {name: float(np.mean(v)) for name, v in self.cosines.items()}
            out |= {
                "mask_iou_mean": round(float(np.mean(self.ious)), 4),
                "mask_iou_p10": round(float(np.percentile(self.ious, 10)), 4),
                "cosine_mean": round(float(np.mean(list(cosines.values()))), 5),
                "cosine": {name: round(v, 5) for name, v in cosines.items()},
                "embedding_sqnr_db": round(decibels(float(np.mean(self.noises))), 2),
            }
        if self.truths["box"]:
            out["objects"] = len(self.truths["box"])
            out["true_iou"] = {m: round(float(np.mean(v)), 4) for m, v in self.truths.items()}
            out["points_lost"] = {m: _lost(exact.truths[m], self.truths[m]) for m in MEASURES}
        return out


def _lost(exact: Sequence[float], got: Sequence[float]) -> dict[str, float]:
    """Mean loss over the same objects, in points of IoU, with its standard error."""
    points = 100 * (np.array(exact) - np.array(got))
    error = float(points.std(ddof=1)) / len(points) ** 0.5 if len(points) > 1 else 0.0
    return {"points": round(float(points.mean()), 3), "standard_error": round(error, 3)}


@dataclass(frozen=True)
class Labelled:
    """A photo with some true masks.

    Attributes:
        pixels: (H, W, 3) uint8.
        objects: (H, W) each.
    """

    pixels: U8
    objects: Masked


def check_labelled(data: Path) -> None:
    """Refuse a folder that has no labelled photos.

    Raises:
        ConfigError: it has no `masks/` as training expects them.
    """
    if not (data / "masks").is_dir():
        raise ConfigError(
            f"{data}: expected a data folder with masks/ and photos/ below it, as its README.md "
            "describes. Name that folder, or leave --truth out."
        )


def labelled_photos(data: Path, photos: int, objects: int) -> Iterator[Labelled]:
    """Photos that training keeps apart for validation, with their largest objects."""
    split = sources.split_sources(data, load_recipe(_SPLIT).data)
    entries = [e for source in split.validation.values() for e in source]
    for entry in spread(entries, photos):
        found = sources.decode(entry)
        rows = sorted(found.objects, key=lambda row: (-row.area, row.id))
        chosen = [r for r in rows if r.area >= SMALLEST_OBJECT][:objects]
        if chosen:
            yield Labelled(found.image, [found.ids == row.id for row in chosen])


def judge_agreement(
    pixels: U8, engines: Mapping[str, Encoder], decoder: Decoder, tallies: Mapping[str, Tally]
) -> None:
    """Encode a photo by all engines and compare each with the first, the float one."""
    made = {name: encoder.encode(pixels) for name, encoder in engines.items()}
    exact = next(iter(made.values()))
    prompts = probes(pixels)
    wanted = list(decoder.predict(exact, prompts).each_mask())
    for name, embedding in made.items():
        tally = tallies[name]
        tally.encode_ms.append(embedding.encode_ms)
        tally.add_embedding(embedding, exact)
        tally.ious += _ious(decoder.predict(embedding, prompts), wanted)


class Masks:
    """Judges embeddings by their masks: beside those of the exact embeddings, prompt by prompt.

    Prompts whose exact mask is next to nothing or next to all of the picture are left out: they
    agree, or not, whatever the embedding is.
    """

    def __init__(self, bundle: Bundle, side: int, photos: Sequence[Path]) -> None:
        """Ask the bundle, a float one, about the photos."""
        self._decoder = Decoder(bundle, EngineOptions(BACKEND), side)
        encoder = Encoder(bundle, EngineOptions(BACKEND), side)
        self._cut = encoder.cut
        self._exact = [_asked(encoder.encode(read_image(p)), self._decoder, p) for p in photos]
        encoder.close()

    @property
    def prompts(self) -> int:
        """How many count."""
        return sum(len(a.wanted) for a in self._exact)

    def __call__(self, outputs: Sequence[Mapping[str, F32]]) -> float:
        """Mean IoU with the exact masks; `outputs` are the encoder's, photo by photo."""
        ious: list[float] = []
        for asked, tensors in zip(self._exact, outputs, strict=True):
            made = replace(asked.embedding, tensors=self._cut(tensors, asked.embedding.fit))
            if asked.wanted:
                ious += _ious(self._decoder.predict(made, asked.prompts), asked.wanted)
        return float(np.mean(ious)) if ious else 1.0

    def close(self) -> None:
        """Give the decoder back."""
        self._decoder.close()


class _Asked(NamedTuple):
    """One photo: its exact embedding, the prompts that count, and their exact masks."""

    embedding: Embedding
    prompts: list[Prompt]
    wanted: Masked


def _asked(embedding: Embedding, decoder: Decoder, photo: Path) -> _Asked:
    prompts = probes(read_image(photo))
    masks = list(decoder.predict(embedding, prompts).each_mask())
    kept = [(p, m) for p, m in zip(prompts, masks, strict=True) if is_telling(m)]
    return _Asked(embedding, [p for p, _ in kept], [m for _, m in kept])


def is_telling(mask: Bool) -> bool:
    """Whether a mask is more than next to nothing, and less than next to all of its picture."""
    low, high = TELLING
    return bool(low <= mask.mean() <= high)


def judge_truth(
    photo: Labelled, engines: Mapping[str, Encoder], decoder: Decoder, tallies: Mapping[str, Tally]
) -> None:
    """Let all engines answer for the true objects of a photo."""
    for name, encoder in engines.items():
        for measure, ious in true_ious(photo, encoder, decoder).items():
            tallies[name].truths[measure] += ious


def true_ious(photo: Labelled, encoder: Encoder, decoder: Decoder) -> dict[str, list[float]]:
    """IoUs with the true masks by the accuracy benchmark's protocols: box, point, three clicks."""
    embedding = encoder.encode(photo.pixels)

    def answer(prompts: Sequence[Prompt], *, multimask_output: bool = False) -> list[MaskSet]:
        found = decoder.predict(embedding, prompts, multimask_output=multimask_output)
        return [found[np.array([i])] for i in range(len(prompts))]

    starts = [Prompt.point(*protocols.deepest(m)[:2]) for m in photo.objects]
    point = answer(starts)
    answers = {
        "box": answer([protocols.tight_box(m) for m in photo.objects]),
        "point": point,
        "clicks": protocols.refine(answer, starts, point, photo.objects),
    }
    return {
        measure: [
            protocols.iou(found.masks[0], truth)
            for found, truth in zip(masks, photo.objects, strict=True)
        ]
        for measure, masks in answers.items()
    }


def _ious(found: MaskSet, wanted: Masked) -> list[float]:
    ious = []
    for a, b in zip(found.each_mask(), wanted, strict=True):
        union = int((a | b).sum())
        ious.append(float((a & b).sum() / union) if union else 1.0)
    return ious
