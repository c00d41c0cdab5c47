"""Prompts from a JSON file.

    {"objects": [{"points": [[420, 310], [80, 90, 0]]}, {"box": [10, 20, 200, 220]}],
     "frames": {"street": [{"box": [5, 5, 60, 80], "points": [[30, 40]]}]}}

`objects` is asked of every frame; `frames` of the frames with that name (a picture's file name
without its suffix, "frame-000012" in a video) instead. A point is x, y, and optionally its label:
1 on the object (the default), 0 not on it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgesam_rt.config import convert
from edgesam_rt.errors import ConfigError
from edgesam_rt.pipeline.task import Prompts
from edgesam_rt.service.prompts import PromptObject, to_prompts


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    objects: tuple[PromptObject, ...] = ()
    frames: dict[str, tuple[PromptObject, ...]] = {}


def load_prompts(path: Path) -> Prompts:
    """Read a prompts file.

    Raises:
        ConfigError: no such file, not JSON, an unknown key, nothing in it.
        PromptError: an object that is no prompt; the file and the object are named.
    """
    try:
        raw = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: not JSON: {error}.") from error
    read = convert(raw, _File, str(path))
    everywhere = to_prompts(read.objects, f"{path}: objects")
    by_frame = {
        name: to_prompts(objects, f"{path}: frames.{name}") for name, objects in read.frames.items()
    }
    prompts = Prompts(everywhere, by_frame)
    if not prompts:
        raise ConfigError(f'{path}: no prompts. Expected {{"objects": [{{"points": [[x, y]]}}]}}.')
    return prompts
