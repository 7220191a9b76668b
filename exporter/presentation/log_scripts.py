"""The queries of a vault's log among the scripts, with the names of a vault and a key."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from exporter.core.log_queries import fill_query

_SCRIPTS = Path(__file__).parents[1] / "sqlservers" / "scripts"  # files alone: pages import no part that reads SQL Servers


def log_query(name: str, **values: str | int) -> str:
    """Return the query of a script with these values of its variables."""
    return fill_query(_script(name), values).rstrip("\n")


@cache
def _script(name: str) -> str:
    return (_SCRIPTS / name).read_text(encoding="ascii")
