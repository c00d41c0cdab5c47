"""Upstream's models as rows of a table, and their predictors behind one call."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from edgesam_engines.parity import seeded, stand_ins
from edgesam_rt.errors import ConfigError
from edgesam_rt.records import BOX_TOP_LEFT, Prompt
from edgesam_rt.types import F32, U8, Bool

CALM = 0.25


class Answers(NamedTuple):
    """What a model says to one prompt.

    Attributes:
        low_res: (M, h, w) logits.
        iou: (M,).
        masks: (M, H, W) at the picture's size.
    """

    low_res: F32
    iou: F32
    masks: Bool


class Predictor:
    """An upstream predictor that has looked at a picture: the form all SAM's kin share."""

    def __init__(self, predictor: Any, pixels: U8, calls: Sequence[Mapping[str, Any]]) -> None:
        self._predictor, self._calls = predictor, calls
        predictor.set_image(pixels)

    @property
    def embedding(self) -> F32:
        """(256, grid, grid)."""
        made: F32 = self._predictor.features[0].numpy()
        return made

    def answer(self, prompt: Prompt) -> Answers:
        """All answers, the one to clear prompts first where upstream gives it."""
        given = _as_arguments(prompt)
        parts = [self._predictor.predict(**given, **call) for call in self._calls]
        masks, iou, low_res = (np.concatenate(each) for each in zip(*parts, strict=True))
        return Answers(low_res, iou, masks)


def _as_arguments(prompt: Prompt) -> dict[str, Any]:
    """A prompt as upstream's `predict` takes it."""
    corner = prompt.point_labels >= BOX_TOP_LEFT
    points, box = prompt.point_coords[~corner], prompt.point_coords[corner]
    return {
        "point_coords": points if len(points) else None,
        "point_labels": prompt.point_labels[~corner] if len(points) else None,
        "box": box.reshape(4) if len(box) else None,
        "mask_input": prompt.mask_input[None] if prompt.mask_input is not None else None,
    }


@dataclass(frozen=True)
class Upstream:
    """One published model.

    Attributes:
        build: "module:name" of a function that makes it, and the arguments it takes.
        predictor: "module:name" of its predictor.
        source: folder of the checkout that its modules are found in.
        calls: what its predictor is to be asked with, so that it gives all its answers in order.
        wrapper: key under which official files keep the weights; None if they are all there is.
        arguments: of `build`.
        writer: "module:name" of a function that writes a model's official files to a path, where
            there are several; None for the one file of `wrapper`.
        calmed: pattern of names whose weights are a quarter of what a seed gives: ends of branches,
            where so many follow each other that floats would not hold their sum.
        family: ours; None for the row's name.
        unneeded: modules that its code imports and this does not use; stood in for if missing.
    """

    build: str
    predictor: str
    source: str = "."
    calls: tuple[Mapping[str, Any], ...] = (
        {"multimask_output": False},
        {"multimask_output": True},
    )
    wrapper: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    writer: str | None = None
    calmed: str | None = None
    family: str | None = None
    unneeded: tuple[str, ...] = ()

    def model(self, checkout: Path) -> nn.Module:
        """The model as upstream's code makes it, in eval mode.

        Raises:
            ConfigError: the folder is no checkout of it.
        """
        sys.path.insert(0, str(checkout / self.source))
        stand_ins.install(self.unneeded)
        made: nn.Module = _find(self.build, checkout)(**self.arguments)
        return made.eval()

    def weights(self, shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
        """Made-up weights by name."""
        made = seeded.weights_for(shapes, seed)
        if self.calmed is None:
            return made
        return {k: CALM * v if re.search(self.calmed, k) else v for k, v in made.items()}

    def saved(self, model: nn.Module, path: Path) -> Path:
        """Its weights in a file like the official one, or a folder if there are several."""
        if self.writer is not None:
            written: Path = _find(self.writer, path)(model, path)
            return written
        weights = model.state_dict()
        torch.save({self.wrapper: weights} if self.wrapper else weights, path)
        return path

    def looks(self, model: nn.Module, pixels: U8, checkout: Path) -> Predictor:
        """Its predictor on a picture."""
        return Predictor(_find(self.predictor, checkout)(model), pixels, self.calls)


def _find(name: str, checkout: Path) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"{checkout}: not a checkout with {module}: {error}.") from error
    for part in attribute.split("."):
        found = found[part.strip("[]")] if part.startswith("[") else getattr(found, part)
    return found  # type: ignore[no-any-return]


TABLE: dict[str, Upstream] = {
    "edgesam": Upstream(
        "edge_sam:sam_model_registry.[edge_sam]",
        "edge_sam:SamPredictor",
        calls=({"num_multimask_outputs": 4, "use_stability_score": True},),
        unneeded=(
            *("loralib", "mmdet.models.dense_heads", "mmdet.models.necks", "mmengine"),
            *("projects.EfficientDet", "yacs.config"),
        ),
    ),
    **{
        f"efficient-sam-{size}": Upstream(
            "efficient_sam.efficient_sam:build_efficient_sam",
            "edgesam_engines.parity.efficient_sam:EfficientSamPredictor",
            calls=({},),
            wrapper="model",
            arguments={"encoder_patch_embed_dim": dim, "encoder_num_heads": dim // 64},
            family="efficient-sam",
        )
        for size, dim in (("ti", 192), ("s", 384))
    },
    **{
        f"efficientvit-sam-{size}": Upstream(
            "efficientvit.sam_model_zoo:create_efficientvit_sam_model",
            "efficientvit.models.efficientvit.sam:EfficientViTSamPredictor",
            arguments={"name": f"efficientvit-sam-{size}", "pretrained": False},
            unneeded=(
                *("efficientvit.apps", "efficientvit.apps.trainer", "omegaconf"),
                "efficientvit.apps.trainer.run_config",
                "efficientvit.models.nn.triton_rms_norm",
            ),
            calmed=r"\.main\.(point_conv|proj)\.norm\.weight$" if size == "xl1" else None,
            family=family,
        )
        for family, sizes in (
            ("efficientvit-sam", ("l0", "l1", "l2")),
            ("efficientvit-sam-xl", ("xl0", "xl1")),
        )
        for size in sizes
    },
    "mobilesam": Upstream("mobile_sam:sam_model_registry.[vit_t]", "mobile_sam:SamPredictor"),
    "nanosam": Upstream(
        "edgesam_engines.parity.nanosam:build",
        "edgesam_engines.parity.nanosam:NanoSamPredictor",
        calls=({},),
        writer="edgesam_engines.parity.nanosam:save",
        unneeded=("tensorrt", "torch2trt", "torchvision.datasets", "torchvision.ops.misc"),
    ),
    "repvit-sam": Upstream(
        "repvit_sam:sam_model_registry.[repvit]", "repvit_sam:SamPredictor", source="sam"
    ),
    "sam": Upstream("segment_anything:sam_model_registry.[vit_b]", "segment_anything:SamPredictor"),
    **{
        f"slimsam-{share}": Upstream(
            f"segment_anything:sam_model_registry.[vit_p{share}]",
            "segment_anything:SamPredictor",
            family="slimsam",
        )
        for share in (50, 77)
    },
    "tinysam": Upstream("tinysam:sam_model_registry.[vit_t]", "tinysam:SamPredictor", calls=({},)),
}
