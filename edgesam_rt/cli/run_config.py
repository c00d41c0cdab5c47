"""The configuration of `edgesam-run`: one TOML file, or the same keys from elsewhere.

Each key comes from the last of these that names it: the defaults here, the board's file, the
configuration file, the environment, the command line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from edgesam_rt.config import convert
from edgesam_rt.pipeline.task import DEFAULT_STRATEGY
from edgesam_rt.service.prompts import PromptObject


def _about(text: str, **limits: Any) -> msgspec.Meta:
    return msgspec.Meta(description=text, **limits)


class RunConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything `edgesam-run` can be told; a configuration file has these keys."""

    source: Annotated[str | None, _about("Camera, file or address. Default: the board's.")] = None
    board: Annotated[str, _about("Name of the board; auto recognises it.")] = "auto"
    bundle: Annotated[str | None, _about("Engines: a name or a folder.")] = None
    backend: Annotated[str | None, _about("What runs the engines. Default: the board's.")] = None
    encoder_side: Annotated[int, _about("px; smaller is quicker.", ge=1)] | None = None
    threads: Annotated[int, _about("Of the engines.", ge=1, le=64)] | None = None
    mode: Annotated[str | None, _about("prompt, track or everything.")] = None
    strategy: Annotated[str, _about("Of everything mode.")] = DEFAULT_STRATEGY
    detector: Annotated[str | None, _about("Finds boxes for strategy objects.")] = None
    everything: Annotated[
        dict[str, int | float], _about("Thresholds of everything mode, by SAM's names.")
    ] = {}
    prompts: Annotated[str | None, _about("A JSON file of prompts, in place of [[object]].")] = None
    object: Annotated[tuple[PromptObject, ...], _about("What to cut out or to follow.")] = ()
    budget_ms: (
        Annotated[float, _about("Milliseconds from capture to result; 0 for none.", ge=0)] | None
    ) = None
    out: Annotated[tuple[str, ...], _about("Where results go: SCHEME:TARGET.")] = ()
    http: Annotated[
        str | None, _about("ADDRESS:PORT of health, metrics, control and the live page.")
    ] = None
    http_token_file: Annotated[
        str | None, _about("Holds the token that HTTP asks for; or a credential of systemd.")
    ] = None
    max_frames: Annotated[int, _about("Stop after so many frames.", ge=1)] | None = None
    duration_s: Annotated[float, _about("Stop after so many seconds.", gt=0)] | None = None


# What one word can say; tables and lists have no variable.
ENVIRONMENT: Mapping[str, str] = {
    f"EDGESAM_{name.upper()}": name
    for name in RunConfig.__struct_fields__
    if name not in ("everything", "object", "out")
}


def with_environment(config: RunConfig, environment: Mapping[str, str] = os.environ) -> RunConfig:
    """Return the configuration with what the environment says in place of its own values.

    Raises:
        ConfigError: a value is not what its key needs; the variable is named.
    """
    for variable, name in ENVIRONMENT.items():
        if variable in environment:
            values = {**msgspec.structs.asdict(config), name: environment[variable]}
            config = convert(values, RunConfig, f"environment: {variable}", strict=False)
    return config
