"""What is wrong with a data set: counted by kind, told once, with the first examples."""

from __future__ import annotations

from collections.abc import Mapping

_EXAMPLES = 3


class Complaints:
    """Kinds of trouble in the order they were met; each with a count and its first examples."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, example: str = "") -> None:
        """Count one case of a kind; `example` says where."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        shown = self._examples.setdefault(kind, [])
        if example and len(shown) < _EXAMPLES:
            shown.append(example)

    @property
    def counts(self) -> Mapping[str, int]:
        """Cases by kind."""
        return self._counts

    def lines(self) -> list[str]:
        """One sentence a kind: `3 masks are empty (a.png, b.png, …)`."""
        return [self._line(kind, count) for kind, count in self._counts.items()]

    def _line(self, kind: str, count: int) -> str:
        shown = self._examples[kind]
        more = ", …" if count > len(shown) else ""
        return f"{count} x {kind}" + (f" ({', '.join(shown)}{more})" if shown else "")
