"""A flag with one value may be given once, in each command."""

import argparse

import pytest

from exporter.cli.main import build_parser
from exporter.cli.parser import CommandParser

PARSER = build_parser()
(COMMANDS,) = (one.choices for one in PARSER._actions if isinstance(one, argparse._SubParsersAction))


# Values that each type accepts; what a type refuses is refused before.
VALUES = ("1", "30s", "http://h:1", "2026-11", "2026-11-26", "0/2", "verify", "public", "text", "minimal", "info", "logfmt")


def value_of(action):
    for value in (*(action.choices or ()), *VALUES):
        try:
            (action.type or str)(value)
        except (argparse.ArgumentTypeError, ValueError):
            continue
        return str(value)
    raise AssertionError(f"{action.option_strings}: add a value to VALUES")


SINGLE = [
    (name, action)
    for name, parser in COMMANDS.items()
    for action in parser._actions
    if action.option_strings and action.nargs != 0 and not isinstance(action, argparse._AppendAction)
]


@pytest.mark.parametrize(("command", "action"), SINGLE, ids=[f"{name} {one.option_strings[0]}" for name, one in SINGLE])
def test_flag_with_one_value_is_refused_twice(command, action, capsys):
    flag = action.option_strings[0]
    with pytest.raises(SystemExit) as ended:
        PARSER.parse_args([command, flag, value_of(action), flag, value_of(action)])
    assert ended.value.code == 2
    assert f"argument {'/'.join(action.option_strings)}: given twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("gate", "--instance", "a", "--instance", "b", "--json", "--json"),
        ("run", "--config.file", "x", "--web.listen-address", ":1", "--web.listen-address", ":2"),
        ("events", "a.evtx", "b.evtx"),
    ],
)
def test_repeatable_flag_may_be_repeated(arguments):
    assert PARSER.parse_args(arguments).handler


def test_flag_of_another_spelling_is_the_same_flag(capsys):
    parser = CommandParser(prog="x")
    parser.add_argument("-o", "--out")
    with pytest.raises(SystemExit):
        parser.parse_args(["-o", "a", "--out", "a"])
    assert "argument -o/--out: given twice" in capsys.readouterr().err
    assert parser.parse_args(["--out=b"]).out == "b"
    assert parser.parse_args(["-o", "c"]).out == "c"
