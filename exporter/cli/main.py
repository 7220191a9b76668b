"""The command line: choose a command and return its exit code.

Only the module of the given command is imported: all of them take a third longer to start.
Exit codes: 0 success, 1 a probe or check failed, 2 bad usage or configuration, 3 internal error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from exporter import __version__
from exporter.cli.parser import CommandParser
from exporter.core.known_secrets import hide

DESCRIPTION = """\
Makes SQL Server's Azure Key Vault round trip before SQL Server has to, and
reports each failure with the number that SQL Server would show."""
EXAMPLES = """\
examples:
  ekm-exporter demo
  ekm-exporter check --config.file ekm.yml
  ekm-exporter run --config.file ekm.yml
  ekm-exporter probe contoso-key0 --config.file ekm.yml
  ekm-exporter doctor contoso-key0 --config.file ekm.yml
  ekm-exporter bundle contoso-key0 --config.file ekm.yml --out case.zip
  ekm-exporter explain 3303        (a number from SQL Server's error log)
  ekm-exporter codes
  ekm-exporter events Application.evtx
  ekm-exporter inventory --from inventory/*.json --out targets.d
  ekm-exporter gate --instance SQLPRD01
  ekm-exporter report --month 2026-11 --prometheus http://localhost:9090
  ekm-exporter script prove.sql
  ekm-exporter docs doctor
  ekm-exporter service install --config.file ekm.yml        (Windows)
  ekm-exporter simulate --config.file ekm.yml --out sim

"ekm-exporter COMMAND --help" describes the options of a command.
"""


# Each command and the module in this package that adds it, in the order of the help.
_MODULES = {name: name for name in ("run", "check", "probe", "doctor", "bundle")}
_MODULES |= {"explain": "explain", "codes": "explain"}
_NEXT = ("events", "inventory", "gate", "report", "script", "docs", "service", "simulate", "demo")
_MODULES |= {name: name for name in _NEXT}


def load(arguments: Sequence[str]) -> list[ModuleType]:
    """Import and return the module of the command; without a known command those of all, except for the version."""
    if list(arguments) == ["--version"]:
        return []
    names = [_MODULES[name] for name in arguments[:1] if name in _MODULES] or dict.fromkeys(_MODULES.values())
    return [import_module(f"exporter.cli.{name}") for name in names]


def build_parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of these arguments; by default that of all commands."""
    parser: argparse.ArgumentParser = CommandParser(
        prog="ekm-exporter",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ekm-exporter {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for module in load(arguments):
        module.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    An internal error is one line on stderr, not a traceback. Raises KeyboardInterrupt.
    """
    given = sys.argv[1:] if arguments is None else arguments
    args = build_parser(given).parse_args(given)
    try:
        code: int = args.handler(args)
        print(end="", flush=True)  # the reader may have closed standard output
    except BrokenPipeError:  # `ekm-exporter codes | head`
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last line of defence
        if os.environ.get("EKM_DEBUG"):  # exception texts may quote a server
            lines = "".join(traceback.format_exception(error)).splitlines()
            print("\n".join(hide(line) for line in lines), file=sys.stderr)
            return 3
        print(f"ekm-exporter: internal error: {type(error).__name__} (set EKM_DEBUG=1 for the traceback)", file=sys.stderr)
        return 3
    return code
