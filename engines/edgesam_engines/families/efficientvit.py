"""EfficientViT-L image encoders: convolutions, and on coarse maps linear attention.

Source: Cai et al. 2023, "EfficientViT: Multi-Scale Linear Attention for High-Resolution Dense
Prediction", and Zhang et al. 2024, "EfficientViT-SAM"; names of modules are those of the published
checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, cast

from torch import Tensor, nn

from edgesam_engines.families.bicubic import enlarged
from edgesam_engines.families.efficientvit_parts import (
    AttentionBlock,
    Beside,
    ConvLayer,
    Fused,
    Inverted,
    OpList,
    TwoConvs,
)
from edgesam_engines.families.sam_parts import LayerNorm2d
from edgesam_engines.families.sam_prompts import DIM

FIRST = 4  # a stage's first block has this many times more channels inside
NECK_WIDTH = 256
NECK_MAPS = 3  # the coarsest ones
GRID = 64
STEM = 32


class StageRow(NamedTuple):
    """A stage behind the first one.

    Attributes:
        channels: of its maps.
        kind: of its blocks.
        expansion: channels inside a block over those of its input.
    """

    channels: int
    kind: Literal["fused", "inverted", "attention"]
    expansion: int


class Variant(NamedTuple):
    """What a kind of encoders has in common.

    Attributes:
        stages: behind the first one.
        window: side of the squares of cells that make the second scale of attention.
        neck_expansion: as a stage's, of the neck's blocks.
    """

    stages: tuple[StageRow, ...]
    window: int
    neck_expansion: int


L = Variant(
    (
        StageRow(64, "fused", 4),
        StageRow(128, "fused", 4),
        StageRow(256, "inverted", 4),
        StageRow(512, "attention", 6),
    ),
    window=5,
    neck_expansion=1,
)
XL = Variant(
    (
        StageRow(64, "fused", 4),
        StageRow(128, "fused", 4),
        StageRow(256, "fused", 4),
        StageRow(512, "attention", 4),
        StageRow(1024, "attention", 6),
    ),
    window=3,
    neck_expansion=4,
)


class Depths(NamedTuple):
    """Blocks of each stage without its first, and of the neck: a variant's sizes differ in them."""

    stages: tuple[int, ...]
    neck: int


class Backbone(nn.Module):
    """(B, 3, S, S) to the maps of its last stages."""

    def __init__(self, variant: Variant, depths: Sequence[int]) -> None:
        super().__init__()
        stem = [ConvLayer(3, STEM, 3, 2, act=True)]
        first = (Beside(TwoConvs(STEM), shortcut=True) for _ in range(depths[0]))
        stages = [OpList([*stem, *first])]
        widths = [STEM, *(row.channels for row in variant.stages)]
        for cin, row, depth in zip(widths, variant.stages, depths[1:], strict=False):
            stages.append(OpList(_stage(cin, row, depth, variant.window)))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See the class; the finest last."""
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.insert(0, x)
        return maps[:NECK_MAPS]


class Neck(nn.Module):
    """Maps at their finest's size, summed and mixed."""

    def __init__(self, variant: Variant, depth: int) -> None:
        super().__init__()
        widths = [row.channels for row in reversed(variant.stages)][:NECK_MAPS]
        self.input_ops = nn.ModuleList(OpList([ConvLayer(c, NECK_WIDTH)]) for c in widths)
        blocks = (Fused(NECK_WIDTH, NECK_WIDTH, 1, variant.neck_expansion) for _ in range(depth))
        self.middle = OpList([Beside(block, shortcut=True) for block in blocks])
        self.output_ops = nn.ModuleList([OpList([ConvLayer(NECK_WIDTH, DIM, norm=False)])])

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps, the finest last, to (B, 256, GRID, GRID)."""
        x = self.input_ops[-1](maps[-1])
        for op, coarse in zip(self.input_ops[:-1], maps[:-1], strict=True):
            x = x + enlarged(op(coarse), GRID)
        return cast(Tensor, self.output_ops[0](self.middle(x)))


class EfficientVitEncoder(nn.Module):
    """(B, 3, S, S) normalised to (B, 256, 64, 64); S is 512 for L, 1024 for XL."""

    def __init__(self, variant: Variant, depths: Depths) -> None:
        super().__init__()
        self.backbone = Backbone(variant, depths.stages)
        self.neck = Neck(variant, depths.neck)
        self.norm = LayerNorm2d(DIM)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return cast(Tensor, self.norm(self.neck(self.backbone(x))))

    def fold(self) -> None:
        """Put every norm into its convolution, in place."""
        for layer in self.modules():
            if isinstance(layer, ConvLayer):
                layer.fold()


def _stage(cin: int, row: StageRow, depth: int, window: int) -> Iterator[nn.Module]:
    """Its first block, which halves the sides, and the others."""
    make = Fused if row.kind == "fused" else Inverted
    yield Beside(make(cin, row.channels, 2, FIRST * row.expansion), shortcut=False)
    for _ in range(depth):
        if row.kind == "attention":
            yield AttentionBlock(row.channels, window, row.expansion)
        else:
            yield Beside(make(row.channels, row.channels, 1, row.expansion), shortcut=True)
