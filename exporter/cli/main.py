"""The command line: choose a command and return its exit code.

Only the module of the given command is imported: those of all take half a second.
Exit codes: 0 success, 1 a probe or check failed, 2 bad usage or configuration, 3 internal error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from types import ModuleType

from exporter import __version__
from exporter.cli.parser import CommandParser
from exporter.runtime.encodings import adapt_output
from exporter.runtime.os_errors import is_closed_pipe

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
  ekm-exporter docs doctor
  ekm-exporter explain 3303        (a number from SQL Server's error log)
  ekm-exporter events Application.evtx
  ekm-exporter inventory --from inventory/*.json --out targets.d
  ekm-exporter gate --instance SQLPRD01
  ekm-exporter report --month 2026-11 --prometheus http://localhost:9090
  ekm-exporter script prove.sql
  ekm-exporter service install --config.file ekm.yml        (Windows)
  ekm-exporter simulate --config.file ekm.yml --out sim

"ekm-exporter COMMAND --help" describes the options of a command.
"""


# Each command, which is also the name of its module in this package, and its line in the help, in that order.
_HELP = {
    "run": "run the exporter",
    "check": "validate a configuration",
    "probe": "probe one target now and print each step",
    "doctor": "run the preflight checks of one target and print the fixes",
    "bundle": "probe one target now and write a zip file for a support case",
    "docs": "print a page of the documentation, or list the pages",
    "explain": "explain a code, message or log line, with the first action, or list all codes",
    "events": "list the connector's events of a saved Windows event log by code",
    "inventory": "write targets from what SQL Servers use",
    "gate": "before a restart of SQL Servers: would they find their keys?",
    "report": "evidence per vault: minutes answered, throttled, refused and unreachable, and whose fault",
    "script": "print a T-SQL, PowerShell or KQL script, such as prove.sql",
    "service": "install, change and remove the service of Windows, and write its secrets",
    "simulate": "run the simulator alone, for game days",
    "demo": "run the exporter against simulated vaults that fail; no Azure needed",
}


def load(arguments: Sequence[str]) -> list[ModuleType]:
    """Import and return the module of the command, or none if the first argument is no command."""
    first = next((argument for argument in arguments if argument != "--"), "")
    return _import([first] if first in _HELP else ())


def _import(names: Iterable[str]) -> list[ModuleType]:
    return [import_module(f"exporter.cli.{name}") for name in names]


def build_parser(arguments: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser of these arguments; by default that of all commands.

    Without a command, it only has their names and help.
    """
    parser: argparse.ArgumentParser = CommandParser(
        prog="ekm-exporter",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ekm-exporter {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    modules = _import(_HELP) if arguments is None else load(arguments)
    for module in modules:
        module.add_parser(commands)
    if not modules:
        for name, text in _HELP.items():
            commands.add_parser(name, help=text)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    An internal error is one line on stderr, not a traceback. Raises KeyboardInterrupt.
    """
    given = sys.argv[1:] if arguments is None else arguments
    adapt_output()
    args = build_parser(given).parse_args(given)
    try:
        code: int = args.handler(args)
        print(end="", flush=True)  # the reader may have closed standard output
    except Exception as error:  # noqa: BLE001 - the last line of defence
        if is_closed_pipe(error):  # `ekm-exporter explain | head`
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        if os.environ.get("EKM_DEBUG"):
            print(_traceback(error), file=sys.stderr)
            return 3
        print(f"ekm-exporter: internal error: {type(error).__name__} (set EKM_DEBUG=1 for the traceback)", file=sys.stderr)
        return 3
    return code


def _traceback(error: Exception) -> str:
    """Return the traceback without secrets: the text of an exception may quote a server."""
    import traceback  # noqa: PLC0415 - only this function needs the two

    from exporter.core.known_secrets import hide  # noqa: PLC0415

    return "\n".join(map(hide, "".join(traceback.format_exception(error)).splitlines()))
