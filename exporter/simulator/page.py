"""The scenario table as the documentation shows it.

For: `python -m exporter.simulator.page docs/simulator.md` and the test that the page is up to date.
Not for: what stands in the table (see `scenarios`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from exporter.simulator.scenarios import SCENARIOS

MARKER = "<!-- scenarios: written by python -m exporter.simulator.page -->"
_HEAD = "| scenario | what is broken | step | classic | current | reason | story |\n| --- | --- | --- | --- | --- | --- | --- |"


def table() -> str:
    """Markdown, one row for each scenario."""
    rows = [
        f"| `{one.name}` | {one.fault.broken} | `{one.step}` | {one.classic} | {one.current} | `{one.reason}` | {one.story} |"
        for one in SCENARIOS
    ]
    return "\n".join([_HEAD, *rows])


def refreshed(page: str) -> str:
    """The page with everything below its marker written anew. Raises ValueError if it has none."""
    before, marker, _ = page.partition(MARKER)
    if not marker:
        raise ValueError(f"the page needs a line {MARKER}")
    return f"{before}{MARKER}\n\n{table()}\n"


def main(arguments: Sequence[str]) -> None:
    """Rewrites the table in the given pages."""
    for argument in arguments:
        path = Path(argument)
        path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
