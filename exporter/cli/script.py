"""The command `ekm-exporter script`: T-SQL, PowerShell and KQL for a DBA.

The command prints a script and never runs one.
"""

from __future__ import annotations

import argparse
import sys

from exporter.core.suggestions import nearest
from exporter.sqlservers.script import script_bytes, script_names, summary

_OK, _BAD_USAGE = 0, 2


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its argument."""
    parser = subparsers.add_parser(
        "script",
        description=(
            "Prints a script for SQL Server or for Entra ID's sign-in log. Without a name, it lists them. It runs none: read a script before you "
            "run it. Exit code: 2 for an unknown name."
        ),
        epilog="example: ekm-exporter script prove.sql > prove.sql",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="the file's name (default: list all)")
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Print a script or the list; return 0, or 2 for an unknown name."""
    names = script_names()
    if args.name is None:
        print(_list(names))
        return _OK
    if args.name not in names:
        print(f"ekm-exporter script: no script {args.name!r}{nearest(args.name, names)}\n\n{_list(names)}", file=sys.stderr)
        return _BAD_USAGE
    sys.stdout.flush()
    sys.stdout.buffer.write(script_bytes(args.name))  # its bytes: a text stream of Windows would change the line ends
    return _OK


def _list(names: tuple[str, ...]) -> str:
    width = max(map(len, names))
    return "\n".join(f"{name:{width}}  {summary(name)}" for name in names)
