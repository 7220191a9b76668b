"""The command `ekm-exporter explain`: one code or text, or without an argument all codes."""

from __future__ import annotations

import argparse
import json
import sys

from exporter.cli.main import FINE, add_flag, refuse
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
from exporter.runtime.files import decoded

_MOST_READ = 4 * LONGEST  # bytes of standard input


DESCRIPTION = (
    "Explains a code of the SQL Server Connector, a message of SQL Server, a database state, an AADSTS number, an error of "
    "Windows, PowerShell or curl, a reason or a log line: what it means for SQL Server, and what to do. "
    "With - as TEXT, it reads lines from standard input. Without TEXT, it lists all codes."
)
EPILOG = "example: ekm-exporter explain 3303; for a saved Windows event log: ekm-exporter events FILE.evtx"


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "code",
        metavar="TEXT",
        nargs="*",
        help="a code such as 3077, a symbol, a reason, an AADSTS number, a message, a state, an error, a quoted log line, or -",
    )
    output = parser.add_mutually_exclusive_group()
    add_flag(output, "--json", "print JSON, for scripts")
    add_flag(output, "--format", "format of all codes, without TEXT (default: table)", choices=("table", "json", "md"))


def run(args: argparse.Namespace) -> int:
    """Print an explanation, or all codes; return 0, or 2 for an unknown text."""
    if not args.code:
        return _print_all("json" if args.json else args.format)
    if args.format:
        return refuse("--format is for all codes, without TEXT: write --json", "explain")
    text = decoded(sys.stdin.buffer.read(_MOST_READ))[:LONGEST] if args.code == ["-"] else " ".join(args.code)
    found = explain_exactly(text)
    if found is None:
        from exporter.explain import search  # noqa: PLC0415 - a code alone needs none of their tables

        found = search.explain(text)
        if found is None:
            return refuse(f"{search.unknown(text)}\n\n{otherwise_text()}", "explain")
    print(json.dumps(explanation_data(found), indent=2) if args.json else explanation_text(found))
    return FINE


def _print_all(form: str | None) -> int:
    """Print all codes as a table, as JSON or as the documentation page, and return 0."""
    match form:
        case "json":
            print(json.dumps([as_data(row) for row in CODES], indent=2))
        case "md":
            print(as_markdown(CODES), end="")
        case _:
            print(as_table(CODES))
    return FINE
