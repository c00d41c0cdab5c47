"""Made-up checkpoints, laid out as the official files, whose activations are as if trained.

    python -m edgesam_engines.parity.make_checkpoint mobilesam --photos DIR --out mobile_sam.pt

For figures that need no real weights: times, memory, and what integers cost. They segment nothing.
See `settled.py` for what "as if trained" means.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from edgesam_engines import calibrate, recipe
from edgesam_engines.command_parts import Steps
from edgesam_engines.families.base import Family
from edgesam_engines.families.efficient_sam import EfficientSamModel
from edgesam_engines.families.efficient_sam_vit import PlainVitShape
from edgesam_engines.families.nanosam import ENCODER
from edgesam_engines.families.sam_family import GRID, SamFamily
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.families.table import open_family
from edgesam_engines.parity import seeded, settled, settled_decoder
from edgesam_rt.cli.exits import run_command
from edgesam_rt.errors import ConfigError, unknown_name

SEED = 1
PHOTOS = 4  # that are sent through side by side
_BESIDE_TINY_VIT = {  # its classifier, which official files still hold
    "image_encoder.norm_head.weight": (320,),
    "image_encoder.norm_head.bias": (320,),
    "image_encoder.head.weight": (1000, 320),
    "image_encoder.head.bias": (1000,),
}
_STAGE = "image_encoder.backbone.stages"
_MIDDLE = "image_encoder.neck.middle.op_list"


@dataclass(frozen=True)
class Official:
    """One official file.

    Attributes:
        family: a row of `families/table.py`.
        hints: shapes that tell the family which of its sizes it is.
        beside: shapes of what the file has and nothing uses.
        wrapper: key under which it keeps its weights; None if they are all there is.
        aligned: see `settled.settle_encoder`; for encoders whose stream goes through layers.
    """

    family: str
    hints: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    beside: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    wrapper: str | None = None
    aligned: bool = False


def _vit(dim: int, mlp: int) -> dict[str, tuple[int, ...]]:
    return {
        "image_encoder.pos_embed": (1, 64, 64, dim),
        "image_encoder.blocks.0.mlp.lin1.bias": (mlp,),
    }


def _efficient_vit(depths: Sequence[int], neck: int) -> dict[str, tuple[int, ...]]:
    stages = {f"{_STAGE}.{i}.op_list.{depth}.main": (1,) for i, depth in enumerate(depths)}
    return {f"{_MIDDLE}.{neck - 1}.main": (1,), **stages}


TABLE: dict[str, Official] = {
    "edgesam": Official("edgesam", aligned=True),
    "efficient-sam-s": Official(
        "efficient-sam", {"image_encoder.pos_embed": (1, 197, 384)}, wrapper="model"
    ),
    "efficient-sam-ti": Official("efficient-sam", wrapper="model"),
    "efficientvit-sam-l0": Official("efficientvit-sam"),
    "efficientvit-sam-l1": Official("efficientvit-sam", _efficient_vit((1, 1, 1, 6, 6), 8)),
    "efficientvit-sam-l2": Official("efficientvit-sam", _efficient_vit((1, 2, 2, 8, 8), 8)),
    "mobilesam": Official("mobilesam", beside=_BESIDE_TINY_VIT, aligned=True),
    "nanosam": Official("nanosam", aligned=True),
    "repvit-sam": Official("repvit-sam", aligned=True),
    "sam": Official("sam"),
    "slimsam-50": Official("slimsam", _vit(384, 1536)),
    "slimsam-77": Official("slimsam", _vit(168, 696)),
    "tinysam": Official("tinysam", beside=_BESIDE_TINY_VIT, aligned=True),
}


def seeded_model(name: str, seed: int) -> tuple[Family, nn.Module]:
    """The family of a row of TABLE, and its model with seeded weights and norms of their own."""
    row = TABLE[name]
    family = open_family(row.family)
    hints = {key: torch.zeros(shape) for key, shape in row.hints.items()}
    model: nn.Module
    if isinstance(family, SamFamily):
        model = SamModel(family.image_encoder(hints), GRID, family.decoder.prompt_side)
    else:
        model = EfficientSamModel(PlainVitShape.of(hints))
    shapes = seeded.shapes_of(model.state_dict())
    model.load_state_dict(seeded.weights_for(shapes, seed))
    return family, model.eval().requires_grad_(False)


def settle(
    family: Family, model: nn.Module, pictures: Sequence[Tensor], seed: int, *, aligned: bool
) -> None:
    """Settle a seeded model, in place; pictures are inputs of its encoder, (1, 3, S, S)."""
    assert isinstance(model, (SamModel, EfficientSamModel))
    side = pictures[0].shape[-1]
    settled.smooth(model)
    settled_decoder.arrange(model.mask_decoder, seed)
    spec = family.encoder_graph(model, side, for_int8=False)
    calls = [partial(spec.module, picture) for picture in pictures]
    made = settled.settle_encoder(model.image_encoder, calls, seed, aligned=aligned)
    embeddings = [
        dict(zip(spec.outputs, (y,) if isinstance(y, Tensor) else y, strict=True)) for y in made
    ]
    settled_decoder.settle_decoder(family, model, side, embeddings)


def pictures_of(folder: Path, family: Family) -> list[Tensor]:
    """Some photos as the family's encoder takes them."""
    wanted, _ = recipe.of_family(family.name, "fp32")
    side = wanted.sides[0]
    photos = calibrate.spread(calibrate.photos(folder), PHOTOS)
    feeds = calibrate.encoder_feeds(photos, side, family.preprocess, (1, 3, side, side))
    return [torch.from_numpy(x) for x in feeds]


def files_of(name: str, model: nn.Module, seed: int) -> dict[str, object]:
    """What is saved, by name within a folder; under "" if it is one file."""
    row, weights = TABLE[name], model.state_dict()
    if row.family == "nanosam":
        _, mobile = seeded_model("mobilesam", seed)
        own = {k: v for k, v in weights.items() if not k.startswith(ENCODER)}
        beside = seeded.weights_for(_BESIDE_TINY_VIT, seed)
        encoder = {k.removeprefix(ENCODER): v for k, v in weights.items() if k not in own}
        return {"resnet18.pth": encoder, "mobile_sam.pt": {**mobile.state_dict(), **own, **beside}}
    weights |= seeded.weights_for(row.beside, seed)
    return {"": {row.wrapper: weights} if row.wrapper else weights}


def _run(args: argparse.Namespace) -> int:
    if args.name not in TABLE:
        raise ConfigError(unknown_name("checkpoint", args.name, TABLE))
    steps = Steps()
    family, model = seeded_model(args.name, args.seed)
    pictures = pictures_of(args.photos, family)
    steps(f"{args.name}: settle on {len(pictures)} photos")
    settle(family, model, pictures, args.seed, aligned=TABLE[args.name].aligned)
    for name, content in files_of(args.name, model, args.seed).items():
        path = args.out / name if name else args.out
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, path)
        steps(f"wrote {path}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    p = argparse.ArgumentParser(
        prog="python -m edgesam_engines.parity.make_checkpoint", description=__doc__
    )
    p.add_argument("name", help=", ".join(TABLE))
    p.add_argument("--photos", type=Path, required=True, metavar="DIR", help="a dozen or more")
    p.add_argument("--seed", type=int, default=SEED)
    p.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="for nanosam a folder: it has two"
    )
    return run_command(lambda: _run(p.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
