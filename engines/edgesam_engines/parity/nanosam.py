"""NanoSAM's own code without TensorRT: its predictor runs its modules instead of engines."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn

from edgesam_rt.errors import ConfigError
from edgesam_rt.records import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT
from edgesam_rt.types import F32, U8, Bool


class NanoSam(nn.Module):
    """Its encoder and MobileSAM's decoder, which are two files and two engines there."""

    def __init__(self, image_encoder: nn.Module, mobile_sam: Any) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder, self.mask_decoder = mobile_sam.prompt_encoder, mobile_sam.mask_decoder
        self.whole = {"mobile_sam": mobile_sam}  # hidden from the state dict: it has an encoder too


def build() -> NanoSam:
    """The two models as upstream's code makes them; its trunk is timm's.

    Raises:
        ConfigError: timm is not installed; a stand-in's trunk would prove nothing.
    """
    try:
        encoders = importlib.import_module("nanosam.models.timm_image_encoder")
        encoder = encoders.TimmImageEncoder("resnet18")
    except (AttributeError, TypeError) as error:
        raise ConfigError("nanosam: its trunk is timm's: pip install --no-deps timm.") from error
    return NanoSam(
        encoder, importlib.import_module("nanosam.mobile_sam").sam_model_registry["vit_t"]()
    )


def save(model: NanoSam, folder: Path) -> Path:
    """Both files as they are published, in one folder."""
    folder.mkdir(exist_ok=True)
    torch.save({"model": model.image_encoder.state_dict()}, folder / "resnet18.pth")
    torch.save(model.whole["mobile_sam"].state_dict(), folder / "mobile_sam.pt")
    return folder


class NanoSamPredictor:
    """Upstream's predictor, with the calls that the other families' predictors have."""

    def __init__(self, model: NanoSam) -> None:
        predictors = importlib.import_module("nanosam.utils.predictor")
        graphs = importlib.import_module("nanosam.mobile_sam.utils.onnx")
        decoder = graphs.SamOnnxModel(model.whole["mobile_sam"], return_single_mask=False)
        loaders = ("load_image_encoder_engine", "load_mask_decoder_engine")
        as_they_are: dict[str, Any] = dict.fromkeys(loaders, lambda module: module)
        with mock.patch.multiple(predictors, **as_they_are):
            self._predictor = predictors.Predictor(model.image_encoder, decoder)

    @property
    def features(self) -> Tensor:
        """(1, 256, 64, 64)."""
        made: Tensor = self._predictor.features
        return made

    @torch.no_grad()
    def set_image(self, pixels: U8) -> None:
        """Encode a picture (H, W, 3) uint8 RGB."""
        with _on_cpu():
            self._predictor.set_image(PIL.Image.fromarray(pixels))

    @torch.no_grad()
    def predict(
        self,
        point_coords: F32 | None,
        point_labels: F32 | None,
        box: F32 | None,
        mask_input: F32 | None,
    ) -> tuple[Bool, F32, F32]:
        """All four answers: masks (4, H, W), predicted IoUs (4,), low-resolution logits."""
        points = [c for c in (point_coords, _corners(box)) if c is not None]
        labels = [*(point_labels if point_labels is not None else ())]
        labels += [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT] if box is not None else []
        earlier = None if mask_input is None else torch.from_numpy(mask_input)[None]
        with _on_cpu():
            whole, iou, low = self._predictor.predict(np.concatenate(points), labels, earlier)
        return (whole[0] > 0).numpy(), iou[0].numpy(), low[0].numpy()


def _corners(box: F32 | None) -> F32 | None:
    return None if box is None else box.reshape(2, 2)


def _on_cpu() -> Any:
    """While this lasts, `.cuda()` leaves a tensor where it is."""
    return mock.patch.object(torch.Tensor, "cuda", lambda tensor: tensor)
