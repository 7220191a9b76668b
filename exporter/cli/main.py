"""The command line: choose a command and return its exit code.

Exit codes: 0 success, 1 a probe or check failed, 2 bad usage or configuration, 3 internal error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Sequence

from exporter import __version__
from exporter.cli import bundle, check, demo, doctor, events, explain, gate, inventory, probe, report, run, script, simulate
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
  ekm-exporter simulate --config.file ekm.yml --out sim

"ekm-exporter COMMAND --help" describes the options of a command.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser: argparse.ArgumentParser = CommandParser(
        prog="ekm-exporter",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ekm-exporter {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    run.add_parser(commands)
    check.add_parser(commands)
    probe.add_parser(commands)
    doctor.add_parser(commands)
    bundle.add_parser(commands)
    explain.add_parsers(commands)
    events.add_parser(commands)
    inventory.add_parser(commands)
    gate.add_parser(commands)
    report.add_parser(commands)
    script.add_parser(commands)
    simulate.add_parser(commands)
    demo.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    An internal error is one line on stderr, not a traceback. Raises KeyboardInterrupt.
    """
    args = build_parser().parse_args(arguments)
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
