"""A table of the flags of a command, from its parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from exporter.cli.main import build_parser


def flags(command: str) -> str:
    """Return a row for each flag of the command, with the help that `--help` prints."""
    lines = ["| flag | meaning |", "| --- | --- |"]
    return "\n".join([*lines, *(_row(action) for action in _actions(command))])


def _actions(command: str) -> Iterator[argparse.Action]:
    for action in build_parser()._actions:  # noqa: SLF001 - argparse shows them nowhere else
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            yield from (flag for flag in action.choices[command]._actions if _is_shown(flag))  # noqa: SLF001


def _is_shown(flag: argparse.Action) -> bool:
    return flag.option_strings != [] and flag.dest != "help" and flag.help != argparse.SUPPRESS


def _row(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {_value(action)}"
    return f"| `{action.option_strings[0]}{value}` | {str(action.help).replace('|', chr(92) + '|')} |"


def _value(action: argparse.Action) -> str:
    name = str(action.metavar) if action.choices is None else r"\|".join(map(str, action.choices))
    return {"+": f"{name} …", "?": f"[{name}]"}.get(str(action.nargs), name)
