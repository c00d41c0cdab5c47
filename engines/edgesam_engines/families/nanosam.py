"""NanoSAM: a ResNet-18 distilled from MobileSAM's encoder, with MobileSAM's decoder.

Two files belong to it: its own has the encoder alone, the decoder is MobileSAM's.
Source: NVIDIA-AI-IOT/nanosam, its README.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from msgspec import structs
from torch import Tensor, nn

from edgesam_engines.checkpoints import first_few, read_weights
from edgesam_engines.errors import CheckpointError
from edgesam_engines.families import nanosam_onnx
from edgesam_engines.families.fingerprints import looks_like
from edgesam_engines.families.nanosam_encoder import NanoEncoder
from edgesam_engines.families.sam_family import DECODER, GRID, PREPROCESS, SamFamily
from edgesam_engines.families.sam_graphs import SamModel
from edgesam_engines.families.sam_parts import fold_neighbours
from edgesam_rt.manifest import DecoderFacts, Preprocess

ENCODER = "image_encoder."
OWN, MOBILE = "nanosam", "mobilesam or tinysam"  # as `looks_like` calls its two files
_READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    **dict.fromkeys((".pt", ".pth", ".safetensors"), read_weights),
    ".onnx": nanosam_onnx.read,
}
_NOT_READ = "mobile_sam_mask_decoder.onnx"  # lies beside the encoder's, as NVIDIA ships them


class NanoSam(SamFamily):
    """Official files, in one folder: mobile_sam.pt; resnet18_image_encoder.onnx or a checkpoint."""

    name: ClassVar[str] = "nanosam"
    preprocess: ClassVar[Preprocess] = structs.replace(
        PREPROCESS, resample="pil_bicubic", rounding="down"
    )
    decoder: ClassVar[DecoderFacts] = structs.replace(
        DECODER,
        padding_point=False,
        ambiguous_answers=(0, 1, 2, 3),
        clear_answer=None,
        mask_side=4 * GRID,
    )

    def image_encoder(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """ResNet-18 has one shape."""
        del weights
        return NanoEncoder()

    def folded(self, model: SamModel) -> SamModel:
        """With BatchNorm in the convolutions."""
        assert isinstance(model.image_encoder, NanoEncoder)
        fold_neighbours(model.image_encoder)
        return model

    def weights(self, checkpoint: Path) -> dict[str, Tensor]:
        """Of both files in a folder: the encoder's own, and the decoder of a MobileSAM.

        Raises:
            CheckpointError: it is no folder, or not with these two.
        """
        found = self._both(checkpoint)
        own = {ENCODER + k: v for k, v in found[OWN].items()}
        return own | {k: v for k, v in found[MOBILE].items() if not k.startswith(ENCODER)}

    def _both(self, folder: Path) -> dict[str | None, dict[str, Tensor]]:
        files = sorted(p for p in folder.glob("*") if p.suffix in _READERS and p.name != _NOT_READ)
        if len(files) > 2:
            raise _not_both(folder, [p.name for p in files])
        read = [(path, _READERS[path.suffix](path)) for path in files]
        found = {looks_like(weights): weights for _, weights in read}
        if found.keys() != {OWN, MOBILE}:
            raise _not_both(folder, [f"{p.name} ({looks_like(w)})" for p, w in read])
        return found


def _not_both(folder: Path, seen: list[str]) -> CheckpointError:
    nothing = "neither" if folder.is_dir() else "no such folder"
    return CheckpointError(
        f"checkpoint {folder}: expected a folder with two files, NanoSAM's encoder "
        "(resnet18_image_encoder.onnx or its checkpoint) and mobile_sam.pt, whose decoder it uses; "
        f"got {first_few(seen) or nothing}."
    )
