from __future__ import annotations

from pathlib import Path

import pytest

from edgesam_rt import backends, boards
from edgesam_rt.api import Segmenter
from edgesam_rt.bundle import Bundle
from edgesam_rt.engines import resolve
from edgesam_rt.errors import BackendMissing, BundleError, ConfigError
from tests.bundle_doubles import Plain, edit_manifest, hollow_copy, linked_copy


def test_nothing_named_gives_the_boards_own_choice(default_bundle: Bundle) -> None:
    found = resolve(board="rpi5")
    board = boards.load("rpi5")
    assert found.bundle.label == default_bundle.label
    assert found.options.backend == board.backends[0]
    assert found.steps == board.ladder
    assert found.sides == tuple(dict.fromkeys(step.encoder_side for step in board.ladder))


def test_the_board_is_looked_for_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    assert resolve(root=tmp_path).board.name == "rpi4"


def test_a_side_the_bundle_has_is_taken_alone(default_bundle: Bundle) -> None:
    side = default_bundle.sides("onnxruntime")[-1]
    assert resolve(board="cpu", encoder_side=side).sides == (side,)


@pytest.mark.parametrize("side", [0, -512, 100, 1024])
def test_a_side_the_bundle_lacks_is_answered_with_those_it_has(
    default_bundle: Bundle, side: int
) -> None:
    known = ", ".join(map(str, default_bundle.sides("onnxruntime")))
    with pytest.raises(ConfigError, match=rf"encoder side {side}: .* has {known}"):
        resolve(board="cpu", encoder_side=side)


@pytest.mark.parametrize("threads", [0, -1])
def test_less_than_one_thread_is_refused(threads: int) -> None:
    with pytest.raises(ConfigError, match=rf"threads: expected at least 1, got {threads}"):
        resolve(board="cpu", threads=threads)


def test_an_unknown_backend_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'onnxruntime'\? Known: .*onnxruntime"):
        resolve(board="cpu", backend="onnx-runtime")


def test_a_ladder_of_sides_that_the_bundle_lacks_falls_back_to_its_largest(
    default_bundle: Bundle, tmp_path: Path
) -> None:
    folder = hollow_copy(default_bundle, tmp_path / "other")

    def other_sides(manifest: Plain) -> None:
        for row in manifest["engines"]:
            if row["part"] == "encoder":
                row["side"] //= 2

    edit_manifest(folder, other_sides)
    assert resolve(board="rpi5", bundle_name=folder).sides == (256,)


def test_a_bundle_for_other_backends_is_answered_with_those(
    default_bundle: Bundle, tmp_path: Path
) -> None:
    folder = hollow_copy(default_bundle, tmp_path / "other")

    def other_backend(manifest: Plain) -> None:
        for row in manifest["engines"]:
            row["backend"] = "tensorrt"

    edit_manifest(folder, other_backend)
    with pytest.raises(ConfigError, match=r"has engines for tensorrt, none for onnxruntime"):
        resolve(board="cpu", bundle_name=folder)


def test_a_bundle_without_any_engine_is_refused(default_bundle: Bundle, tmp_path: Path) -> None:
    folder = hollow_copy(default_bundle, tmp_path / "empty")
    edit_manifest(folder, lambda m: m.update(engines=[]))
    with pytest.raises(BundleError, match="engine"):
        resolve(board="cpu", bundle_name=folder)


@pytest.mark.parametrize("part", ["scorer", "mask_head"])
def test_half_a_decoder_is_refused_when_the_engines_are_opened(
    default_bundle: Bundle, tmp_path: Path, part: str
) -> None:
    folder = linked_copy(default_bundle, tmp_path / "half")

    def without(manifest: Plain) -> None:
        manifest["engines"] = [row for row in manifest["engines"] if row["part"] != part]

    edit_manifest(folder, without)
    with pytest.raises(BundleError, match=r"no (decoder|scorer|mask_head) for onnxruntime"):
        Segmenter(resolve(board="cpu", bundle_name=folder))


def test_a_library_that_is_not_installed_is_answered_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backends, "available", lambda: ())
    with pytest.raises(BackendMissing, match="pip install") as caught:
        resolve(board="cpu")
    assert caught.value.exit_code == 3
