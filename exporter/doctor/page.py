"""The table of checks in docs/doctor.md, written from the tables of the core.

For: `python -m exporter.doctor.page docs/doctor.md`, which a maintainer runs after changing a check, and the test that says
when nobody did.
Not for: the rest of that page.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from exporter.core.catalogue import both_numbers
from exporter.core.doctor.model import Check
from exporter.core.doctor.table import CHECKS

BEGIN = "<!-- checks: written by `python -m exporter.doctor.page docs/doctor.md` -->"
END = "<!-- end of the checks -->"


def checks() -> str:
    """Two tables: what is seen from here, and what only the SQL Server host can show."""
    here = [check for check in CHECKS if not check.on_host]
    there = [check for check in CHECKS if check.on_host]
    return f"### Seen from here\n\n{_table(here)}\n\n### To be looked up on the SQL Server host\n\n{_table(there)}"


def refreshed(page: str) -> str:
    """The page with its tables written anew. Raises ValueError if the page has no place for them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs a line {BEGIN} and a line {END}")
    return f"{before}{BEGIN}\n\n{checks()}\n\n{END}{after}"


def _table(rows: Sequence[Check]) -> str:
    lines = ["| `check` | title | what it asks | SQL Server would show |", "| --- | --- | --- | --- |"]
    lines += [f"| `{check.name}` | {check.title} | {check.asks} | {_shown(check)} |" for check in rows]
    return "\n".join(lines)


def _shown(check: Check) -> str:
    if check.code is None:
        return "no code"
    return f"[{both_numbers(check.code)}](codes.md#{check.code}), {check.moment}"


def main(arguments: Sequence[str]) -> None:
    """Rewrite the tables in the given pages."""
    for argument in arguments:
        path = Path(argument)
        path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
