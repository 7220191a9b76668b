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
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

from exporter import __version__
from exporter.runtime.process import adapt_output, is_windows

FINE, FAILED, BAD_USAGE, INTERNAL = 0, 1, 2, 3


class Refusal(Exception):  # noqa: N818 - an answer to the user
    """Why a command ends without its result, in one line; empty if that is printed already."""

    def __init__(self, text: str = "", code: int = BAD_USAGE) -> None:
        super().__init__(text)
        self.code = code


def refuse(message: object, command: str = "") -> int:
    """Print why nothing was done, and return the exit code."""
    print(f"{f'ekm-exporter {command}'.rstrip()}: {message}", file=sys.stderr)
    return BAD_USAGE


def refuse_if(*rows: tuple[object, str]) -> None:
    """Raise the first refusal whose condition is true."""
    for applies, text in rows:
        if applies:
            raise Refusal(text)


# A command is a value: its texts, its rows of flags, what it does, and which exceptions are an answer to its user.


class Flag:
    """One flag such as `--config.file FILE`, or one argument such as `TARGET`, with its help and the options of argparse.

    Its attribute is its name, with underscores. A FILE, FOLDER or DIR is a path; a flag without a value is true if it is given, unless it
    has an action or choices. The user reads the text of a ValueError of `type`.
    """

    def __init__(self, usage: str, text: str, **options: Any) -> None:
        name, _, value = usage.partition(" ")
        self.names = (name,) if name.startswith("-") else ()
        shown = {"metavar": value or name} if value or not self.names else {}
        convert = options.get("type", Path if value in ("FILE", "FOLDER", "DIR") else None)
        kind = {} if convert is None else {"type": convert if isinstance(convert, type) else _text_converter(convert)}
        given = {"action": "store_true"} if self.names and not value and not {"action", "choices"} & options.keys() else {}
        attribute = name.lstrip("-").replace(".", "_").replace("-", "_").lower()
        self.options = {"dest": attribute, "help": text, **shown, **given, **options, **kind}


class Group(NamedTuple):
    """Flags of one purpose, below a heading of the help."""

    title: str
    description: str
    flags: Sequence[Flag]


class OneOf(NamedTuple):
    """Flags of which one excludes the others."""

    flags: Sequence[Flag]
    required: bool = False


class Command(NamedTuple):
    """A command, or one of the `commands` of another. An exception of `refusals` is a line for the user and an exit code."""

    description: str
    epilog: str
    run: Callable[[argparse.Namespace], int]
    flags: Sequence[Flag | Group | OneOf] = ()
    refusals: Mapping[type[Exception], int] = {}
    commands: Mapping[str, tuple[str, Command]] = {}  # by name: the line in the help

    def add_to(self, parsers: argparse._SubParsersAction[Any], name: str, text: str | None = None) -> None:
        """Add the parser of this command; `text` is its line in the help."""
        shape = argparse.RawDescriptionHelpFormatter if "\n" in self.description else argparse.HelpFormatter
        options: dict[str, Any] = {"help": text} if text else {}  # None would be a line too
        parser = parsers.add_parser(name, description=self.description, epilog=self.epilog, formatter_class=shape, **options)
        parser.set_defaults(handler=self.run, refusals=self.refusals, parser=parser)
        for row in self.flags:
            owner: argparse._ActionsContainer = parser
            match row:
                case Group():
                    owner = parser.add_argument_group(row.title, row.description)
                case OneOf():
                    owner = parser.add_mutually_exclusive_group(required=row.required)
            for flag in (row,) if isinstance(row, Flag) else row.flags:
                owner.add_argument(*flag.names, **flag.options)
        if self.commands:
            own = parser.add_subparsers(title="commands", metavar="COMMAND", dest=f"{name}_command", required=True)
            for each, (line, command) in self.commands.items():
                command.add_to(own, each, line)


def _text_converter(convert: Callable[[str], object]) -> Callable[[str], object]:
    """Return a converter whose ValueError argparse shows."""

    def converted(text: str) -> object:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


T = TypeVar("T", int, float)

_DIGITS = re.compile(r"[0-9.eE+-]{1,20}")  # Python also reads spaces, underscores and digits of other scripts


def number(kind: Callable[[str], T], least: T, most: T, expected: str) -> Callable[[str], T]:
    """Return a converter of numbers in a range; `expected` completes its message."""

    def convert(text: str) -> T:
        with contextlib.suppress(ValueError):
            if _DIGITS.fullmatch(text) and least <= (value := kind(text)) <= most:
                return value
        raise ValueError(f"{text!r} is not {expected}")

    return convert


PORT = number(int, 0, 65535, "a port: write a number from 0 to 65535")
CONFIG = Flag("--config.file FILE", "the configuration", required=True)


class CommandParser(argparse.ArgumentParser):
    """The parser of `ekm-exporter` and, through `add_subparsers`, of its commands. An error is one line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})
        for action in (None, "store"):
            self.register("action", action, _StoreOnce)

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_USAGE, f"{self.prog}: {message}\n")


class _StoreOnce(argparse.Action):
    """Stores the value of a flag; a second one is an error, for which the first could be meant as well."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        given = vars(namespace).setdefault("given", set())
        if option_string is not None and self.dest in given:
            several = f"only the last would count: write all values after one {self.option_strings[0]}"
            raise argparse.ArgumentError(
                self, f"given twice, and {several if self.nargs in ('+', '*') else 'it has one value: name it once'}"
            )
        given.add(self.dest)
        setattr(namespace, self.dest, values)


DESCRIPTION = """\
Makes SQL Server's Azure Key Vault round trip before SQL Server has to, and
reports each failure with the number that SQL Server would show."""
EXAMPLES = """\
examples:
  ekm-exporter demo
  ekm-exporter check --config.file ekm.yml
  ekm-exporter run --config.file ekm.yml
  ekm-exporter probe contoso-key0 --config.file ekm.yml
  ekm-exporter probe contoso-key0 --config.file ekm.yml --bundle case.zip
  ekm-exporter doctor contoso-key0 --config.file ekm.yml
  ekm-exporter docs "rotate a key"
  ekm-exporter explain 3303        (a number from SQL Server's error log)
  ekm-exporter events Application.evtx
  ekm-exporter inventory --from inventory/*.json --out targets.d
  ekm-exporter gate --instance SQLPRD01
  ekm-exporter report --month 2026-11 --prometheus http://localhost:9090
  ekm-exporter audit contoso-key0 --format html
  ekm-exporter script prove.sql
  ekm-exporter simulate --config.file ekm.yml --out sim

"ekm-exporter COMMAND --help" describes the options of a command.
"""


# Each command, which is also the name of its module in this package, and its line in the help, in that order.
_HELP = {
    "run": "run the exporter",
    "check": "validate a configuration",
    "probe": "probe one target now and print each step, or write a zip file for a support case",
    "doctor": "run the preflight checks of one target and print the fixes",
    "docs": "search the documentation, print a page of it, or list the pages",
    "explain": "explain a code, message or log line, with the first action, or list all codes",
    "events": "list the connector's events of a saved Windows event log by code",
    "inventory": "write targets from what SQL Servers use",
    "gate": "before a restart of SQL Servers: would they find their keys?",
    "report": "evidence per vault: minutes answered, throttled, refused and unreachable, and whose fault",
    "audit": "one key for a security officer: who may use it, who did, when it was last proven, what expires",
    "script": "print a T-SQL, PowerShell or KQL script, such as prove.sql",
    "service": "install, change and remove the service of Windows, and write its secrets",
    "simulate": "run the simulator alone, for game days",
    "demo": "run the exporter against simulated vaults that fail; no Azure needed",
}


def _shown() -> list[str]:
    return [name for name in _HELP if name != "service" or is_windows()]


def command_of(arguments: Sequence[str]) -> str:
    """Return the word in the place of the command, if there is one."""
    return next((argument for argument in arguments if argument != "--"), "")


def load(names: Iterable[str]) -> dict[str, Command]:
    """Import the modules of these commands, and return the commands; other names are left out."""
    return {name: import_module(f"exporter.cli.{name}").COMMAND for name in names if name in _HELP}


def build_parser(arguments: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser of these arguments; by default that of all commands.

    Without a command, it only has their names and help. The service of Windows is shown there alone.
    """
    shape = argparse.RawDescriptionHelpFormatter
    parser = CommandParser(prog="ekm-exporter", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=shape)
    parser.add_argument("--version", action="version", version=f"ekm-exporter {__version__}")
    parser.set_defaults(parser=parser)  # of a flag before the command; a command has its own
    parsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    commands = load(_HELP if arguments is None else [command_of(arguments)])
    for name, command in commands.items():
        command.add_to(parsers, name)
    if not commands:
        for name in _shown():
            parsers.add_parser(name, help=_HELP[name])
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    An internal error is one line on stderr, not a traceback. Raises KeyboardInterrupt.
    """
    given = sys.argv[1:] if arguments is None else arguments
    adapt_output()
    parser, name = build_parser(given), command_of(given)
    if not given:
        parser.print_help()
        return FINE
    if name not in _HELP and not name.startswith("-"):
        return refuse(f"no command {name!r}{_nearest(name, _shown()) or ': write one of ' + ', '.join(_shown())}")
    args, unknown = parser.parse_known_args(given)
    if unknown:
        word, own = unknown[0].partition("=")[0], re.findall(r"(?m)^ +(?:-\w, )?(--[a-z][a-z.-]+)", args.parser.format_help())
        # No typing error: the other commands about a target have that flag.
        flag = " (it reads a running exporter: --url)" if word == "--config.file" and "--url" in own else _nearest(word, own)
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}{flag}")
    try:
        code = run_command(args)
        print(end="", flush=True)  # the reader may have closed standard output
    except Exception as error:  # noqa: BLE001 - the last line of defence
        from exporter.runtime.errors import is_closed_pipe  # noqa: PLC0415 - only an exception needs them

        if is_closed_pipe(error):  # `ekm-exporter explain | head`
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FINE
        text = f"ekm-exporter: internal error: {type(error).__name__} (set EKM_DEBUG=1 for the traceback)"
        if os.environ.get("EKM_DEBUG"):
            import traceback  # noqa: PLC0415 - only this text needs the two

            from exporter.core.secrets import hide  # noqa: PLC0415

            # Without secrets: the text of an exception may quote a server.
            text = "\n".join(map(hide, "".join(traceback.format_exception(error)).splitlines()))
        print(text, file=sys.stderr)
        return INTERNAL
    return code


def _nearest(word: str, words: Iterable[str]) -> str:
    from exporter.core.names import nearest  # noqa: PLC0415 - an eighth of the time of a short command, which needs it for a typing error alone

    return nearest(word, words)


def run_command(args: argparse.Namespace) -> int:
    """Run the command of these arguments. A refusal is one line on stderr."""
    try:
        code: int = args.handler(args)
    except (Refusal, *args.refusals) as error:
        if str(error):
            refuse(error, args.command)
        if isinstance(error, Refusal):
            return error.code
        code = next(code for kind, code in args.refusals.items() if isinstance(error, kind))
    return code
