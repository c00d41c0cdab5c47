"""A tiny recipe and tiny labelled photos for the tests of the training."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edgesam_engines.train.config import Recipe, load_recipe
from edgesam_engines.train.sources import Split, split_sources

ROOT = Path(__file__).resolve().parents[2]
POCKETSAM = ROOT / "engines/checkpoints/pocketsam-0.3.safetensors"
COMMITTED = (
    Path(__file__).resolve().parents[2]
    / "engines/edgesam_engines/train/recipes/pocketsam-clean.toml"
)


def draw_shapes(rng: np.random.Generator, i: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A photo (96, 128, 3) of a bright disc (id 1) and a dark rectangle (id 2), and its id map."""
    image = rng.integers(90, 160, (96, 128, 3), np.uint8)
    ids = np.zeros((96, 128), np.uint8)
    x, y = int(rng.integers(30, 50)), int(rng.integers(35, 60))
    cv2.circle(image, (x, y), 20, (250, 240, 230), -1)
    cv2.circle(ids, (x, y), 20, 1, -1)
    cv2.rectangle(image, (80, 20), (110, 70 + i), (10, 20, 30), -1)
    cv2.rectangle(ids, (80, 20), (110, 70 + i), 2, -1)
    return image, ids


def write_photos(
    root: Path,
    source: str = "shapes",
    count: int = 6,
    seed: int = 0,
    *,
    commercial_use: str = "see licence",
) -> None:
    """A source with photos of a bright disc (id 1) and a dark rectangle (id 2) on noise."""
    folder = root / "masks" / source
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        image, ids = draw_shapes(rng, i)
        cv2.imwrite(str(folder / f"{i:04}.webp"), image)
        cv2.imwrite(str(folder / f"{i:04}.png"), ids)
    (folder / "meta.json").write_text(json.dumps({"commercial_use": commercial_use}))


def write_backdrops(root: Path, name: str = "plain", count: int = 2) -> None:
    """Unlabelled photos of noise."""
    folder = root / "photos" / name
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i}.webp"), rng.integers(0, 255, (80, 100, 3), np.uint8))


def tiny_recipe(folder: Path, *, steps: int = 4, **changes: object) -> Recipe:
    """The committed recipe, made small: 64-pixel crops, two photos and four prompts a step.

    `changes` replace whole sections, by the names of the recipe's fields.
    """
    data: dict[str, object] = msgspec.to_builtins(load_recipe(COMMITTED))
    sections: dict[str, dict[str, object]] = {
        "hardware": {"device": "cpu", "threads": 1, "workers": 0},
        "batch": {"photos_cpu": 2, "photos_cuda": 2, "prompts": 4, "sides": {"64": 1.0}},
        "data": {
            "sources": {"shapes": {"weight": 1.0, "cutout": 1.0}},
            "backdrops": {"plain": 1.0},
            "holdout": 0.5,
        },
        "paste": {**data["paste"], "min_source": 100},  # type: ignore[dict-item]
        "schedule": {"total_steps": steps, "warmup_steps": 0, "decay_steps": 0, "floor": 0.1},
        "validation": {
            "every_steps": 2,
            "side": 64,
            "max_photos": 2,
            "max_objects": 2,
        },
        "saving": {"every_minutes": 60.0, "log_every_steps": 1},
    }
    data |= sections
    data |= changes
    path = folder / "recipe.json"
    path.write_bytes(msgspec.json.encode(data))
    return msgspec.convert(data, Recipe)


def tiny_split(folder: Path, recipe: Recipe) -> Split:
    """The photos of `tiny_recipe`, written below the folder."""
    write_photos(folder)
    write_backdrops(folder)
    return split_sources(folder, recipe.data)


def as_toml(value: dict[str, object]) -> str:
    """Top-level keys, each with an inline value."""
    return "".join(f"{key} = {_inline(v)}\n" for key, v in value.items() if v is not None)


def _inline(value: object) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{k} = {_inline(v)}" for k, v in value.items() if v is not None)
        return "{ " + inner + " }"
    return json.dumps(value)
