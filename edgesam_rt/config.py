"""TOML files to checked values: unknown keys, wrong types and values out of range are refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edgesam_rt.errors import ConfigError, unknown_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


def load_toml(path: Path, kind: type[T]) -> T:
    """Read a TOML file into a msgspec.Struct.

    Raises:
        ConfigError: the file is missing or not TOML, or a value is not what `kind` says; the
            message names file and key, what was expected, and the nearest key to an unknown one.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: not UTF-8 text.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}.") from error
    return convert(raw, kind, str(path))


def convert(raw: object, kind: type[T], where: str, *, strict: bool = True) -> T:
    """Turn plain data into a msgspec.Struct; see `load_toml` for the errors.

    Args:
        raw: the data.
        kind: the msgspec.Struct.
        where: it comes from, for messages.
        strict: whether "2" is no number; the environment has texts alone.
    """
    try:
        return msgspec.convert(raw, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_explain(str(error), kind)}") from error


def _explain(message: str, kind: type[Any]) -> str:
    unknown = re.search(r"unknown field `([^`]+)`", message)
    what, _, place = message.partition(" - at `$")
    at = place.strip("`").lstrip(".")
    at = f"{at}: " if at else ""
    if unknown is None:
        what = what.replace("`", "")
        return f"{at}{what[:1].lower()}{what[1:]}."
    return at + unknown_name("key", unknown.group(1), set(_keys(kind)))


def _keys(kind: Any) -> Iterator[str]:
    """Every key that can stand anywhere in a file of this kind."""
    info = msgspec.inspect.type_info(kind)
    stack: list[Any] = [info]
    seen: set[Any] = set()
    while stack:
        node = stack.pop()
        if isinstance(node, msgspec.inspect.StructType):
            if node.cls in seen:
                continue
            seen.add(node.cls)
            for f in node.fields:
                yield f.encode_name
                stack.append(f.type)
        elif isinstance(node, msgspec.inspect.UnionType):
            stack.extend(node.types)
        else:
            for name in ("type", "item_type", "item_types", "value_type"):
                inner = getattr(node, name, None)
                if inner is not None:
                    stack.extend(inner if isinstance(inner, tuple) else (inner,))
