"""`edgesam-engines list --families`: what can be built, from which files, under which licence."""

from __future__ import annotations

import json

import pytest

from edgesam_engines import cli, recipe


def test_every_published_family_is_listed_with_its_files_and_its_licence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["list", "--families"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * len(listed(capsys))
    at = next(i for i, line in enumerate(lines) if line.startswith("edgesam "))
    assert "edge_sam.pth or edge_sam_3x.pth" in lines[at]
    assert "NON-COMMERCIAL" in lines[at + 1]


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    assert cli.main(["list", "--families", "--json"]) == 0
    found: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_programs_get_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    row = listed(capsys)["efficientvit-sam-xl"]
    assert row["sides"] == [1024]
    assert "efficientvit_sam_xl0.pt" in str(row["checkpoint"])
    assert str(row["licence"]).startswith("Apache-2.0")


def test_what_ships_with_its_weights_is_not_among_them_and_all_others_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = pytest.importorskip("edgesam_engines.families.table", reason="families need torch")
    assert listed(capsys).keys() == table.TABLE.keys() - {"pocketsam"}
    assert recipe.load("pocketsam-int8")[0].checkpoint is not None
