"""The configuration: what wins over what, what is refused, and its schema."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgesam_rt.cli import arguments, config_schema
from edgesam_rt.cli.run import main
from edgesam_rt.cli.run_config import ENVIRONMENT, RunConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"
SOURCE = 'source = "synthetic:?live=1&size=64x48"\n'
OBJECT = "[[object]]\npoints = [[30, 20]]\n"
Refused = Callable[[str], str]


def effective(*words: str) -> RunConfig:
    return arguments.effective(arguments.parser("0").parse_args(list(words)))


def checked(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """What `edgesam-run --check` prints."""
    assert main([*words, "--check"]) == 0, capsys.readouterr().err
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Check a file that is not right; returns the message."""

    def check(text: str) -> str:
        path = tmp_path / "cam.toml"
        path.write_text(text)
        assert main(["--config", str(path), "--check"]) == 2
        message = capsys.readouterr().err
        assert message.startswith(f"error: {path}: ")
        assert "Traceback" not in message
        return message

    return check


def test_each_source_of_values_wins_over_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cam.toml"
    path.write_text(SOURCE + OBJECT)
    words = ["--config", str(path), "--board", "rpi4"]
    of_board = checked(capsys, *words)["threads"]
    assert of_board not in (None, 5, 6, 7)
    path.write_text(SOURCE + "threads = 5\n" + OBJECT)
    assert checked(capsys, *words)["threads"] == 5
    monkeypatch.setenv("EDGESAM_THREADS", "6")
    assert checked(capsys, *words)["threads"] == 6
    assert checked(capsys, *words, "--threads", "7")["threads"] == 7


def test_the_command_lines_prompts_replace_the_files(tmp_path: Path) -> None:
    path = tmp_path / "cam.toml"
    path.write_text(SOURCE + OBJECT + OBJECT)
    assert len(effective("--config", str(path)).object) == 2
    assert effective("--config", str(path), "--point", "3,4").object == ()
    assert effective("--config", str(path), "--prompts", "p.json").object == ()


@pytest.mark.parametrize(("value", "told"), [("fast", "float"), ("-1", ">= 0"), ("", "float")])
def test_a_wrong_variable_is_named(
    value: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGESAM_BUDGET_MS", value)
    assert main(["synthetic:", "--point", "3,4", "--check"]) == 2
    message = capsys.readouterr().err
    assert "environment: EDGESAM_BUDGET_MS: budget_ms:" in message
    assert told in message


def test_no_variable_is_the_name_of_something_else() -> None:
    others = {"EDGESAM_BOARDS", "EDGESAM_BUNDLES", "EDGESAM_CACHE", "EDGESAM_DEBUG"}
    assert set(ENVIRONMENT) & others == set()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('sorce = "synthetic:"\n', "unknown key 'sorce'. Did you mean 'source'?"),
        ("[[object]]\npoint = [[3, 4]]\n", "unknown key 'point'. Did you mean 'points'?"),
        ('threads = "2"\n', "threads: expected int | null, got str"),
        ("threads = 0\n", "threads: expected int >= 1"),
        ("[[object]]\nbox = [1, 2, 3]\n", "object[0].box: expected array of length 4, got 3"),
        (SOURCE + "[[object]]\nbox = [9, 9, 1, 1]\n", "object[0]: "),
        (SOURCE + "[[object]]\n", 'object[0]: an object needs "points" or "box".'),
    ],
)
def test_what_is_wrong_is_said_with_file_key_expected_and_got(
    text: str, told: str, refused: Refused
) -> None:
    assert told in refused(text)


def test_the_schema_in_the_repository_is_that_of_the_code() -> None:
    assert (SYSTEMD / "config.schema.json").read_text() == config_schema.text()


def test_the_example_fits_the_schema_and_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    example = SYSTEMD / "example.toml"
    given = tomllib.loads(example.read_text())
    jsonschema.validate(given, config_schema.schema())
    found = checked(capsys, "--config", str(example))
    assert found["source"] == given["source"]


def test_every_key_stands_in_the_example() -> None:
    text = (SYSTEMD / "example.toml").read_text()
    left_out = {"detector", "prompts", "max_frames", "duration_s"}  # rarely a service's
    keys = set(RunConfig.__struct_fields__) - left_out
    assert [key for key in sorted(keys) if f"{key} = " not in text and f"[{key}]" not in text] == []


@pytest.mark.parametrize("text", ["sorce = 1", 'mode = "trak"', "threads = 0", "object = 3"])
def test_the_schema_refuses_what_the_command_refuses(text: str, refused: Refused) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), config_schema.schema())
