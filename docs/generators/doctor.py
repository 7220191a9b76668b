"""The tables of checks in docs/doctor.md, from the tables of the core."""

from __future__ import annotations

import re
from collections.abc import Sequence

from docs.generators.pages import GeneratedPart
from exporter.core.checks.model import Check
from exporter.core.checks.sql import SQL
from exporter.core.checks.table import CHECKS
from exporter.core.codes import both_numbers

_SOURCES = re.compile(r"\bsys\.\w+|\bGet-\w+")


def checks() -> str:
    """Return three tables: checks of this host, checks of SQL Servers, and checks that need the SQL Server host."""
    here = [check for check in CHECKS if not check.on_host]
    there = [check for check in CHECKS if check.on_host]
    tables = {
        "Checked from this host": here,
        "Checked in SQL Server, with `sql_servers`": SQL,
        "Needs a look-up on the SQL Server host": there,
    }
    return "\n\n".join(f"### {heading}\n\n{_table(rows)}" for heading, rows in tables.items())


def _table(rows: Sequence[Check]) -> str:
    columns = ["`check`", "title", "question", "SQL Server would show"]
    cells = [[f"`{check.name}`", check.title, check.question, _shown(check)] for check in rows]
    if any(check.on_host for check in rows):
        columns += ["on Windows, looked up by", "by hand"]
        cells = [[*row, check.looked_up, _by_hand(check)] for row, check in zip(cells, rows, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *cells))


def _by_hand(check: Check) -> str:
    """Return the views and the cmdlets of the check's commands, which `doctor` prints."""
    return ", ".join(f"`{name}`" for name in dict.fromkeys(_SOURCES.findall(" ".join(check.actions))))


def _shown(check: Check) -> str:
    if check.code is None:
        return "no code"
    return f"[{both_numbers(check.code)}](codes.md#{check.code}), {check.moment}"


PART = GeneratedPart("checks", checks)
