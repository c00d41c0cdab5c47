"""`--board auto`: every board's own files detect exactly that board."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgesam_rt import boards
from edgesam_rt.boards import Detect
from edgesam_rt.boards.detection import best, identify
from edgesam_rt.engines import resolve
from edgesam_rt.errors import ConfigError
from tests.bench.machines import write
from tests.board_trees import CASES, COMPATIBLE, L4T, MODEL, R32_NANO, R36, TREES, Tree, tree

RULES = {name: boards.load(name).detect for name in boards.names()}


@pytest.mark.parametrize(("name", "files"), CASES)
def test_a_board_is_recognised_by_what_it_says_of_itself(
    tmp_path: Path, name: str, files: Tree
) -> None:
    assert boards.detect(write(tmp_path, files)) == name


def test_every_shipped_board_has_a_tree_of_its_own() -> None:
    assert set(TREES) >= {path.stem for path in boards.DATA.glob("*.toml")}


@pytest.mark.parametrize("key", ["model", "compatible", "l4t", "files"])
def test_no_line_of_a_rule_stands_in_two_files(key: str) -> None:
    lines = [line for rule in RULES.values() for line in getattr(rule, key)]
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize("name", sorted(RULES))
def test_no_string_of_one_board_fits_a_pattern_of_another(name: str, tmp_path: Path) -> None:
    others = {other: rule for other, rule in RULES.items() if other != name}
    for said in RULES[name].compatible:
        machine = identify(write(tmp_path, {COMPATIBLE: said.replace("*", "x") + "\0"}))
        assert best(others, machine) is None, said


@pytest.mark.parametrize("name", ["rpi4", "rpi5", "jetson-agx-orin", "jetson-orin-nano"])
@pytest.mark.parametrize("kept", [MODEL, COMPATIBLE])
def test_either_file_of_the_device_tree_is_enough(tmp_path: Path, name: str, kept: str) -> None:
    assert boards.detect(write(tmp_path, {kept: TREES[name][0][kept]})) == name


def test_the_fallback_has_no_rule() -> None:
    assert boards.load(boards.FALLBACK).detect == Detect()


def test_bytes_that_are_no_text_do_not_hurt(tmp_path: Path) -> None:
    root = write(tmp_path, {MODEL: ""})
    (root / MODEL).write_bytes(b"\xff")
    (root / COMPATIBLE).write_bytes(b"\xff\xfe\0raspberrypi,5-model-b\0\xc3")
    assert boards.detect(root) == "rpi5"


def test_a_folder_in_place_of_a_file_does_not_hurt(tmp_path: Path) -> None:
    for name in (COMPATIBLE, L4T, "system/build.prop"):
        (tmp_path / name).mkdir(parents=True)
    assert boards.detect(tmp_path) == "cpu"


def test_auto_resolves_to_what_is_detected_and_a_name_to_itself(tmp_path: Path) -> None:
    root = write(tmp_path, TREES["rpi4"][0])
    assert boards.resolve("auto", root).name == "rpi4"
    assert boards.resolve("rpi5", root).name == "rpi5"


def test_the_model_goes_before_the_list_and_the_list_before_the_release(tmp_path: Path) -> None:
    mixed = tree("NVIDIA Jetson AGX Orin", "nvidia,p3767-0005", l4t=R32_NANO)
    assert boards.detect(write(tmp_path, mixed)) == "jetson-agx-orin"
    assert boards.detect(write(tmp_path, {MODEL: "x"})) == "jetson-orin-nano"
    (tmp_path / COMPATIBLE).unlink()
    assert boards.detect(tmp_path) == "jetson-nano"


def test_what_stands_earlier_in_the_list_goes_before_what_stands_later() -> None:
    rules = {"general": Detect(compatible=("soc",)), "special": Detect(compatible=("board-*",))}
    machine = identify(Path("/nowhere"))
    for said, name in ((("board-1", "soc"), "special"), (("soc", "board-1"), "general")):
        assert best(rules, type(machine)(machine.root, "", said, None)) == name


def test_the_longer_beginning_of_a_model_goes_before_the_shorter() -> None:
    rules = {"a": Detect(model=("Acme",)), "b": Detect(model=("Acme Two",))}
    machine = identify(Path("/nowhere"))
    assert best(rules, type(machine)(machine.root, "Acme Two Rev 1", (), None)) == "b"


def test_two_boards_that_claim_a_machine_equally_are_an_error_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "boards", {"twin.toml": NEW_BOARD.replace("acme-one", "twin")})
    write(tmp_path / "boards", {"acme-one.toml": NEW_BOARD})
    monkeypatch.setenv(boards.SEARCH_VARIABLE, str(tmp_path / "boards"))
    with pytest.raises(ConfigError, match=r"acme-one and twin both claim .*--board"):
        boards.detect(write(tmp_path, ACME))


NEW_BOARD = """
name = "acme-one"
title = "Acme One"
backends = ["onnxruntime"]
bundle = "pocketsam-int8"
threads = 2
[detect]
compatible = ["acme,one"]
[choice]
precision = "int8"
why = "It has dot products."
[runs.onnxruntime]
where = "nothing yet"
what = "a test"
[[ladder]]
name = "full"
encoder_side = 384
[sources]
threads = "start value"
ladder = "start value"
"""
ACME = tree("Acme One", "acme,one", "rockchip,rk3588")


def test_a_new_board_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "boards", {"acme-one.toml": NEW_BOARD})
    monkeypatch.setenv(boards.SEARCH_VARIABLE, str(tmp_path / "boards"))
    root = write(tmp_path, ACME)
    assert "acme-one" in boards.names()
    assert boards.detect(root) == "acme-one"
    found = resolve(board="auto", root=root)
    assert (found.board.name, found.sides) == ("acme-one", (384,))
    assert resolve(board="acme-one").options.backend == "onnxruntime"


def test_a_file_of_ones_own_goes_before_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = (boards.DATA / "rpi5.toml").read_text().replace("threads = 3", "threads = 1")
    write(tmp_path, {"rpi5.toml": own})
    monkeypatch.setenv(boards.SEARCH_VARIABLE, str(tmp_path))
    assert boards.load("rpi5").threads == 1


@pytest.mark.parametrize(
    ("said", "label", "keys"),
    [
        (R32_NANO, "R32.7.1", ("R32 t210ref", "R32")),
        (R36, "R36.4.3", ("R36 generic", "R36")),
        ("# R35 (release), REVISION: 2.1", "R35.2.1", ("R35",)),
    ],
)
def test_a_release_of_jetson_linux_is_read(
    said: str, label: str, keys: tuple[str, ...], tmp_path: Path
) -> None:
    found = identify(write(tmp_path, {L4T: said})).release
    assert found is not None
    assert (found.label, found.keys) == (label, keys)
