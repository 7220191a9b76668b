"""The command `ekm-exporter explain`: one code or text, or without an argument all codes."""

from __future__ import annotations

import argparse
import json
import sys

from exporter.cli.main import FINE, Command, Flag, OneOf, Refusal
from exporter.explain.explanation import (
    LONGEST,
    as_data,
    as_markdown,
    as_table,
    explain_exactly,
    explanation_data,
    explanation_text,
    otherwise_text,
)
from exporter.knowledge.codes import CODES

_MOST_READ = 4 * LONGEST  # bytes of standard input
_LONGEST_TOPIC, _PLACES = 6, 3  # words of a topic, and places that are shown


def run(args: argparse.Namespace) -> int:
    """Print an explanation, or all codes; return 0, or 2 for an unknown text."""
    if not args.code:
        forms = {
            "json": lambda: json.dumps([as_data(row) for row in CODES], indent=2),
            "md": lambda: as_markdown(CODES).rstrip("\n"),
        }
        print(forms.get("json" if args.json else args.format, lambda: as_table(CODES))())
        return FINE
    if args.format:
        raise Refusal("--format is for all codes, without TEXT: write --json")
    text = " ".join(args.code)
    if text == "-":
        from exporter.runtime.files import decoded  # noqa: PLC0415 - a code alone needs no files

        text = decoded(sys.stdin.buffer.read(_MOST_READ))[:LONGEST]
    found = explain_exactly(text)
    if found is None:
        from exporter.explain import search  # noqa: PLC0415 - a code alone needs none of their tables

        found = search.explain(text)
        if found is None:
            raise Refusal("\n\n".join(filter(None, (search.unknown(text), _places(text), otherwise_text()))))
    print(json.dumps(explanation_data(found), indent=2) if args.json else explanation_text(found))
    return FINE


def _places(text: str) -> str:
    """Return where the documents have a topic of a few words; empty for a pasted text, of which every word is somewhere."""
    from exporter.presentation.documentation import Documentation  # noqa: PLC0415 - as above

    documentation = Documentation.load() if len(text.split()) <= _LONGEST_TOPIC else None
    found = [] if documentation is None else documentation.search(text)[:_PLACES]
    lines = (f"  ekm-exporter docs {place.address}\n    {place.heading}" for place, _ in found)
    return "\n".join(("As a topic, the documents have it here:", *lines)) if found else ""


COMMAND = Command(
    description=(
        "Explains a code of the SQL Server Connector, a message of SQL Server, a database state, an AADSTS number, an error of "
        "Windows, PowerShell or curl, a reason or a log line: what it means for SQL Server, and what to do. "
        "With - as TEXT, it reads lines from standard input. Without TEXT, it lists all codes."
    ),
    epilog="example: ekm-exporter explain 3303; for a saved Windows event log: ekm-exporter events FILE.evtx",
    run=run,
    flags=(
        Flag(
            "TEXT",
            "a code such as 3077, a symbol, a reason, an AADSTS number, a message, a state, an error, a quoted log line, or -",
            dest="code",
            nargs="*",
        ),
        OneOf(
            (
                Flag("--json", "print JSON, for scripts"),
                Flag("--format", "format of all codes, without TEXT (default: table)", choices=("table", "json", "md")),
            )
        ),
    ),
)
