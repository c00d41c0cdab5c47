from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from edgesam_rt.config import load_toml
from edgesam_rt.errors import ConfigError


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    encoder_side: int = 0


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    budget_ms: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    steps: tuple[Inner, ...] = ()


def message_for(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "settings.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load_toml(path, Outer)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_good_toml_gives_its_values(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('name = "é"\nbudget_ms = 5\n[[steps]]\nencoder_side = 9', encoding="utf-8")
    assert load_toml(path, Outer) == Outer("é", 1, 5.0, (Inner(9),))


def test_an_unknown_key_is_answered_with_the_nearest(tmp_path: Path) -> None:
    text = message_for(tmp_path, 'name = "a"\nthread = 2')
    assert "unknown key 'thread'. Did you mean 'threads'?" in text


def test_an_unknown_key_further_in_is_answered_with_its_place_and_the_nearest(
    tmp_path: Path,
) -> None:
    text = message_for(tmp_path, 'name = "a"\n[[steps]]\nencodr_side = 9')
    assert "steps" in text
    assert "Did you mean 'encoder_side'?" in text


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('threads = "2"', ["threads", "int", "str"]),
        ("threads = 2.5", ["threads", "int", "float"]),
        ("threads = true", ["threads", "int", "bool"]),
        ("threads = 0", ["threads", ">= 1"]),
        ("threads = 65", ["threads", "<= 64"]),
        ("budget_ms = -1", ["budget_ms", ">= 0"]),
        ("budget_ms = nan", ["budget_ms", ">= 0"]),
        ("steps = 3", ["steps", "array", "int"]),
        ("steps = [3]", ["steps", "object", "int"]),
    ],
)
def test_a_wrong_value_is_answered_with_its_key_and_what_was_expected(
    tmp_path: Path, line: str, told: list[str]
) -> None:
    text = message_for(tmp_path, f'name = "a"\n{line}')
    assert [word for word in told if word not in text] == []


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    assert re.search(r"missing .*\bname\b", message_for(tmp_path, "threads = 2"))


@pytest.mark.parametrize("text", ["name = ", "name = 'a'\nname = 'b'", "{}", "name: a"])
def test_what_is_not_toml_is_said_with_its_place(tmp_path: Path, text: str) -> None:
    assert re.search(r"not TOML: .*(line|end of document)", message_for(tmp_path, text))


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    assert "UTF-8" in message_for(tmp_path, b"name = '\xff'")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: no such file"):
        load_toml(tmp_path / "none.toml", Outer)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_toml(tmp_path, Outer)
