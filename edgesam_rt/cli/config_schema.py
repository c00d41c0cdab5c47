"""The JSON Schema of a configuration, for editors: `python -m edgesam_rt.cli.config_schema`."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from edgesam_rt.cli.run_config import RunConfig
from edgesam_rt.everything.strategies import STRATEGIES
from edgesam_rt.pipeline.task import MODES

# Names that the runtime looks up in a table of its own; the types alone do not know them.
_ONE_OF = {"mode": MODES, "strategy": tuple(STRATEGIES)}


def schema() -> dict[str, Any]:
    """Return the schema, made from the same types that read the file."""
    made = msgspec.json.schema(RunConfig)
    keys = made["$defs"]["RunConfig"]["properties"]
    for name, known in _ONE_OF.items():
        keys[name] = {"description": keys[name]["description"], "enum": sorted(known)}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def text() -> str:
    """Return the schema as the file has it."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
