"""The tables of docs/sql-servers.md, from the tables and scripts of the package."""

from __future__ import annotations

import re

from docs.generators.pages import GeneratedPart, table
from docs.generators.powershell import parameters
from exporter.core.connector import LOG_SCRIPTS
from exporter.knowledge.checks_host import SQL_RIGHTS, SqlRight
from exporter.sqlserver.differences import TEXTS
from exporter.sqlserver.script import PROOF, batches, script_bytes, script_names, summary

_NAMES = ("server", "databases", "target", "other", "uri", "thumbprint", "entry")
_FOLDER, _LOG_FOLDER = "../exporter/sqlserver/scripts", "../exporter/core/scripts"
_SCRIPT, _LINK = "`login.sql`", f"[login.sql]({_FOLDER}/login.sql)"


def rights() -> str:
    """Return a row for each right: how to grant it, its sections, and the loss without it."""
    return table(("right", "granted by", "sections", "without it"), map(_right, SQL_RIGHTS))


def _right(right: SqlRight) -> tuple[str, ...]:
    optional = " (optional)" if right.is_optional else ""
    sections = ", ".join(f"`{section}`" for section in right.sections)
    return f"`{right.name}`{optional}", right.granted_by.replace(_SCRIPT, _LINK), sections, right.without


_OTHER_SECTIONS = (
    ("`log`", "From when to when the files of the error log were read, without a gap.", "None of its own."),
    (
        "`registry`",
        "The `KeyUri` of each key, from the registry; not on Linux.",
        "Two calls for each key, and one for each vault.",
    ),
)


def sections() -> str:
    """Return a row for each section with the first sentence of the comment before its batch, and its cost."""
    rows = [(f"`{name}`", _first_sentence(batch), _cost(batch)) for name, batch in (*batches(), *batches(PROOF))]
    return table(("section", "what", "cost"), [*rows, *_OTHER_SECTIONS])


def _cost(batch: str) -> str:
    """Return what the comment before the batch says of its rows, its scans and its worst view."""
    (cost,) = re.findall(r"^-- Cost: (.+)$", batch, re.MULTILINE)
    return str(cost[0].upper() + cost[1:])


def _first_sentence(batch: str) -> str:
    comment = " ".join(line.removeprefix("-- ") for line in batch.splitlines() if line.startswith("-- "))
    return comment.removeprefix("OPTIONAL. ").partition(". ")[0].rstrip(".") + "."


def scripts() -> str:
    """Return a row for each script with its first sentence."""
    folders = dict.fromkeys(LOG_SCRIPTS, _LOG_FOLDER)
    rows = ((f"[{name}]({folders.get(name, _FOLDER)}/{name})", summary(script_bytes(name))) for name in script_names())
    return table(("script", "what it does"), rows)


def differences() -> str:
    """Return a row for each kind of difference; words in capitals stand for names."""
    names = {name: name.upper() for name in _NAMES} | {"used": "KEY", "pinned": "VERSION"}
    rows = ((f"`{kind}`", *(text.format_map(names) for text in texts)) for kind, texts in TEXTS.items())
    return table(("kind", "what differs", "first action"), rows)


PARTS = (
    GeneratedPart("parameters", lambda: parameters("grant-login.ps1")),
    GeneratedPart("sections", sections),
    GeneratedPart("rights", rights),
    GeneratedPart("scripts", scripts),
    GeneratedPart("differences", differences),
)
