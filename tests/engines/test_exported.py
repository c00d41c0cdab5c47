"""Exported graphs that are kept: found by content, whole or not at all, and never in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the factory needs torch")

import onnx
import torch
from onnx import helper
from torch import nn

from edgesam_engines.exported import Exported
from tests.engines.graph_doubles import make_graph, noise

pytestmark = pytest.mark.torch


def graph(channels: int = 3) -> onnx.ModelProto:
    return make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        inputs={"x": (1, channels)},
        outputs={"y": (1, channels)},
        values={"w": noise((1, channels))},
    )


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(3, 3)


class Maker:
    """Counts how often it is asked."""

    def __init__(self, channels: int = 3) -> None:
        self.made, self.channels = 0, channels

    def __call__(self) -> onnx.ModelProto:
        self.made += 1
        return graph(self.channels)


def test_the_same_weights_and_facts_are_exported_once(tmp_path: Path) -> None:
    store, make, said = Exported(tmp_path), Maker(), list[str]()
    made = [store.graph(network(), ("a", 1), make, said.append) for _ in range(2)]
    assert make.made == 1
    assert made[0] == made[1]
    assert said == ["the exported graph is taken from an earlier build"]


@pytest.mark.parametrize(("seed", "facts"), [(1, ("a", 1)), (0, ("a", 2))])
def test_other_weights_or_facts_are_another_graph(
    tmp_path: Path, seed: int, facts: tuple[str, int]
) -> None:
    store, make = Exported(tmp_path), Maker()
    store.graph(network(), ("a", 1), make, print)
    store.graph(network(seed), facts, make, print)
    assert make.made == 2


def test_a_torn_file_is_none(tmp_path: Path) -> None:
    store, make = Exported(tmp_path), Maker()
    store.graph(network(), "a", make, print)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-3])
    assert store.graph(network(), "a", make, print) == graph()
    assert make.made == 2


def test_those_not_used_for_longest_go_when_there_are_too_many(tmp_path: Path) -> None:
    store, make = Exported(tmp_path, most_bytes=10_000), Maker(1000)
    for age, facts in enumerate("abcd"):
        before = {*tmp_path.iterdir()}
        store.graph(network(), facts, make, print)
        (new,) = {*tmp_path.iterdir()} - before
        os.utime(new, (1000 + age, 1000 + age))
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 10_000
    store.graph(network(), "d", make, print)
    assert make.made == 4
    store.graph(network(), "a", make, print)
    assert make.made == 5


def test_a_folder_that_cannot_be_written_is_said_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "graphs").write_text("a file")
    said: list[str] = []
    assert Exported(tmp_path / "graphs").graph(network(), "a", Maker(), said.append) == graph()
    assert len(said) == 1
    assert "is not kept" in said[0]


def test_without_a_folder_nothing_is_kept() -> None:
    make = Maker()
    for _ in range(2):
        Exported().graph(network(), "a", make, print)
    assert make.made == 2
