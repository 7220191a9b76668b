"""The command line: choose a command and return its exit code.

Only the module of the given command is imported: those of all take half a second.
Exit codes: 0 success, 1 a probe or check failed, 2 bad usage or configuration, 3 internal error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar

from exporter import __version__
from exporter.runtime.errors import is_closed_pipe
from exporter.runtime.files import adapt_output

# A parser that refuses a flag with one value if it is given twice, and flags that follow from their names.

T = TypeVar("T", int, float)

_DIGITS = re.compile(r"[0-9.eE+-]{1,20}")  # Python also reads spaces, underscores and digits of other scripts
_PATHS = ("FILE", "FOLDER", "DIR")


class FlagOwner(Protocol):
    """A parser, or a group of its flags."""

    def add_argument(self, *names: str, **options: Any) -> argparse.Action: ...


class FlagGroup:
    """Flags of one purpose, below a heading of the help. A flag that is not given has no value."""

    def __init__(self, parser: argparse.ArgumentParser, title: str, description: str) -> None:
        self._group = parser.add_argument_group(title, description)
        self._actions: list[argparse.Action] = []

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        """Add a flag, as a parser does."""
        action = self._group.add_argument(*names, **options)
        self._actions.append(action)
        return action

    def first_given(self, args: argparse.Namespace) -> str | None:
        """Return the first of these flags that a command line has."""
        return next((action.option_strings[0] for action in self._actions if getattr(args, action.dest) is not None), None)


def add_flag(owner: FlagOwner, usage: str, text: str, **options: Any) -> None:
    """Add a flag such as `--config.file FILE`, with its help and the options of argparse.

    Its attribute is its name, with underscores. A FILE, FOLDER or DIR is a path; a flag without a value or an action is true if it is
    given. The user reads the text of a ValueError of `type`.
    """
    flag, _, value = usage.partition(" ")
    convert = options.get("type", Path if value in _PATHS else None)
    if convert is not None:
        options["type"] = convert if isinstance(convert, type) else _text_converter(convert)
    if not value and not {"action", "choices"} & options.keys():
        options["action"] = "store_true"
    attribute = flag.lstrip("-").replace(".", "_").replace("-", "_")
    owner.add_argument(flag, **{"dest": attribute, "help": text, **({"metavar": value} if value else {}), **options})


def _text_converter(convert: Callable[[str], object]) -> Callable[[str], object]:
    """Return a converter whose ValueError argparse shows."""

    def converted(text: str) -> object:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


def number(kind: Callable[[str], T], least: T, most: T, expected: str) -> Callable[[str], T]:
    """Return a converter of numbers in a range; `expected` completes its message."""

    def convert(text: str) -> T:
        with contextlib.suppress(ValueError):
            if _DIGITS.fullmatch(text) and least <= (value := kind(text)) <= most:
                return value
        raise ValueError(f"{text!r} is not {expected}")

    return convert


PORT = number(int, 0, 65535, "a port: write a number from 0 to 65535")


class CommandParser(argparse.ArgumentParser):
    """The parser of `ekm-exporter` and, through `add_subparsers`, of its commands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})
        self.given: set[str] = set()
        self.register("action", None, _StoreOnce)
        self.register("action", "store", _StoreOnce)

    def parse_known_args(  # type: ignore[override] # typeshed has overloads, which this passes on
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse one command line."""
        self.given.clear()
        return super().parse_known_args(args, namespace)


class _StoreOnce(argparse.Action):
    """Stores the value of a flag; a second one is an error, for which the first could be meant as well."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if option_string is not None and isinstance(parser, CommandParser):
            if self.dest in parser.given:
                raise argparse.ArgumentError(self, _twice(self.nargs, self.option_strings))
            parser.given.add(self.dest)
        setattr(namespace, self.dest, values)


def _twice(nargs: str | int | None, flags: Iterable[str]) -> str:
    if nargs in ("+", "*"):
        return f"given twice, and only the last would count: write all values after one {next(iter(flags))}"
    return "given twice, and it has one value: name it once"


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
        _add_command(commands, module)
    if not modules:
        for name, text in _HELP.items():
            commands.add_parser(name, help=text)
    return parser


def _add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser], module: ModuleType) -> None:
    """Add the command of a module: its texts, its flags, what it does, and the errors that are an answer to its user."""
    as_written = "\n" in module.DESCRIPTION
    parser = commands.add_parser(
        module.__name__.rpartition(".")[2],
        description=module.DESCRIPTION,
        epilog=module.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter if as_written else argparse.HelpFormatter,
    )
    module.add_flags(parser)
    parser.set_defaults(handler=module.run, refusals=getattr(module, "REFUSALS", ()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    An internal error is one line on stderr, not a traceback. Raises KeyboardInterrupt.
    """
    given = sys.argv[1:] if arguments is None else arguments
    adapt_output()
    args = build_parser(given).parse_args(given)
    try:
        code = _run(args)
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


def _run(args: argparse.Namespace) -> int:
    try:
        code: int = args.handler(args)
    except args.refusals as error:
        return refuse(error, args.command)
    return code


def _traceback(error: Exception) -> str:
    """Return the traceback without secrets: the text of an exception may quote a server."""
    import traceback  # noqa: PLC0415 - only this function needs the two

    from exporter.core.secrets import hide  # noqa: PLC0415

    return "\n".join(map(hide, "".join(traceback.format_exception(error)).splitlines()))


# How commands end: the exit codes of those that probe, and the line of one that did nothing.

FINE, FAILED, BAD_USAGE, INTERNAL = 0, 1, 2, 3


def refuse(message: object, command: str = "") -> int:
    """Print why nothing was done, and return the exit code."""
    print(f"{f'ekm-exporter {command}'.rstrip()}: {message}", file=sys.stderr)
    return BAD_USAGE
