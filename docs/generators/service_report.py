"""The flags, classes and parties of docs/service-report.md, from the command and the tables of the report."""

from __future__ import annotations

from collections.abc import Iterable

from docs.generators.flags import flags
from docs.generators.pages import GeneratedPart, table
from exporter.report.minutes import CLASS_TEXTS, PARTY_TEXTS


def _table(head: str, texts: Iterable[tuple[str, str]]) -> str:
    return table((head, "meaning"), ((f"`{name}`", text) for name, text in texts))


PARTS = (
    GeneratedPart("flags", lambda: flags("report")),
    GeneratedPart("audit-flags", lambda: flags("audit")),
    GeneratedPart("classes", lambda: _table("class", CLASS_TEXTS.items())),
    GeneratedPart("parties", lambda: _table("party", PARTY_TEXTS.items())),
)
