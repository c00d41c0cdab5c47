"""What `edgesam-engines list --families` says: published models, their files and their licences."""

from __future__ import annotations

import json
import sys

from edgesam_engines import recipe
from edgesam_engines.recipe import Recipe

_NAME_WIDTH = 20


def published() -> dict[str, Recipe]:
    """Recipes of models whose weights a user brings, by family; needs no torch."""
    every = [recipe.load(name)[0] for name in recipe.names()]
    return {found.family: found for found in every if found.checkpoint is None}


def show(*, as_json: bool) -> int:
    """Print them; returns the exit code."""
    rows = published()
    if as_json:
        plain = {
            family: {
                "checkpoint": found.origin,
                "licence": found.licence,
                "sides": found.sides,
                "precision": found.precision,
            }
            for family, found in rows.items()
        }
        sys.stdout.write(json.dumps(plain, indent=2) + "\n")
        return 0
    for family, found in rows.items():
        sides = "/".join(map(str, found.sides))
        sys.stdout.write(
            f"{family:<{_NAME_WIDTH}} {found.precision:<4} {sides:<4}  {found.origin}\n"
            f"{'':<{_NAME_WIDTH}} licence of the weights: {found.licence}\n"
        )
    return 0
