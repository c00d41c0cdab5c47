"""How much of a float graph's outputs a quantized one keeps, on a few pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from edgesam_engines.errors import no_picture
from edgesam_engines.ptq.graphs import Feed, Feeds, session
from edgesam_rt.types import F32


@dataclass(frozen=True)
class Reference:
    """Inputs of a few pictures and the float graph's outputs; both stay in memory.

    Attributes:
        feeds: inputs, per picture.
        outputs: by name, per picture.
    """

    feeds: list[Feed]
    outputs: list[dict[str, F32]]

    @property
    def digest(self) -> str:
        """A hash of the outputs."""
        content = hashlib.sha256()
        for outputs in self.outputs:
            content.update(b"".join(outputs[name].tobytes() for name in sorted(outputs)))
        return content.hexdigest()


@dataclass(frozen=True)
class Fidelity:
    """Of one graph, per output: means over the pictures.

    Attributes:
        cosine: with the float graph's output.
        noise: squared error in parts of the float output's squares.
    """

    cosine: dict[str, float]
    noise: dict[str, float]

    @property
    def mean_cosine(self) -> float:
        """Over the outputs."""
        return float(np.mean(list(self.cosine.values())))

    @property
    def mean_noise(self) -> float:
        """Over the outputs."""
        return float(np.mean(list(self.noise.values())))

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise over the outputs."""
        return decibels(self.mean_noise)


def decibels(noise: float) -> float:
    """Signal to noise, from the noise in parts of the signal's power; at most 99."""
    return 99.0 if noise <= 0 else float(min(99.0, -10 * np.log10(noise)))


def reference(model: onnx.ModelProto, feeds: Feeds) -> Reference:
    """Run the float graph on all pictures of `feeds`: pass few of them.

    Raises:
        CalibrationError: there is no picture.
    """
    run = session(model)
    kept = list(feeds)
    if not kept:
        raise no_picture()
    names = [o.name for o in model.graph.output]
    return Reference(kept, [dict(zip(names, run.run(names, dict(f)), strict=True)) for f in kept])


def fidelity(model: onnx.ModelProto, against: Reference, *, integers: bool = True) -> Fidelity:
    """Compare a graph with the same inputs and outputs; `integers` as for `graphs.session`."""
    return compared(outputs_of(model, against, integers=integers), against)


def outputs_of(
    model: onnx.ModelProto, against: Reference, *, integers: bool = True
) -> list[dict[str, F32]]:
    """What a graph makes of the reference's pictures."""
    run = session(model, integers=integers)
    names = list(against.outputs[0])
    return [dict(zip(names, run.run(names, dict(f)), strict=True)) for f in against.feeds]


def compared(outputs: Sequence[Mapping[str, F32]], against: Reference) -> Fidelity:
    """Compare outputs with the reference's, picture by picture."""
    names = list(against.outputs[0])
    cosines: dict[str, list[float]] = {n: [] for n in names}
    noises: dict[str, list[float]] = {n: [] for n in names}
    for made, exact in zip(outputs, against.outputs, strict=True):
        for name in names:
            cosine, noise = likeness(made[name], exact[name])
            cosines[name].append(cosine)
            noises[name].append(noise)
    return Fidelity(_means(cosines), _means(noises))


def likeness(made: F32, exact: F32) -> tuple[float, float]:
    """Cosine of two tensors, and their squared difference in parts of the exact one's squares."""
    a, b = made.ravel().astype(np.float64), exact.ravel().astype(np.float64)
    power = float(b @ b)
    if power == 0:
        return float(not a.any()), float(a @ a)
    length = float(np.sqrt((a @ a) * power))
    missed = a - b
    return (float(a @ b) / length if length else 0.0), float(missed @ missed) / power


def _means(values: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: float(np.mean(v)) for name, v in values.items()}
