"""The float model in torch by the accuracy benchmark's protocols, beside finished bundles if asked.

    python -m edgesam_engines.evaluate --checkpoint FILE --bundle NAME|PATH --json FILE

Run it in the repository: the protocols are those of `benchmarks/`. The model runs as it was trained
(`encoder` and `decode`), not as it is exported, so that an export's mistake would show. Resizing,
prompt coordinates and the way back to the photo are the runtime's.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgesam_engines.families.base import Family
from edgesam_engines.families.pocketsam import Embedding, PocketSAM, Prompts
from edgesam_engines.families.table import open_family
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import ConfigError
from edgesam_rt.imaging.geometry import Fit, to_encoder_input
from edgesam_rt.manifest import DecoderFacts
from edgesam_rt.prompt_feeds import PromptBatch, from_prompts
from edgesam_rt.records import MaskSet, Prompt
from edgesam_rt.types import F32, I64, U8

if TYPE_CHECKING:
    from edgesam_rt.bench.protocols import Contestant

FAMILY = "pocketsam"


class TorchPredictor:
    """A float model that looks at photos and answers prompts; see `edgesam_rt.bench.protocols`."""

    def __init__(self, family: Family, model: PocketSAM, side: int) -> None:
        self._family, self._model, self._side = family, model, side

    def __call__(self, pixels: U8) -> partial[list[MaskSet]]:
        """Encode a photo."""
        rule = self._family.preprocess
        fit = Fit.longest_side((pixels.shape[0], pixels.shape[1]), self._side)
        square = to_encoder_input(pixels, fit, rule.pad_value).astype(np.float32)
        x = (square - np.array(rule.mean, np.float32)) / np.array(rule.std, np.float32)
        with torch.inference_mode():
            embedding = self._model.encoder(torch.from_numpy(x).permute(2, 0, 1)[None])
        return partial(self._answer, embedding.cut(fit.scaled_hw[::-1]), fit)

    def _answer(
        self,
        embedding: Embedding,
        fit: Fit,
        prompts: Sequence[Prompt],
        *,
        multimask_output: bool = False,
    ) -> list[MaskSet]:
        facts = self._family.decoder
        batch = from_prompts(prompts, fit, facts)
        with torch.inference_mode():
            made = self._model.decode(embedding, _tensors(batch))
            first = torch.sigmoid(self._model.scorer(embedding, _tensors(batch))[0][0]).numpy()
        logits, iou = made[0][0].numpy(), torch.sigmoid(made[1][0]).numpy()
        n, m = iou.shape
        chosen = np.tile(np.arange(m), (n, 1))
        if not multimask_output:
            chosen = _best(first, iou, batch, facts)[:, None]
        return [
            MaskSet(logits[i][chosen[i]], iou[i][chosen[i]], fit, facts.mask_threshold)
            for i in range(n)
        ]


def _tensors(batch: PromptBatch) -> Prompts:
    """One image's prompts as the model takes them."""
    return Prompts(
        torch.from_numpy(batch.point_coords)[None],
        torch.from_numpy(batch.point_labels)[None],
        torch.from_numpy(batch.mask_input).transpose(0, 1),
        torch.from_numpy(batch.has_mask_input)[None],
    )


def _best(first: F32, iou: F32, batch: PromptBatch, facts: DecoderFacts) -> I64:
    """As the runtime chooses: by the second look among those that scored well at the first."""
    choices = np.array(facts.ambiguous_answers, np.int64)
    first, iou = first[:, choices], iou[:, choices]
    near = first >= first.max(1, keepdims=True) - (facts.second_look or 0.0)
    best: I64 = choices[np.where(near, iou, -1.0).argmax(1)]
    if facts.clear_answer is None:  # an unambiguous prompt has no answer of its own
        return best
    made: I64 = np.where(batch.ambiguous, best, facts.clear_answer)
    return made


def float_contestant(checkpoint: Path, side: int) -> Contestant:
    """The float model of a checkpoint at one encoder side."""
    from edgesam_rt.bench.protocols import Contestant

    family = open_family(FAMILY)
    model = family.load(checkpoint)
    assert isinstance(model, PocketSAM)
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    return Contestant(
        f"{FAMILY} in torch at {side}",
        TorchPredictor(family, model, side),
        family.decoder.ambiguous_answers,
        {
            "bundle": f"{checkpoint.name} {digest[:16]}",
            "precision": "fp32",
            "side": side,
            "backend": f"torch {torch.__version__}",
        },
    )


def _run(args: argparse.Namespace) -> int:
    from benchmarks import accuracy, report
    from edgesam_rt.bench.coco import CocoFolder

    torch.set_flush_denormal(True)
    torch.set_num_threads(args.threads)
    recorder = report.Recorder(
        "accuracy-torch", "edgesam_engines.evaluate", args, torch=torch.__version__
    )
    opened: list[Contestant] = []
    for side in args.side or accuracy.SIDES:
        opened.append(float_contestant(args.checkpoint, side))
        opened += [accuracy.contestant(name, side, args.threads) for name in args.bundle or []]
    photos = CocoFolder(args.data / accuracy.PHOTOS, args.photos)
    recorder.finish(accuracy.measure(opened, photos))
    return 0


def _parser() -> argparse.ArgumentParser:
    try:
        from benchmarks.accuracy import add_arguments
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error}. Run this in the repository's top folder.") from error
    p = argparse.ArgumentParser(
        prog="python -m edgesam_engines.evaluate",
        description="Accuracy of a checkpoint in torch, and of bundles made from it.",
    )
    p.add_argument("--checkpoint", type=Path, required=True, help="weights, safetensors")
    p.add_argument("--bundle", action="append", metavar="NAME|PATH", help="beside it; repeatable")
    add_arguments(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command(lambda: _run(_parser().parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
