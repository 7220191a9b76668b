"""The table of rights in docs/sql-servers.md, from the table of the core."""

from __future__ import annotations

from docs.generators.pages import GeneratedPart
from exporter.core.checks.sql import SQL_RIGHTS, SqlRight

_SCRIPT, _LINK = "`login.sql`", "[login.sql](../exporter/sqlservers/scripts/login.sql)"


def rights() -> str:
    """Return a row for each right: how to grant it, its sections, and the loss without it."""
    lines = ["| right | granted by | sections | without it |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *map(_row, SQL_RIGHTS)])


def _row(right: SqlRight) -> str:
    granted_by = right.granted_by.replace(_SCRIPT, _LINK)
    optional = " (optional)" if right.is_optional else ""
    sections = ", ".join(f"`{section}`" for section in right.sections)
    return f"| `{right.name}`{optional} | {granted_by} | {sections} | {right.without} |"


PART = GeneratedPart("rights", rights)
