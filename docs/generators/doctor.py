"""The flags and the tables of checks in docs/doctor.md, from the command and the tables of the core."""

from __future__ import annotations

from collections.abc import Sequence

from docs.generators.flags import flags
from docs.generators.pages import GeneratedPart, table
from exporter.knowledge.checks import CHECKS
from exporter.knowledge.checks_host import SQL
from exporter.knowledge.checks_vault import Check
from exporter.knowledge.codes import both_numbers


def checks() -> str:
    """Return two tables: checks of any host, and checks of SQL Servers."""
    here = [check for check in CHECKS if not check.on_host]
    tables = {"Checked from this host": here, "Checked in SQL Server, with `sql_servers`": SQL}
    return "\n\n".join(f"### {heading}\n\n{_table(rows)}" for heading, rows in tables.items())


def _table(rows: Sequence[Check]) -> str:
    cells = ((f"`{check.name}`", check.title, check.question, shown(check)) for check in rows)
    return table(("`check`", "title", "question", "SQL Server would show"), cells)


def shown(check: Check) -> str:
    """Return the code of a check, as a link, and when SQL Server would show it."""
    if check.code is None:
        return "no code"
    return f"[{both_numbers(check.code)}](codes.md#{check.code}), {check.moment}"


PARTS = (GeneratedPart("flags", lambda: flags("doctor")), GeneratedPart("checks", checks))
