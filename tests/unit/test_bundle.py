from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import MANIFEST, Bundle
from edgesam_rt.errors import BundleError, ConfigError
from edgesam_rt.manifest import SCHEMA
from tests.bundle_doubles import Plain, edit_manifest, hollow_copy, load_all, read_manifest

NEXT_STEP = r"[Ii]nstall|edgesam-engines build|Use the"


@pytest.fixture
def hollow(default_bundle: Bundle, tmp_path: Path) -> Path:
    return hollow_copy(default_bundle, tmp_path / "hollow")


@pytest.fixture(scope="module")
def scratch(default_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose manifest is written anew for every example; `whole.json` is the good one."""
    folder = hollow_copy(default_bundle, tmp_path_factory.mktemp("scratch") / "hollow")
    (folder / "whole.json").write_bytes((folder / MANIFEST).read_bytes().rstrip())
    return folder


def first_engine(key: str, value: object) -> Callable[[Plain], None]:
    def edit(manifest: Plain) -> None:
        manifest["engines"][0][key] = value

    return edit


def test_no_name_means_the_bundle_that_ships() -> None:
    assert bundles.find(None).manifest.name == bundles.DEFAULT


def test_the_bundle_that_ships_is_whole() -> None:
    load_all(bundles.find(None).folder)


def test_its_sides_come_largest_first(default_bundle: Bundle) -> None:
    sides = default_bundle.sides("onnxruntime")
    assert len(sides) >= 2
    assert list(sides) == sorted(sides, reverse=True)


def test_its_label_is_name_and_version(default_bundle: Bundle) -> None:
    manifest = default_bundle.manifest
    assert default_bundle.label == f"{manifest.name} {manifest.version}"


def test_it_has_a_self_test_for_every_side(default_bundle: Bundle) -> None:
    sides = {case.side for case in default_bundle.manifest.self_test.cases}
    assert sides == set(default_bundle.sides("onnxruntime"))


def test_its_manifest_says_under_which_terms_the_weights_are(default_bundle: Bundle) -> None:
    assert default_bundle.manifest.licence
    assert default_bundle.manifest.origin


def test_it_is_found_by_name_by_path_and_by_text(default_bundle: Bundle) -> None:
    names = (bundles.DEFAULT, default_bundle.folder, str(default_bundle.folder))
    assert {bundles.find(name).label for name in names} == {default_bundle.label}


def test_an_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        bundles.find("pocketsam-int4")
    assert "Did you mean 'pocketsam-int8'?" in str(caught.value)
    assert "Known:" in str(caught.value)


def test_a_path_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: no such folder"):
        bundles.find(tmp_path / "nowhere")


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no manifest\.json.*edgesam-engines build"):
        bundles.find(tmp_path)


def test_the_folder_of_a_damaged_bundle_is_named(hollow: Path) -> None:
    (hollow / MANIFEST).write_text("{")
    with pytest.raises(BundleError, match=str(hollow)):
        bundles.find(hollow)


def test_a_damaged_bundle_ends_with_exit_code_1_and_a_wrong_name_with_2(hollow: Path) -> None:
    (hollow / MANIFEST).write_text("{")
    with pytest.raises(BundleError) as damaged:
        bundles.find(hollow)
    with pytest.raises(ConfigError) as unknown:
        bundles.find("no-such")
    assert (damaged.value.exit_code, unknown.value.exit_code) == (1, 2)


def test_a_newer_schema_is_refused_with_both_numbers(hollow: Path) -> None:
    edit_manifest(hollow, lambda m: m.update(schema=SCHEMA + 1))
    with pytest.raises(BundleError, match=rf"schema {SCHEMA + 1}, this runtime reads {SCHEMA}"):
        bundles.find(hollow)


def test_a_newer_schema_is_refused_even_if_it_has_new_keys(hollow: Path) -> None:
    edit_manifest(hollow, lambda m: m.update(schema=SCHEMA + 1, novelty=1))
    with pytest.raises(BundleError, match="schema"):
        bundles.find(hollow)


def test_an_unknown_key_is_named(hollow: Path) -> None:
    edit_manifest(hollow, lambda m: m.update(novelty=1))
    with pytest.raises(BundleError, match="novelty"):
        bundles.find(hollow)


def test_an_unknown_key_of_an_engine_is_named(hollow: Path) -> None:
    edit_manifest(hollow, first_engine("novelty", 1))
    with pytest.raises(BundleError, match="novelty"):
        bundles.find(hollow)


def test_a_missing_key_is_named(hollow: Path) -> None:
    edit_manifest(hollow, lambda m: m.pop("licence"))
    with pytest.raises(BundleError, match="licence"):
        bundles.find(hollow)


def test_a_hash_that_is_none_is_refused(hollow: Path) -> None:
    edit_manifest(hollow, first_engine("sha256", "0" * 63))
    with pytest.raises(BundleError, match="sha256"):
        bundles.find(hollow)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"1", b'{"schema": 1}', b"\xff\xfe", b"\x00" * 99, b"[" * 200_000],
    ids=["empty", "list", "null", "number", "bare", "not UTF-8", "zeros", "deep"],
)
def test_a_manifest_that_is_none_is_refused(hollow: Path, content: bytes) -> None:
    (hollow / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=NEXT_STEP):
        bundles.find(hollow)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_half_written_manifest_is_refused(scratch: Path, data: st.DataObject) -> None:
    whole = (scratch / "whole.json").read_bytes()
    keep = data.draw(st.integers(0, len(whole) - 1))
    (scratch / MANIFEST).write_bytes(whole[:keep])
    with pytest.raises(BundleError, match=NEXT_STEP):
        bundles.load(scratch)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_manifest_with_altered_bytes_loads_or_is_refused_in_our_words(
    scratch: Path, data: st.DataObject
) -> None:
    raw = bytearray((scratch / "whole.json").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (scratch / MANIFEST).write_bytes(raw)
    with contextlib.suppress(BundleError):
        bundles.load(scratch)


def test_a_missing_engine_file_is_noticed_when_the_bundle_is_loaded(hollow: Path) -> None:
    name = bundles.load(hollow).manifest.engines[-1].file
    (hollow / name).unlink()
    with pytest.raises(BundleError, match=rf"{name} is missing"):
        bundles.load(hollow)


def test_a_folder_in_place_of_an_engine_file_is_noticed(hollow: Path) -> None:
    name = bundles.load(hollow).manifest.engines[0].file
    (hollow / name).unlink()
    (hollow / name).mkdir()
    with pytest.raises(BundleError, match=name):
        bundles.load(hollow)


@pytest.mark.parametrize("keep", [0, 1, 40])
def test_a_half_copied_engine_file_is_noticed_when_the_bundle_is_loaded(
    hollow: Path, keep: int
) -> None:
    entry = bundles.load(hollow).manifest.engines[1]
    path = hollow / entry.file
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BundleError, match=rf"expected {entry.size_bytes} bytes, got {keep}"):
        bundles.load(hollow)


@pytest.mark.parametrize("at", [0, 7, -1])
@pytest.mark.parametrize("bit", [0, 7])
def test_no_bit_of_an_engine_file_can_change_unnoticed(hollow: Path, at: int, bit: int) -> None:
    found = bundles.load(hollow)
    entry = found.manifest.engines[0]
    raw = bytearray((hollow / entry.file).read_bytes())
    raw[at] ^= 1 << bit
    (hollow / entry.file).write_bytes(raw)
    with pytest.raises(BundleError, match=rf"{entry.file} was altered"):
        found.path(entry)


@pytest.mark.parametrize("name", ["../outside.onnx", "a/../../outside.onnx", "/etc/hostname"])
def test_an_engine_file_outside_the_bundle_is_refused(hollow: Path, name: str) -> None:
    outside = hollow.parent / "outside.onnx"
    outside.write_bytes((hollow / read_manifest(hollow)["engines"][0]["file"]).read_bytes())
    edit_manifest(hollow, first_engine("file", name))
    with pytest.raises(BundleError, match="outside"):
        bundles.load(hollow)


def break_hash(folder: Path) -> None:
    edit_manifest(folder, first_engine("sha256", "0" * 64))


def break_path(folder: Path) -> None:
    edit_manifest(folder, first_engine("file", "../outside.onnx"))


def break_size(folder: Path) -> None:
    path = folder / read_manifest(folder)["engines"][0]["file"]
    path.write_bytes(path.read_bytes()[:5])


def break_file(folder: Path) -> None:
    (folder / read_manifest(folder)["engines"][0]["file"]).unlink()


@pytest.mark.parametrize("damage", [break_hash, break_path, break_size, break_file])
def test_every_refusal_says_what_to_do_next(hollow: Path, damage: Callable[[Path], None]) -> None:
    damage(hollow)
    with pytest.raises(BundleError, match=NEXT_STEP):
        load_all(hollow)


@pytest.mark.parametrize(
    "facts",
    [
        {"clear_answer": 4},
        {"clear_answer": -5},
        {"ambiguous_answers": [1, 2, 4]},
        {"ambiguous_answers": []},
    ],
    ids=str,
)
def test_answers_that_the_decoder_does_not_have_are_refused(hollow: Path, facts: Plain) -> None:
    edit_manifest(hollow, lambda m: m["decoder"].update(facts))
    with pytest.raises(BundleError):
        bundles.load(hollow)


def test_a_part_that_is_not_there_is_answered_with_those_that_are(default_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"no encoder for onnxruntime at side 77.*encoder"):
        default_bundle.engine("encoder", "onnxruntime", 77)


def test_the_variable_adds_a_folder_of_bundles(
    default_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hollow_copy(default_bundle, tmp_path / "mine")
    monkeypatch.setenv("EDGESAM_BUNDLES", str(tmp_path))
    assert bundles.find("mine").folder == tmp_path / "mine"
    assert bundles.DEFAULT in bundles.installed()


def test_a_bundle_that_is_still_being_made_is_not_one(
    default_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hollow_copy(default_bundle, tmp_path / ".mine.building")
    monkeypatch.setenv("EDGESAM_BUNDLES", str(tmp_path))
    assert ".mine.building" not in bundles.installed()


def test_the_variable_comes_before_what_is_installed(
    default_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hollow_copy(default_bundle, tmp_path / bundles.DEFAULT)
    monkeypatch.setenv("EDGESAM_BUNDLES", str(tmp_path))
    assert bundles.find(None).folder == tmp_path / bundles.DEFAULT


def test_the_variable_may_name_several_folders_the_first_one_wins(
    default_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [hollow_copy(default_bundle, tmp_path / str(i) / "mine").parent for i in range(2)]
    monkeypatch.setenv("EDGESAM_BUNDLES", os.pathsep.join(map(str, folders)))
    assert bundles.find("mine").folder == folders[0] / "mine"


def test_folders_of_the_variable_that_are_not_there_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGESAM_BUNDLES", f"{tmp_path}/none{os.pathsep}{os.pathsep}")
    assert bundles.find(None).manifest.name == bundles.DEFAULT


def test_a_damaged_bundle_of_another_name_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / MANIFEST).write_text("{")
    monkeypatch.setenv("EDGESAM_BUNDLES", str(tmp_path))
    assert bundles.find(None).manifest.name == bundles.DEFAULT


def test_what_the_manifest_says_of_tensors_is_plain_json(default_bundle: Bundle) -> None:
    raw = json.loads((default_bundle.folder / MANIFEST).read_text(encoding="utf-8"))
    first = default_bundle.manifest.engines[0]
    assert raw["engines"][0]["inputs"][0]["name"] == first.inputs[0].name
    assert tuple(raw["engines"][0]["inputs"][0]["shape"]) == first.inputs[0].shape
