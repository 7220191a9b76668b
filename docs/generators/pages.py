"""Rewrites the generated part of a page, between two marker lines.

The other modules of this folder make the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown."""
    head = tuple(columns)
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (head, ("---",) * len(head), *rows))


@dataclass(frozen=True)
class GeneratedPart:
    """Part `name` of a page; `write` makes its text, and `command` writes it into the page."""

    name: str
    write: Callable[[], str]
    command: str = "./dev docs"

    @property
    def begin(self) -> str:
        return f"<!-- {self.name}: written by {self.command} -->"

    @property
    def end(self) -> str:
        return f"<!-- end of the {self.name} -->"

    def refreshed(self, page: str) -> str:
        """Return the page with this part written anew. Raise ValueError if the page has no place for it."""
        before, begin, rest = page.partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not begin or not end:
            raise ValueError(f"the page needs a line {self.begin} and a line {self.end}")
        return f"{before}{begin}\n\n{self.write()}\n\n{end}{after}"
