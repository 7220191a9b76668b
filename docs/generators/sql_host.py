"""The tables and the commands in docs/sql-host.md, from the errors and the checks of SQL Server's host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from docs.generators.doctor import shown
from docs.generators.pages import GeneratedPart, table
from docs.generators.site import anchor
from exporter.explain.known_texts import KnownText
from exporter.explain.messages import MESSAGES
from exporter.knowledge.checks import BY_NAME
from exporter.knowledge.checks_host import HOST
from exporter.knowledge.checks_vault import Check
from exporter.knowledge.code_row import ConnectorError
from exporter.knowledge.codes import BY_CODE

_COMMAND: Final = re.compile(r"(?P<text>.*): `(?P<command>[^`]+)`\.", re.DOTALL)
_THUMBPRINTS: Final = "[33111: compare thumbprints](#33111-compare-thumbprints)"
# The part of the page for each error: the check, or a link.
_ERRORS: Final[Mapping[int, str]] = {
    2058: "registry_rights",
    2057: "registry_rights",
    2053: "cluster_checkpoint",
    2052: "event_log",
    33027: "vc_runtime",
    33031: "ekm_enabled",
    33032: "connector_version",
    33053: "ekm_enabled",
    33085: "connector_version",
    33047: "sql_credential",
    33111: _THUMBPRINTS,
    37563: "[a managed identity](managed-identity.md)",
    37576: "connector_version",
}
_SQL: Final = ("SELECT", "EXEC")


def errors() -> str:
    """Return a row for each error: what it means, the most likely cause, and the part of the page."""
    rows = ((_number(error), _known(error).summary, _known(error).causes[0], _part(part)) for error, part in _ERRORS.items())
    return table(("error", "meaning", "most likely cause", "here"), rows)


def _known(error: int) -> ConnectorError | KnownText:
    return BY_CODE[error] if error in BY_CODE else MESSAGES[error]


def _number(error: int) -> str:
    return f"[{error}](codes.md#{error})" if error in BY_CODE else f"Msg {error}, *{MESSAGES[error].title}*"


def _part(part: str) -> str:
    return part if part.startswith("[") else _link(BY_NAME[part])


def _link(check: Check) -> str:
    return f"[{check.title}](#{anchor(check.title)})"


def lookups() -> str:
    """Return a row for each check, with a link to its part of the page."""
    rows = ((f"`{one.name}`", _link(one), one.looked_up, shown(one)) for one in HOST)
    return table(("`check`", "title", "`doctor` looks up on Windows", "SQL Server would show"), rows)


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
    GeneratedPart("errors", errors),
    GeneratedPart("lookups", lookups),
    *(GeneratedPart(check.name.replace("_", "-"), partial(commands, check)) for check in HOST),
)
