"""EfficientSAM's model behind the calls that the other families' predictors have; it has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edgesam_rt.records import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT
from edgesam_rt.types import F32, U8, Bool


class EfficientSamPredictor:
    """Looks at one picture; masks are made larger as upstream's exported decoder does it."""

    features: Tensor

    def __init__(self, model: Any) -> None:
        self._model = model
        self._hw = (0, 0)

    @torch.no_grad()
    def set_image(self, pixels: U8) -> None:
        """Encode a picture (H, W, 3) uint8 RGB."""
        self._hw = (pixels.shape[0], pixels.shape[1])
        picture = torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float().div(255)
        self.features = self._model.get_image_embeddings(picture[None])

    @torch.no_grad()
    def predict(
        self,
        point_coords: F32 | None,
        point_labels: F32 | None,
        box: F32 | None,
        mask_input: F32 | None,
    ) -> tuple[Bool, F32, F32]:
        """Answers 1 to 3: masks (3, H, W), predicted IoUs (3,), low-resolution logits."""
        assert mask_input is None
        coords = [*(point_coords if point_coords is not None else ())]
        labels = [*(point_labels if point_labels is not None else ())]
        if box is not None:
            coords += [*box.reshape(2, 2)]
            labels += [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]
        points = torch.from_numpy(np.array(coords, np.float32))[None, None]
        kinds = torch.from_numpy(np.array(labels, np.float32))[None, None]
        h, w = self._hw
        low, iou = self._model.predict_masks(self.features, points, kinds, True, h, w)
        whole = functional.interpolate(low[0], self._hw, mode="bilinear", align_corners=False)
        return (whole[0] >= 0).numpy(), iou[0, 0].numpy(), low[0, 0].numpy()
