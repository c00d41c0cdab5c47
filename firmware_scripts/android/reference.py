#!/usr/bin/env python3
"""The bundle's LiteRT files as an app calls them: numpy and LiteRT's Interpreter, nothing else.

What docs/android.md's Kotlin does, in Python, so that it can be run and tested; pre- and
postprocessing are written out. All facts of the model come from the bundle's manifest.

    reference.py BUNDLE PHOTO.ppm --point 345,120 --out mask.pgm
    reference.py BUNDLE PHOTO.ppm --box 285,95,415,150 --side 384 --out mask.pgm
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

FOREGROUND, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT, PADDING = 1, 2, 3, -1


@dataclass(frozen=True)
class Fit:
    """A picture in the top left of the encoder's square: its longer side fills it.

    Attributes:
        image_hw: of the picture, px.
        side: of the square, px.
        scaled_hw: of the picture inside the square, px.
    """

    image_hw: tuple[int, int]
    side: int
    scaled_hw: tuple[int, int]

    @classmethod
    def of(cls, image_hw: tuple[int, int], side: int) -> Fit:
        """Scale until the longer side is `side`; halves are rounded up."""
        scale = side / max(image_hw)
        h, w = (max(1, int(n * scale + 0.5)) for n in image_hw)
        return cls(image_hw, side, (h, w))

    def to_unit(self, xy: F32) -> F32:
        """(P, 2) picture px to sides of the square."""
        (h, w), (sh, sw) = self.image_hw, self.scaled_hw
        return xy * np.array([sw / w / self.side, sh / h / self.side], np.float32)

    def covered(self, multiple: int) -> F32:
        """(2,) height and width that the decoder looks at, sides of the square."""
        return (
            np.array([-(-n // multiple) * multiple for n in self.scaled_hw], np.float32) / self.side
        )


def bilinear(values: F32, out_hw: tuple[int, int], grow_hw: tuple[float, float]) -> F32:
    """Resize (h, w) or (h, w, C): pixel centres at half, edges repeated.

    Args:
        values: what to resize.
        out_hw: size of the result.
        grow_hw: output pixels per input pixel, which need not fill a whole number of them.
    """
    for axis in (0, 1):
        length = values.shape[axis]
        at = np.clip((np.arange(out_hw[axis]) + 0.5) / grow_hw[axis] - 0.5, 0, length - 1)
        low = at.astype(np.int64)
        high = np.minimum(low + 1, length - 1)
        share = (at - low).astype(np.float32).reshape([-1, *[1] * (values.ndim - 1 - axis)])
        values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return values


def to_square(pixels: U8, fit: Fit, pad_value: int) -> U8:
    """(H, W, 3) uint8 RGB into the encoder's square, (side, side, 3) uint8."""
    square = np.full((fit.side, fit.side, 3), pad_value, np.uint8)
    (h, w), (sh, sw) = fit.image_hw, fit.scaled_hw
    resized = bilinear(pixels.astype(np.float32), (sh, sw), (sh / h, sw / w))
    square[:sh, :sw] = np.rint(resized).astype(np.uint8)
    return square


class Segmenter:
    """A bundle's three files: encoder, scorer, mask head."""

    def __init__(self, bundle: Path, side: int = 512, threads: int = 4) -> None:
        """Open them.

        Args:
            bundle: a folder with manifest.json and .tflite files.
            side: of the encoder; the bundle's signatures say which there are.
            threads: of every file.
        """
        from ai_edge_litert.interpreter import Interpreter

        manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
        self._decoder, self._rule = manifest["decoder"], manifest["preprocess"]
        self._side = side
        points = self._decoder["points_per_prompt"]
        one = f"side{side}_prompts1_points{points}"
        names = {"encoder": f"side{side}", "scorer": one, "mask_head": one}
        self._files = {
            part: Interpreter(model_path=str(bundle / f"{part}.tflite"), num_threads=threads)
            for part in names
        }
        self._run = {n: f.get_signature_runner(names[n]) for n, f in self._files.items()}

    def encode(self, pixels: U8) -> tuple[dict[str, F32], Fit]:
        """Encode a picture, (H, W, 3) uint8 RGB; once, for all prompts about it."""
        fit = Fit.of((pixels.shape[0], pixels.shape[1]), self._side)
        square = to_square(pixels, fit, self._rule["pad_value"])
        # The file takes int8 and has its zero point at byte 127: byte - 128, which is one bit.
        return self._run["encoder"](pixels_u8=(square ^ np.uint8(128)).view(np.int8)[None]), fit

    def segment(self, embedding: dict[str, F32], fit: Fit, xy: F32, labels: F32) -> Any:
        """Answer one prompt.

        Args:
            embedding: of the picture, from `encode`.
            fit: from `encode`.
            xy: (P, 2) picture px; a box is its two corners.
            labels: (P,) 1 on the object, 0 not on it, 2 and 3 the corners of a box.

        Returns:
            (H, W) bool, and the model's own estimate of its IoU.
        """
        prompt = self._prompt(fit, xy, labels)
        scored = self._call("scorer", embedding | prompt)
        made = []
        for answer in self._answers(scored["iou_predictions"][0], labels):
            token = {"mask_tokens": scored["mask_tokens"][:, answer]}
            out = self._call("mask_head", embedding | prompt | token)
            made.append((float(out["iou_predictions"][0, 0]), out["low_res_masks"][0, 0]))
        score, logits = max(made, key=lambda pair: pair[0])
        return to_picture(logits, fit, self._decoder["mask_threshold"]), score

    def _prompt(self, fit: Fit, xy: F32, labels: F32) -> dict[str, F32]:
        """The prompt's tensors; points that are not given have label -1 and count for nothing."""
        points, cells = self._decoder["points_per_prompt"], fit.side // self._decoder["mask_stride"]
        coords = np.zeros((1, points, 2), np.float32)
        kinds = np.full((1, points), PADDING, np.float32)
        coords[0, : len(xy)], kinds[0, : len(xy)] = fit.to_unit(xy), labels
        return {
            "point_coords": coords,
            "point_labels": kinds,
            "mask_input": np.zeros((1, 1, cells, cells), np.float32),
            "has_mask_input": np.zeros((1, 1), np.float32),
            "covered_hw": fit.covered(self._decoder["cut_multiple"]),
        }

    def _answers(self, scores: F32, labels: F32) -> list[int]:
        """Which of the answers to make: of a single point, those that may be the best."""
        if labels.tolist() != [FOREGROUND]:
            return [self._decoder["clear_answer"]]
        choices = self._decoder["ambiguous_answers"]
        least = max(scores[choices]) - self._decoder["second_look"]
        return [answer for answer in choices if scores[answer] >= least]

    def _call(self, part: str, feeds: dict[str, F32]) -> dict[str, F32]:
        """Run a file on those of the tensors that it takes."""
        runner = self._run[part]
        outputs: dict[str, F32] = runner(
            **{name: feeds[name] for name in runner.get_input_details()}
        )
        return outputs


def to_picture(logits: F32, fit: Fit, threshold: float) -> NDArray[np.bool_]:
    """Low-resolution logits to a mask: cut the padding off, resize, cut at the threshold.

    Args:
        logits: (h, h), over the encoder's square.
        fit: where the picture lies in it.
        threshold: in logits.

    Returns:
        (H, W) bool.
    """
    (h, w), cells = fit.image_hw, len(logits) / fit.side
    rows, columns = (n * cells for n in fit.scaled_hw)
    inside = logits[: math.ceil(rows), : math.ceil(columns)]
    mask: NDArray[np.bool_] = bilinear(inside, (h, w), (h / rows, w / columns)) > threshold
    return mask


def read_ppm(path: Path) -> U8:
    """A binary PPM picture (P6, 8 bit), (H, W, 3) RGB."""
    raw = path.read_bytes()
    words = raw.split(maxsplit=4)
    if len(words) != 5 or words[0] != b"P6" or words[3] != b"255":
        raise SystemExit(
            f"{path}: expected a binary PPM of 8 bit. Next: djpeg photo.jpg > photo.ppm"
        )
    w, h = int(words[1]), int(words[2])
    return np.frombuffer(raw[-3 * w * h :], np.uint8).reshape(h, w, 3)


def write_pgm(path: Path, mask: NDArray[np.bool_]) -> None:
    """A mask as a binary PGM picture, 255 inside."""
    h, w = mask.shape
    path.write_bytes(b"P5\n%d %d\n255\n" % (w, h) + (mask * np.uint8(255)).tobytes())


def main() -> int:
    """Run the command."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("bundle", type=Path)
    p.add_argument("photo", type=Path)
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("--point", metavar="X,Y")
    what.add_argument("--box", metavar="X0,Y0,X1,Y1")
    p.add_argument("--side", type=int, default=512)
    p.add_argument("--out", type=Path, default=Path("mask.pgm"))
    args = p.parse_args()
    xy = np.array((args.point or args.box).split(","), np.float32).reshape(-1, 2)
    labels = [FOREGROUND] if args.point else [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]
    segmenter = Segmenter(args.bundle, args.side)
    embedding, fit = segmenter.encode(read_ppm(args.photo))
    mask, score = segmenter.segment(embedding, fit, xy, np.array(labels, np.float32))
    write_pgm(args.out, mask)
    sys.stdout.write(f"{args.out}: {int(mask.sum())} px, predicted IoU {score:.3f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
