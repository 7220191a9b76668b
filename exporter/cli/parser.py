"""A parser that refuses a flag with one value if it is given twice, and flags that follow from their names."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

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

    Its attribute is its name, with underscores. A FILE, FOLDER or DIR is a path. The user reads the text of a ValueError of `type`.
    """
    flag, _, value = usage.partition(" ")
    convert = options.get("type", Path if value in _PATHS else None)
    if convert is not None:
        options["type"] = convert if isinstance(convert, type) else _text_converter(convert)
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
