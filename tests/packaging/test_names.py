from __future__ import annotations

import re

import pytest

import edgesam_rt as es
from edgesam_rt import errors
from tests.packaging.fresh import ROOT

RELEASE = re.compile(r"^## \[?(\d+\.\d+\.\d+)\]?", re.MULTILINE)


def test_the_public_names_are_sorted_and_stand_once() -> None:
    assert sorted(set(es.__all__)) == list(es.__all__)


@pytest.mark.parametrize("name", es.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(es, name) is not None


@pytest.mark.parametrize("name", es.__all__)
def test_every_public_name_is_shown_and_documented(name: str) -> None:
    assert name in dir(es)
    assert getattr(es, name).__doc__


def test_nothing_public_is_left_out() -> None:
    shown = {name for name in dir(es) if not name.startswith("_")}
    for name in es.__all__:
        getattr(es, name)
    modules = {name for name in shown if type(getattr(es, name)).__name__ == "module"}
    helpers = {"TYPE_CHECKING", "annotations"}
    assert shown - modules - helpers == set(es.__all__)


def test_every_value_the_contract_names_is_public() -> None:
    values = {"Frame", "Prompt", "Embedding", "MaskSet", "Result", "Timings"}
    assert values | {"open", "read_image", "Segmenter"} <= set(es.__all__)


def error_kinds() -> list[type[errors.EdgeSamError]]:
    found = [v for v in vars(errors).values() if isinstance(v, type)]
    return [kind for kind in found if issubclass(kind, errors.EdgeSamError)]


@pytest.mark.parametrize("kind", error_kinds(), ids=lambda k: k.__name__)
def test_every_error_can_be_caught_by_a_public_name_that_says_what_it_is(
    kind: type[errors.EdgeSamError],
) -> None:
    if kind is errors.InternalError:
        return  # our own bug; nobody should catch it
    names = [base.__name__ for base in kind.__mro__ if base.__name__ in es.__all__]
    assert names[0] != "EdgeSamError" or kind is errors.EdgeSamError


def test_every_error_is_drawn_in_the_tree_with_its_exit_code() -> None:
    tree = errors.__doc__ or ""
    for kind in error_kinds():
        (row,) = re.findall(rf"^ *{kind.__name__} .*$", tree, re.MULTILINE)
        assert re.search(rf"\b{kind.exit_code}\b|  -  ", row), row


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="novelty"):
        _ = es.novelty


def test_types_are_shipped() -> None:
    assert (ROOT / "edgesam_rt" / "py.typed").is_file()
    assert (ROOT / "engines" / "edgesam_engines" / "py.typed").is_file()


def test_the_version_is_that_of_the_newest_release_of_the_changelog() -> None:
    path = ROOT / "CHANGELOG.md"
    if not path.is_file():
        pytest.skip("there is no CHANGELOG.md yet")
    releases = RELEASE.findall(path.read_text(encoding="utf-8"))
    assert releases, "CHANGELOG.md names no release"
    assert releases[0] == es.__version__


def test_the_changelog_has_its_releases_in_falling_order() -> None:
    path = ROOT / "CHANGELOG.md"
    if not path.is_file():
        pytest.skip("there is no CHANGELOG.md yet")
    releases = [tuple(map(int, r.split("."))) for r in RELEASE.findall(path.read_text("utf-8"))]
    assert releases == sorted(set(releases), reverse=True)
