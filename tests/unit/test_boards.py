"""The boards' data files: what each must say, and where its numbers come from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from edgesam_rt import boards
from edgesam_rt import bundle as bundles
from edgesam_rt.backends.table import TABLE
from edgesam_rt.boards import Board, schema
from edgesam_rt.boards.ladder import for_sides, in_play
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.config import load_toml, tomllib
from edgesam_rt.errors import ConfigError
from edgesam_rt.pipeline.task import MODES
from edgesam_rt.system.cpu import FLAGS

ALL = boards.names()
PROMISED = {
    *("cpu", "rpi4", "rpi5", "android"),
    *("jetson-nano", "jetson-xavier-nx", "jetson-orin-nano", "jetson-agx-orin"),
}


def raw(name: str) -> dict[str, object]:
    return tomllib.loads((boards.DATA / f"{name}.toml").read_text(encoding="utf-8"))


def numbers(value: object, path: str = "") -> Iterator[str]:
    """Where numbers stand in a file: "heat.hot_c", "ladder.encoder_side"."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner, path)
    elif isinstance(value, int | float):
        yield path


def test_every_promised_board_has_its_file() -> None:
    assert set(ALL) >= PROMISED


@pytest.mark.parametrize("name", ALL)
def test_every_data_file_loads_under_its_own_name(name: str) -> None:
    assert boards.load(name).name == name


@pytest.mark.parametrize("name", ALL)
def test_every_number_has_a_source(name: str) -> None:
    sources = set(boards.load(name).sources)
    lacking = [
        path
        for path in numbers(raw(name))
        if not any(path == key or path.startswith(f"{key}.") for key in sources)
    ]
    assert not lacking


@pytest.mark.parametrize("name", ALL)
def test_every_source_is_about_a_key_that_is_there(name: str) -> None:
    board = boards.load(name)
    for key, text in board.sources.items():
        value: object = board
        for part in key.split("."):
            value = getattr(value, part)
        assert value is not None, key
        assert len(text) > 10


@pytest.mark.parametrize("name", sorted(set(ALL) - {"cpu"}))
def test_threads_and_ladder_of_a_board_nobody_measured_are_marked_as_start_values(
    name: str,
) -> None:
    board = boards.load(name)
    if any(run.where == "hardware" for run in board.runs.values()):
        pytest.skip(f"{name} was measured")
    for key in ("threads", "ladder", "budget_ms"):
        assert board.sources[key].startswith("start value"), key


@pytest.mark.parametrize("name", ALL)
def test_every_board_names_backends_of_the_table(name: str) -> None:
    assert set(boards.load(name).backends) <= set(TABLE)


@pytest.mark.parametrize("name", ALL)
def test_every_board_says_of_each_backend_what_was_run_where(name: str) -> None:
    board = boards.load(name)
    assert tuple(board.runs) == board.backends
    assert all(run.what for run in board.runs.values())


@pytest.mark.parametrize("name", ALL)
def test_every_board_names_a_bundle_that_has_all_sides_of_its_ladder(name: str) -> None:
    board = boards.load(name)
    bundle = bundles.find(board.bundle)
    sides = {step.encoder_side for step in board.ladder}
    for backend in board.backends:
        assert sides <= set(bundle.sides(backend)), backend


@pytest.mark.parametrize("name", ALL)
def test_every_board_runs_the_precision_of_its_bundle_and_says_why(name: str) -> None:
    board = boards.load(name)
    assert board.choice.precision == bundles.find(board.bundle).manifest.precision
    assert board.choice.why


@pytest.mark.parametrize("name", ALL)
def test_every_ladder_gets_cheaper_step_by_step(name: str) -> None:
    ladder = boards.load(name).ladder
    assert len({step.name for step in ladder}) == len(ladder)
    for better, cheaper in pairwise(ladder):
        costs = [
            (s.encoder_side, s.points_per_side or 256, s.stop_at, -s.reuse_ms, -s.encode_every)
            for s in (better, cheaper)
        ]
        assert costs[0] != costs[1]
        assert all(a >= b for a, b in zip(*costs, strict=True)), (better.name, cheaper.name)


@pytest.mark.parametrize("name", ALL)
def test_every_mode_of_every_board_has_something_to_give_up(name: str) -> None:
    board = boards.load(name)
    steps = for_sides(board.ladder, bundles.find(board.bundle).sides(board.backends[-1]))
    for mode in MODES:
        used = in_play(steps, mode)
        assert used[0] == 0
        assert len(used) >= 4, (mode, used)


def test_steps_that_a_mode_does_not_look_at_are_left_out() -> None:
    steps = boards.load("cpu").ladder
    used = {mode: [steps[i].name for i in in_play(steps, mode)] for mode in MODES}
    assert "fewer prompts" not in used["prompt"]
    assert used["prompt"] == used["track"]
    assert len(used["everything"]) == len(steps)


def test_a_side_that_is_not_there_is_replaced_and_what_is_then_the_same_left_out() -> None:
    ladder = boards.load("cpu").ladder
    assert {s.encoder_side for s in for_sides(ladder, (384,))} == {384}
    assert len(for_sides(ladder, (384,))) == len(ladder) - 1
    assert for_sides(ladder, (512, 384)) == ladder


@pytest.mark.parametrize("name", ALL)
def test_every_board_names_a_camera_of_a_known_kind(name: str) -> None:
    board = boards.load(name)
    assert board.camera.partition(":")[0] in SOURCES
    assert board.title


@pytest.mark.parametrize("name", ALL)
def test_features_are_spelled_as_the_kernel_and_the_doctor_spell_them(name: str) -> None:
    assert set(boards.load(name).cpu.features) <= set(FLAGS)


def test_no_board_without_integer_units_or_new_tensorrt_claims_tensorrt() -> None:
    nano = boards.load("jetson-nano")
    assert nano.gpu is not None
    assert not nano.gpu.int8
    assert "tensorrt" not in nano.backends
    assert any("TensorRT 8.2" in caveat for caveat in nano.caveats)


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
        monkeypatch.setattr(schema, "usable_cores", lambda cores=cores: cores)
        assert 1 <= boards.load(name).thread_count() <= cores


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("encoder_sides = 3", "Did you mean 'encoder_side'"),
        ("[heat]\nhot_f = 180", "Did you mean 'hot_c'"),
        ('[choice2]\nwhy = ""', "Did you mean 'choice'"),
    ],
)
def test_a_key_too_many_in_a_boards_file_is_refused(line: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    own = (boards.DATA / "cpu.toml").read_text()
    path.write_text(f"{own}\n{line}\n" if line.startswith("[") else f"{line}\n{own}")
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_toml(path, Board)


def test_a_file_that_is_called_otherwise_than_its_board_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text((boards.DATA / "cpu.toml").read_text())
    monkeypatch.setenv(boards.SEARCH_VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match=r"mine\.toml: name: expected 'mine'.* got 'cpu'"):
        boards.load("mine")
