"""What a board wants of a family's bundle, and what it cannot run."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import structs

from edgesam_engines.recipe import Recipe
from edgesam_rt import boards
from edgesam_rt.boards import Board
from edgesam_rt.errors import ConfigError

ONNX, TENSORRT, LITERT = "onnxruntime", "tensorrt", "litert"


class Target(NamedTuple):
    """What is built for a board.

    Attributes:
        recipe: with graphs for TensorRT where the board has it.
        litert: whether the board runs .tflite files and nothing else.
    """

    recipe: Recipe
    litert: bool = False


def target(recipe: Recipe, name: str | None) -> Target:
    """Fit a family's recipe to a board.

    Args:
        recipe: of the family, at the wanted precision.
        name: of the board; None for no board in particular: ONNX files alone.

    Raises:
        ConfigError: no such board, or none that could run it at that precision.
    """
    board = boards.resolve(name) if name is not None else None
    backends = board.backends if board is not None else (ONNX,)
    if recipe.precision == "fp16" and TENSORRT not in backends:
        raise ConfigError(_no_halves(recipe, board))
    if board is not None and recipe.precision == "int8" and backends[0] == TENSORRT:
        _require_integers(board)
    if TENSORRT in backends:
        return Target(structs.replace(recipe, tensorrt=True))
    if board is not None and recipe.instances is not None and ONNX not in backends:
        raise ConfigError(
            f"--board {board.name} with --family {recipe.family}: {board.title} runs "
            f"{', '.join(backends)}, for which networks that find instances are not translated. "
            "Build another family, or for another board."
        )
    return Target(recipe, litert=ONNX not in backends)


def _no_halves(recipe: Recipe, board: Board | None) -> str:
    with_it = [n for n in boards.names() if TENSORRT in boards.load(n).backends]
    where = f"{board.title} runs {', '.join(board.backends)}" if board else "no --board is named"
    return (
        f"--precision fp16 with --family {recipe.family}: only TensorRT computes in half precision "
        f"here, and {where}. Name one of {', '.join(with_it)}, or --precision int8 or fp32."
    )


def _require_integers(board: Board) -> None:
    if board.gpu is not None and not board.gpu.int8:
        raise ConfigError(
            f"--precision int8 with --board {board.name}: its GPU ({board.gpu.name}) has no INT8. "
            "Use --precision fp16 or fp32."
        )
