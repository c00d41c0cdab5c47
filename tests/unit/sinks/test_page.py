"""docs/outputs.md has every sink and option as the code has them.

python -m tests.unit.sinks.test_page       # writes the table
"""

from __future__ import annotations

import re
from pathlib import Path

from edgesam_rt.sinks import parse_sink
from edgesam_rt.sinks.table import SINKS
from tests.unit.cameras.test_page import rows_of

PAGE = Path(__file__).resolve().parents[3] / "docs" / "outputs.md"
BEGIN, END = "<!-- options -->\n", "<!-- /options -->\n"
INTERNAL = ("memory",)  # for tests and programs


def table() -> str:
    rows = ["| output | what |", "|---|---|"]
    rows += [
        f"| `{s}:{row.target}` | {row.help} |" for s, row in SINKS.items() if s not in INTERNAL
    ]
    rows += ["", "| output | option | may be | default | |", "|---|---|---|---|---|"]
    for scheme, row in SINKS.items():
        rows += rows_of(f"`{scheme}:`", row.options)
    return "\n".join(rows) + "\n"


def test_the_pages_options_are_the_codes() -> None:
    text = PAGE.read_text()
    found = text[text.index(BEGIN) + len(BEGIN) : text.index(END)]
    assert found == table(), "python -m tests.unit.sinks.test_page writes it"


def test_the_pages_examples_are_right() -> None:
    block = PAGE.read_text().split("```console\n")[1].split("```")[0]
    outs = re.findall(r"--out (?:'([^']+)'|(\S+))", block)
    specs = [parse_sink(quoted or bare) for quoted, bare in outs]
    assert {spec.scheme for spec in specs} >= {"jsonl", "mjpeg", "mqtt", "overlay", "socket"}


def test_options_are_sorted() -> None:
    for row in SINKS.values():
        assert list(row.options) == sorted(row.options)


if __name__ == "__main__":
    whole = PAGE.read_text()
    head, tail = whole[: whole.index(BEGIN)], whole[whole.index(END) :]
    PAGE.write_text(head + BEGIN + table() + tail)
