"""A family small enough to be built in a test: SAM's real decoder behind one convolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import cv2
import torch
from msgspec.structs import replace
from torch import Tensor, nn

from edgesam_engines import build, recipe
from edgesam_engines.families import table
from edgesam_engines.families.sam_family import SamFamily
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.parity import seeded
from edgesam_engines.recipe import Quantization
from edgesam_rt import selftest
from edgesam_rt.manifest import Precision


class Toy(SamFamily):
    """SAM's decoder behind one convolution."""

    name: ClassVar[str] = "toy"

    def image_encoder(self, weights: Mapping[str, Tensor]) -> nn.Module:
        del weights
        return nn.Conv2d(3, 256, 16, 16)


@contextmanager
def in_the_table() -> Iterator[None]:
    """The family can be opened by name inside the block."""
    table.TABLE["toy"] = (__name__, "Toy")
    yield
    del table.TABLE["toy"]


def checkpoint_in(folder: Path) -> Path:
    """A seeded checkpoint, as official files are."""
    model = SamModel(Toy().image_encoder({}), 64, 1024)
    path = folder / "toy.pt"
    torch.save(seeded.weights_for(seeded.shapes_of(model.state_dict()), seed=1), path)
    return path


def photos_in(folder: Path) -> Path:
    """The self-test's two pictures as files."""
    for i, pixels in enumerate(selftest.pictures()):
        cv2.imwrite(str(folder / f"{i}.png"), pixels[..., ::-1])
    return folder


def job(
    precision: Precision, checkpoint: Path, photos: Path, out: Path, *, tensorrt: bool = False
) -> build.Job:
    """What MobileSAM's recipe asks for, of the toy; packed whatever it is worth."""
    found, _ = recipe.of_family("mobilesam", precision)
    wanted = replace(
        found,
        family="toy",
        calibration=replace(found.calibration, photos=1),
        quantization=Quantization(bias_correction=True),
        tensorrt=tensorrt,
    )
    return build.Job(wanted, checkpoint, photos, out, below_target=True)
