"""The table and the commands in docs/sql-host.md, from the checks of SQL Server's host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from docs.generators.doctor import shown
from docs.generators.pages import GeneratedPart
from docs.generators.site import anchor
from exporter.core.checks.host import HOST
from exporter.core.checks.model import Check

_COMMAND: Final = re.compile(r"(?P<text>.*): `(?P<command>[^`]+)`\.", re.DOTALL)
_SQL: Final = ("SELECT", "EXEC")


def lookups() -> str:
    """Return a row for each check, with a link to its part of the page."""
    rows = (f"| `{one.name}` | [{one.title}](#{anchor(one.title)}) | {one.looked_up} | {shown(one)} |" for one in HOST)
    return "\n".join(
        ["| `check` | title | `doctor` looks up on Windows | SQL Server would show |", "| --- | --- | --- | --- |", *rows]
    )


def commands(check: Check) -> str:
    """Return the actions of a check, which `doctor` prints: each command in a block of its own."""
    return "\n\n".join(paragraph for action in check.actions for paragraph in _paragraphs(action))


def _paragraphs(action: str) -> Iterator[str]:
    found = _COMMAND.fullmatch(action)
    if found is None:
        yield action
        return
    language = "sql" if found["command"].startswith(_SQL) else "powershell"
    yield f"{found['text']}:"
    yield f"```{language}\n{found['command']}\n```"


PARTS: Final = (
    GeneratedPart("lookups", lookups),
    *(GeneratedPart(check.name.replace("_", "-"), partial(commands, check)) for check in HOST),
)
