"""`ekm-exporter explain` and `ekm-exporter codes`: the catalogue, read at a terminal.

Not for: how a row looks (see `core.codes.render`), nor any text about a code.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys

from exporter.core.codes import BY_CODE, CODES, find
from exporter.core.codes.render import as_data, as_markdown, as_table, as_text

_OK, _BAD_USAGE = 0, 2
_SUGGESTIONS = 3
# The messages of SQL Server that show a code of the connector, in their text.
_OWN_MESSAGE = re.compile(r"(?:msg|error:?|message)?\s*(33028|33049)\b.*", re.IGNORECASE | re.DOTALL)
_IN_MESSAGE = re.compile(r"provider error code:?\s*(\d{1,5})\b", re.IGNORECASE)
_NEIGHBOURS = 2  # how far apart two numbers may be for one to be suggested for the other


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the two commands; each sets `handler` to the function that carries it out and returns the exit code."""
    one = subparsers.add_parser(
        "explain",
        help="what one code means and what to do",
        description="Explains one code of the SQL Server Connector: meaning, causes, first actions, owner.",
        epilog="example: ekm-exporter explain 3303",
    )
    one.add_argument(
        "code",
        metavar="CODE|SYMBOL",
        help="a number such as 3077, a symbol (of twins, the classic one is shown), or a quoted line of the error log",
    )
    one.add_argument("--json", action="store_true", help="as JSON")
    one.set_defaults(handler=explain)
    every = subparsers.add_parser(
        "codes",
        help="the whole catalogue of codes",
        description="Lists all codes of the SQL Server Connector.",
        epilog="example: ekm-exporter codes --format json",
    )
    every.add_argument("--format", choices=("table", "json", "md"), default="table", help="default: table")
    every.set_defaults(handler=codes)


def explain(args: argparse.Namespace) -> int:
    """Prints one code and returns 0; an unknown one is a line on stderr and 2.

    A symbol that twins share shows the classic one, which names its twin: the texts are the same.
    """
    rows = find(_code_in(args.code))
    if not rows:
        print(f"ekm-exporter explain: {_unknown(args.code)}", file=sys.stderr)
        return _BAD_USAGE
    print(json.dumps(as_data(rows[0]), indent=2) if args.json else as_text(rows[0]))
    return _OK


def codes(args: argparse.Namespace) -> int:
    """Prints all codes as a table, as JSON or as the documentation page, and returns 0."""
    match args.format:
        case "json":
            print(json.dumps([as_data(row) for row in CODES], indent=2))
        case "md":
            print(as_markdown(CODES), end="")
        case _:
            print(as_table(CODES))
    return _OK


def _code_in(text: str) -> str:
    """The code where `text` is a line of SQL Server's error log that has one, else `text`."""
    found = _IN_MESSAGE.search(text)
    return text if found is None else found[1]


def _unknown(text: str) -> str:
    text = _code_in(text)
    own = _OWN_MESSAGE.fullmatch(text.strip())
    if own is not None:
        return f"{own[1]} is a message of SQL Server's own. The code stands in its text, behind 'Provider error code:'."
    asked = "".join(letter if letter.isprintable() else "?" for letter in text.strip())[:60]
    near = _near_numbers(asked) if asked.isdecimal() else _near_symbols(asked)
    known = f"Did you mean {', '.join(near)}?" if near else "`ekm-exporter codes` lists all."
    return f"no such code: {asked!r}. {known}"


def _near_numbers(asked: str) -> list[str]:
    """Neighbours and codes with almost the same digits: first those with two digits swapped, then the nearest."""
    alike = difflib.get_close_matches(asked, [str(code) for code in BY_CODE], n=len(BY_CODE), cutoff=0.7)
    near = [code for code in BY_CODE if abs(code - int(asked)) <= _NEIGHBOURS or str(code) in alike]
    near.sort(key=lambda code: (sorted(str(code)) != sorted(asked), abs(code - int(asked))))
    return [str(code) for code in near[:_SUGGESTIONS]]


def _near_symbols(asked: str) -> list[str]:
    """Symbols that contain the word, else those spelt almost so."""
    symbols = {row.symbol.casefold(): row.symbol for row in CODES}
    wanted = asked.casefold()
    near = [folded for folded in symbols if len(wanted) > 2 and wanted in folded]
    near = near or difflib.get_close_matches(wanted, symbols, n=_SUGGESTIONS, cutoff=0.7)
    return [symbols[folded] for folded in near[:_SUGGESTIONS]]
