from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from edgesam_rt import boards
from edgesam_rt import bundle as bundles
from edgesam_rt.backends.table import TABLE
from edgesam_rt.boards import Board
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.config import load_toml
from edgesam_rt.errors import ConfigError

ALL = boards.names()

# What the device tree of each board says of itself: (compatible, model).
TREES = {
    "rpi4": [
        ("raspberrypi,4-model-b\0brcm,bcm2711\0", "Raspberry Pi 4 Model B Rev 1.4\0"),
        ("raspberrypi,400\0brcm,bcm2711\0", "Raspberry Pi 400 Rev 1.0\0"),
        ("raspberrypi,4-compute-module\0brcm,bcm2711\0", "Raspberry Pi Compute Module 4 Rev 1.0\0"),
    ],
    "rpi5": [
        ("raspberrypi,5-model-b\0brcm,bcm2712\0", "Raspberry Pi 5 Model B Rev 1.0\0"),
        ("raspberrypi,500\0brcm,bcm2712\0", "Raspberry Pi 500 Rev 1.0\0"),
        ("raspberrypi,5-compute-module\0brcm,bcm2712\0", "Raspberry Pi Compute Module 5 Rev 1.0\0"),
    ],
    "cpu": [
        ("raspberrypi,3-model-b-plus\0brcm,bcm2837\0", "Raspberry Pi 3 Model B Plus Rev 1.3\0"),
        ("raspberrypi,model-zero-2-w\0brcm,bcm2837\0", "Raspberry Pi Zero 2 W Rev 1.0\0"),
        ("pine64,rockpro64\0rockchip,rk3399\0", "Pine64 RockPro64 v2.1\0"),
        ("acme,carrier\0", "Acme carrier for Raspberry Pi 4\0"),
        ("brcm,bcm27112\0", "Raspberry\0"),
        ("\0\0", "\0"),
        ("", ""),
    ],
}
CASES = [(name, *tree) for name, trees in TREES.items() for tree in trees]


def make_root(folder: Path, compatible: str | bytes | None, model: str | bytes | None) -> Path:
    tree = folder / "proc" / "device-tree"
    tree.mkdir(parents=True)
    for name, value in (("compatible", compatible), ("model", model)):
        if value is not None:
            (tree / name).write_bytes(value.encode() if isinstance(value, str) else value)
    return folder


@pytest.mark.parametrize("name", ALL)
def test_every_data_file_loads_under_its_own_name(name: str) -> None:
    assert boards.load(name).name == name


@pytest.mark.parametrize("name", ALL)
def test_every_board_names_backends_of_the_table(name: str) -> None:
    found = boards.load(name).backends
    assert found
    assert set(found) <= set(TABLE)


@pytest.mark.parametrize("name", ALL)
def test_every_board_names_a_bundle_that_has_all_sides_of_its_ladder(name: str) -> None:
    board = boards.load(name)
    sides = bundles.find(board.bundle).sides(board.backends[0])
    assert {step.encoder_side for step in board.ladder} <= set(sides)


@pytest.mark.parametrize("name", ALL)
def test_every_ladder_gets_cheaper_step_by_step(name: str) -> None:
    sides = [step.encoder_side for step in boards.load(name).ladder]
    assert sides == sorted(set(sides), reverse=True)


@pytest.mark.parametrize("name", ALL)
def test_every_board_names_a_camera_of_a_known_kind_and_its_sources(name: str) -> None:
    board = boards.load(name)
    assert board.camera.partition(":")[0] in SOURCES
    assert board.sources
    assert board.title


def test_no_device_tree_string_stands_for_two_boards() -> None:
    claims = [c for name in ALL for c in boards.load(name).detect.compatible]
    assert len(claims) == len(set(claims))


def test_the_fallback_exists_and_is_never_detected_by_a_string() -> None:
    rule = boards.load(boards.FALLBACK).detect
    assert not rule.compatible
    assert not rule.model


@pytest.mark.parametrize(("name", "compatible", "model"), CASES)
def test_a_board_is_recognised_by_its_device_tree(
    tmp_path: Path, name: str, compatible: str, model: str
) -> None:
    assert boards.detect(make_root(tmp_path, compatible, model)) == name


@pytest.mark.parametrize("name", ["rpi4", "rpi5"])
def test_either_file_of_the_device_tree_is_enough(tmp_path: Path, name: str) -> None:
    compatible, model = TREES[name][0]
    assert boards.detect(make_root(tmp_path / "a", compatible, None)) == name
    assert boards.detect(make_root(tmp_path / "b", None, model)) == name


def test_a_machine_without_a_device_tree_is_a_cpu(tmp_path: Path) -> None:
    assert boards.detect(tmp_path) == "cpu"


def test_bytes_that_are_no_text_do_not_hurt(tmp_path: Path) -> None:
    tree = b"\xff\xfe\0raspberrypi,5-model-b\0\xc3"
    assert boards.detect(make_root(tmp_path, tree, b"\xff")) == "rpi5"


def test_a_folder_in_place_of_a_file_does_not_hurt(tmp_path: Path) -> None:
    (tmp_path / "proc/device-tree/compatible").mkdir(parents=True)
    assert boards.detect(tmp_path) == "cpu"


def test_auto_resolves_to_what_is_detected_and_a_name_to_itself(tmp_path: Path) -> None:
    root = make_root(tmp_path, *TREES["rpi4"][0])
    assert boards.resolve("auto", root).name == "rpi4"
    assert boards.resolve("rpi5", root).name == "rpi5"


def test_an_unknown_board_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        boards.load("rpi6")
    assert "Did you mean 'rpi" in str(caught.value)
    assert ", ".join(sorted([*ALL, "auto"])) in str(caught.value)


@pytest.mark.parametrize("name", ["../data/cpu", "", "cpu.toml", "CPU"])
def test_only_names_are_names(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown board"):
        boards.load(name)


@pytest.mark.parametrize("name", ALL)
def test_no_board_asks_for_more_threads_than_there_are(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cores in (1, 2, 4, 128):
        monkeypatch.setattr(boards, "usable_cores", lambda cores=cores: cores)
        assert 1 <= boards.load(name).thread_count() <= cores


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


def test_a_key_too_many_in_a_boards_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text((boards.DATA / "cpu.toml").read_text() + "\nencoder_sides = 3\n")
    with pytest.raises(ConfigError, match="Did you mean 'encoder_side'"):
        load_toml(path, Board)
