"""What a checkpoint looks like, by the names and shapes of a few of its tensors."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

# Family: tensors that its official files have, with their first dimension (None: any).
_TINY_VIT: dict[str, int | None] = {"image_encoder.layers.1.blocks.0.attn.attention_biases": 4}
TABLE: dict[str, dict[str, int | None]] = {
    "mobilesam or tinysam": _TINY_VIT,
    "sam": {"image_encoder.blocks.0.attn.qkv.weight": 2304, "image_encoder.pos_embed": None},
    "sam (ViT-L, which is not built)": {"image_encoder.blocks.0.attn.qkv.weight": 3072},
    "sam (ViT-H, which is not built)": {"image_encoder.blocks.0.attn.qkv.weight": 3840},
    "slimsam": {"image_encoder.blocks.0.attn.qkv.weight": None},
    "nanosam": {"backbone.layer1.0.conv1.weight": None, "proj.0.weight": None},
    "edgesam": {
        "image_encoder.features.1.token_mixer.0.conv1.c.weight": 48,
        "image_encoder.fuse_stage2.weight": None,
    },
    "repvit-sam": {"image_encoder.features.1.token_mixer.0.conv1.weight": 80},
    "efficientvit-sam-xl": {
        "image_encoder.backbone.stages.5.op_list.0.main.point_conv.conv.weight": None
    },
    "efficientvit-sam": {"image_encoder.backbone.stages.0.op_list.0.conv.weight": 32},
    "efficient-sam": {
        "image_encoder.patch_embed.proj.weight": None,
        "mask_decoder.upscaling_layers.0.weight": None,
    },
    "pocketsam": {"encoder.trunk.stem.conv.weight": None},
    "SAM 2": {"image_encoder.trunk.patch_embed.proj.weight": None},
}


def looks_like(weights: Mapping[str, Tensor]) -> str | None:
    """The first row of TABLE that weights match, or None."""
    for name, tensors in TABLE.items():
        if all(_has(weights, key, first) for key, first in tensors.items()):
            return name
    return None


def _has(weights: Mapping[str, Tensor], key: str, first: int | None) -> bool:
    found = weights.get(key)
    return found is not None and (first is None or found.shape[0] == first)
