"""Every stage from the photo to the mask as arrays in one file.

The same file runs on this machine and in the arm64 userland, where only the wheel is: it imports
numpy and the runtime, and nothing of `benchmarks`.

    python probe.py PHOTO BOARD BACKEND OUT.npz [REFERENCE.npz]

With a reference, the engines get the reference's pictures ("SIDE/input/square"), so that what they
make of the same bytes can be compared, whatever became of the photo before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edgesam_rt as es
from edgesam_rt.engines import EngineSet, resolve
from edgesam_rt.imaging.geometry import Fit, to_encoder_input
from edgesam_rt.prompt_feeds import from_prompts
from edgesam_rt.records import Prompt
from edgesam_rt.segmenter import Decoder, Encoder
from edgesam_rt.types import U8

# A point, two points and a box, in px of the square; any picture can take them.
PROMPTS = (
    Prompt.point(170, 60),
    Prompt.points([(170, 60), (20, 20)], [1, 0]),
    Prompt.box(140, 45, 210, 75),
)

Array = NDArray[np.generic]
Stage = tuple[str, Array]


def stages(engines: EngineSet, photo: Path, given: Mapping[str, U8]) -> Iterator[Stage]:
    """Names and arrays in the order in which they come to be; "SIDE/encoder/NAME" and so on.

    Args:
        engines: opened and closed here, side by side.
        photo: a picture file.
        given: squares to encode instead of the photo's own, by their names.
    """
    pixels = es.read_image(photo)
    yield "photo/pixels", pixels
    for side in engines.bundle.sides(engines.options.backend):
        name = f"{side}/input/square"
        fit = Fit.longest_side((pixels.shape[0], pixels.shape[1]), side)
        square = to_encoder_input(pixels, fit, engines.bundle.manifest.preprocess.pad_value)
        yield name, square
        yield from _engines_of(engines, side, given.get(name, square))


def _engines_of(engines: EngineSet, side: int, square: U8) -> Iterator[Stage]:
    """What encoder and decoder make of a picture that needs no resizing: (side, side, 3) uint8."""
    encoder = Encoder(engines.bundle, engines.options, side)
    decoder = Decoder(engines.bundle, engines.options, side)
    embedding = encoder.encode(square)
    for name, tensor in embedding.tensors.items():
        yield f"{side}/encoder/{name}", tensor
    scored = decoder.score(embedding, from_prompts(PROMPTS, embedding.fit, decoder.facts))
    yield f"{side}/decoder/predicted_iou", scored.predicted_iou
    answers = decoder.predict(embedding, PROMPTS)
    yield f"{side}/decoder/low_res_logits", answers.low_res_logits
    yield f"{side}/mask/masks", answers.masks
    encoder.close()
    decoder.close()


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    photo, board, backend, out, *reference = argv
    given = np.load(reference[0]) if reference else {}
    engines = resolve(board=board, backend=backend, self_test=False)
    arrays: dict[str, Array] = dict(stages(engines, Path(photo), given))
    np.savez(out, **arrays)  # type: ignore[arg-type]  # its stub takes names for options
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
