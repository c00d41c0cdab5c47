"""The boards' page is made of their data files."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import boards as page
from benchmarks.report import fill
from edgesam_rt import boards

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "boards.md"


def test_the_page_is_what_the_data_files_say() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert text == fill(text, page.blocks(), "boards"), (
        "run python -m benchmarks.boards --update docs/boards.md README.md"
    )


def test_the_readme_has_the_same_table_where_it_has_one() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == fill(text, page.blocks(), "boards")


def test_every_board_and_backend_has_a_row() -> None:
    lines = page.table(page.rows()).splitlines()
    assert len(lines) == 2 + sum(len(board.backends) for board in page.rows())
    for name in boards.names():
        assert any(line.startswith(f"| `{name}`") for line in lines)


def test_every_row_that_was_not_measured_has_its_command() -> None:
    for line in page.table(page.rows()).splitlines()[2:]:
        measured = "**hardware**" in line
        assert ("edgesam-bench --board" in line or "android" in line) != measured, line


def test_every_section_has_engine_settings_and_sources() -> None:
    sections = page.details(page.rows()).split("### ")[1:]
    assert len(sections) == len(boards.names())
    for section in sections:
        for word in ("Recognised by", "Engine", "Settings", "Sources"):
            assert f"**{word}**" in section


def test_the_command_prints_and_updates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert page.main([]) == 0
    assert capsys.readouterr().out == page.table(page.rows())
    path = tmp_path / "p.md"
    path.write_text("a\n<!-- boards:table -->\nold\n<!-- /boards -->\nb\n")
    assert page.main(["--update", str(path)]) == 0
    assert path.read_text().startswith("a\n<!-- boards:table -->\n| board |")
    assert "old" not in path.read_text()


def test_an_unknown_block_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.md"
    path.write_text("<!-- boards:tabel -->\n<!-- /boards -->")
    assert page.main(["--update", str(path)]) == 2
    assert "Did you mean 'table'" in capsys.readouterr().err
