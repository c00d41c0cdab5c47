"""Objects as people write them, in files, configurations and requests."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from edgesam_rt.errors import PromptError
from edgesam_rt.records import FOREGROUND, Prompt


class PromptObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One object: points [x, y] or [x, y, label], a box [x0, y0, x1, y1], or both; px."""

    points: tuple[tuple[float, ...], ...] = ()
    box: tuple[float, float, float, float] | None = None


def to_prompts(objects: Sequence[PromptObject], where: str) -> tuple[Prompt, ...]:
    """Return one prompt per object.

    Raises:
        PromptError: an object that is no prompt; `where` and its number are named.
    """
    return tuple(to_prompt(each, f"{where}[{i}]") for i, each in enumerate(objects))


def to_prompt(given: PromptObject, where: str) -> Prompt:
    """Return the prompt of one object.

    Raises:
        PromptError: it is none; `where` is named.
    """
    try:
        parts = [_point(p) for p in given.points]
        if given.box is not None:
            parts.append(Prompt.box(*given.box))
        if not parts:
            raise PromptError('an object needs "points" or "box".')
        joined = parts[0]
        for part in parts[1:]:
            joined = joined + part
    except PromptError as error:
        raise PromptError(f"{where}: {error}") from error
    return joined


def _point(values: tuple[float, ...]) -> Prompt:
    if len(values) not in (2, 3):
        raise PromptError(f"a point is [x, y] or [x, y, label], got {list(values)}.")
    label = values[2] if len(values) == 3 else FOREGROUND
    return Prompt.points(np.array([values[:2]]), np.array([label]))
