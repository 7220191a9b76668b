"""A parser that refuses a flag with one value if it is given twice: argparse silently takes the last value."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any


class CommandParser(argparse.ArgumentParser):
    """The parser of `ekm-exporter` and, through `add_subparsers`, of its commands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
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
