"""A seeded mask decoder, settled: prompts on photos get masks that are neither empty nor full.

Trained decoders have what chance does not give, so it is given here:

- where a token looks depends on its place: an attention's queries and keys are projected alike;
- mask logits lie around zero, wide apart: the layers that emit the masks' weights lose what all
  pixels have in common, and are scaled;
- predicted IoUs lie where SAM's do.

Which pixels belong to a mask is still up to the picture alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from edgesam_engines.families.base import Family
from edgesam_engines.parity.settled import missed
from edgesam_rt.imaging.geometry import Fit
from edgesam_rt.prompt_feeds import from_prompts
from edgesam_rt.records import Prompt

LOGIT_SPREAD = 12.0
LOGIT_MEAN = -0.6  # in parts of the spread: a quarter of the picture is in a mask
IOU_MEAN, IOU_SPREAD = 0.85, 0.06
POINTS = 4  # along a side
SHARED = 12  # directions of the features in which pictures differ as a whole


class Ends(NamedTuple):
    """What of a decoder its masks come from.

    Attributes:
        features: gives the pixels' features, (N, pixels, C).
        hypers: give each mask's weights, (N, C).
        iou: gives predicted IoUs, (N, M).
    """

    features: nn.Module
    hypers: list[nn.Linear]
    iou: nn.Linear


def arrange(decoder: nn.Module, seed: int) -> None:
    """Give a seeded decoder what chance does not, in place."""
    random = np.random.default_rng([seed, 0])
    with torch.no_grad():
        for module in decoder.modules():
            query, key = (getattr(module, name, None) for name in ("q_proj", "k_proj"))
            if isinstance(query, nn.Linear) and isinstance(key, nn.Linear):
                key.weight.copy_(query.weight * (1 + missed(random, query.weight.shape)))


@torch.no_grad()
def settle_decoder(
    family: Family, model: nn.Module, side: int, embeddings: Sequence[Mapping[str, Tensor]]
) -> None:
    """Fit what emits masks and predicted IoUs to the answers about some pictures, in place.

    Args:
        family: the model's.
        model: with `mask_decoder`.
        side: of the encoder's input, px.
        embeddings: what the encoder made of each picture.
    """
    spec = family.decoder_graphs(model, side)["decoder"]
    ends = ends_of(cast(nn.Module, model.mask_decoder))
    prompts, made = prompts_over(family, side), []
    for embedding in embeddings:
        given = {**spec.inputs, **embedding, **prompts}
        made.append(_outputs_of(ends, lambda g=given: spec.module(*(g[n] for n in spec.inputs))))
    features = torch.cat([m[ends.features] for m in made])
    for hyper in ends.hypers:
        _settle_hyper(hyper, torch.cat([m[hyper] for m in made]), features)
    _settle_iou(ends.iou, torch.cat([m[ends.iou] for m in made]))


def ends_of(decoder: nn.Module) -> Ends:
    """Of SAM's decoder, or of EfficientSAM's."""
    parts: Any = decoder
    upscaling = getattr(parts, "output_upscaling", None)
    if upscaling is None:
        upscaling = parts.final_output_upscaling_layers[-1]
    hypers = [_last_linear(mlp) for mlp in parts.output_hypernetworks_mlps]
    return Ends(upscaling[-1], hypers, _last_linear(parts.iou_prediction_head))


def _last_linear(mlp: nn.Module) -> nn.Linear:
    return [m for m in mlp.modules() if isinstance(m, nn.Linear)][-1]


def prompts_over(family: Family, side: int) -> dict[str, Tensor]:
    """Points on a grid, and boxes around some, as the decoder takes them."""
    at = [(i + 0.5) / POINTS * side for i in range(POINTS)]
    half = side / POINTS
    points = [Prompt.point(x, y) for y in at for x in at]
    boxes = [Prompt.box(x - half, y - half, x + half, y + half) for x in at[1:3] for y in at[1:3]]
    batch = from_prompts([*points, *boxes], Fit.squash((side, side), side), family.decoder)
    names = ("point_coords", "point_labels", "mask_input", "has_mask_input")
    return {name: torch.from_numpy(getattr(batch, name)) for name in names}


def _outputs_of(ends: Ends, run: Any) -> dict[nn.Module, Tensor]:
    """What these modules make while `run` runs."""
    made: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _: Any, output: Tensor) -> None:
        made[module] = output

    handles = [m.register_forward_hook(keep) for m in (ends.features, *ends.hypers, ends.iou)]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return made


def _settle_hyper(hyper: nn.Linear, weights: Tensor, features: Tensor) -> None:
    """Take what all pixels of a picture share out of a mask's weights, and set spread and mean.

    Args:
        hyper: emits the weights.
        weights: (N, C), of N prompts.
        features: (N, pixels, C).
    """
    means = features.mean(1)
    common = means.mean(0)
    direction = common / common.square().sum()
    shared = torch.linalg.svd(means, full_matrices=False).Vh[:SHARED]
    keep = torch.eye(len(common)) - shared.T @ shared
    logits = features @ (weights @ keep.T).unsqueeze(2)
    scale = LOGIT_SPREAD / logits.std()
    hyper.weight.copy_(keep @ hyper.weight * scale)
    hyper.bias.copy_(keep @ hyper.bias * scale + LOGIT_MEAN * LOGIT_SPREAD * direction)


def _settle_iou(iou: nn.Linear, made: Tensor) -> None:
    """Of predicted IoUs (N, M): mean and spread of each answer's over the prompts."""
    spread, mean = torch.std_mean(made, 0)
    scale = IOU_SPREAD / spread
    iou.weight.mul_(scale[:, None])
    iou.bias.sub_(mean).mul_(scale).add_(IOU_MEAN)
