"""Which boards a family's bundle can be built for."""

from __future__ import annotations

from edgesam_engines.recipe import Recipe
from edgesam_rt import boards
from edgesam_rt.errors import ConfigError

BACKEND = "onnxruntime"  # what family bundles are built for so far


def require(name: str, recipe: Recipe) -> None:
    """Refuse a board that could not run what is asked for.

    Raises:
        ConfigError: no such board, or one that has no ONNX Runtime.
    """
    board = boards.resolve(name)
    if BACKEND not in board.backends:
        raise ConfigError(
            f"--board {name} with --family {recipe.family}: {board.title} runs "
            f"{', '.join(board.backends)}; a family's bundle has engines for {BACKEND}. "
            "Build it for another board, or use the bundle that ships."
        )
