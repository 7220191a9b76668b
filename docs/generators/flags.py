"""A table of the flags of a command, from its parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from docs.generators.pages import table
from exporter.cli.main import build_parser


def flags(command: str) -> str:
    """Return a row for each flag of the command, with the help that `--help` prints."""
    return table(("flag", "meaning"), map(_row, _actions(command)))


def _actions(command: str) -> Iterator[argparse.Action]:
    for action in build_parser()._actions:  # noqa: SLF001 - argparse shows them nowhere else
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for flag in action.choices[command]._actions:  # noqa: SLF001
                if flag.option_strings and flag.dest != "help" and flag.help != argparse.SUPPRESS:
                    yield flag


def _row(action: argparse.Action) -> tuple[str, str]:
    value = "" if action.nargs == 0 else f" {_value(action)}"
    return f"`{action.option_strings[0]}{value}`", str(action.help).replace("|", r"\|")


def _value(action: argparse.Action) -> str:
    name = str(action.metavar) if action.choices is None else r"\|".join(map(str, action.choices))
    return {"+": f"{name} …", "?": f"[{name}]"}.get(str(action.nargs), name)
