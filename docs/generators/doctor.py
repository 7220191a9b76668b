"""The tables of checks in docs/doctor.md, from the tables of the core."""

from __future__ import annotations

from collections.abc import Sequence

from docs.generators.pages import GeneratedPart
from exporter.core.checks.model import Check
from exporter.core.checks.sql import SQL
from exporter.core.checks.table import CHECKS
from exporter.core.codes import both_numbers


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
    lines = ["| `check` | title | question | SQL Server would show |", "| --- | --- | --- | --- |"]
    lines += [f"| `{check.name}` | {check.title} | {check.question} | {_shown(check)} |" for check in rows]
    return "\n".join(lines)


def _shown(check: Check) -> str:
    if check.code is None:
        return "no code"
    return f"[{both_numbers(check.code)}](codes.md#{check.code}), {check.moment}"


PART = GeneratedPart("checks", checks)
