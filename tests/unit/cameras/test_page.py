"""docs/cameras.md has every source and option as the code has them.

python -m tests.unit.cameras.test_page       # writes the table
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from edgesam_rt.cameras.options import LIVE
from edgesam_rt.cameras.spec import parse_source
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.options import Option

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cameras.md"
BEGIN, END = "<!-- options -->\n", "<!-- /options -->\n"


def table() -> str:
    rows = ["| source | option | may be | default | |", "|---|---|---|---|---|"]
    for scheme, row in SOURCES.items():
        own = {name: option for name, option in row.options.items() if option not in LIVE.values()}
        rows += rows_of(f"`{scheme}:`", own)
    rows += rows_of("all live", LIVE)
    return "\n".join(rows) + "\n"


def rows_of(source: str, options: Mapping[str, Option]) -> Iterator[str]:
    for name, option in options.items():
        yield f"| {source} | `{name}` | {option.expected} | {_default(option)} | {option.help} |"


def _default(option: Option) -> str:
    value = option.default
    if value is None:
        return ""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float | bool) else str(value)


def test_the_pages_options_are_the_codes() -> None:
    text = PAGE.read_text()
    found = text[text.index(BEGIN) + len(BEGIN) : text.index(END)]
    assert found == table(), "python -m tests.unit.cameras.test_page writes it"


def test_every_source_is_in_the_examples_and_the_examples_are_right() -> None:
    text = PAGE.read_text()
    block = text[text.index("```console") : text.index("```\n\n## What was run")]
    commands = [line.removeprefix("edgesam-run ") for line in block.splitlines()[1:]]
    quoted = [c[1 : c.index("'", 1)] if c[0] == "'" else c.split()[0] for c in commands]
    devices = [source for source in quoted if ":" in source]
    assert {parse_source(source).scheme for source in devices} | {"file", "images"} == set(SOURCES)
    assert len(quoted) == len(SOURCES)


if __name__ == "__main__":
    whole = PAGE.read_text()
    head, tail = whole[: whole.index(BEGIN)], whole[whole.index(END) :]
    PAGE.write_text(head + BEGIN + table() + tail)
