"""What the parser and the copied commands promise: one value a flag, and the shell of this host."""

import argparse
from pathlib import Path

import pytest

from exporter.cli import main as main_module
from exporter.cli import simulate
from exporter.cli.main import PORT, CommandParser, Flag, build_parser, main
from exporter.cli.simulate import quoted, request, with_variables

# A flag with one value may be given once, in each command.

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


@pytest.mark.parametrize("name", COMMANDS)
def test_parser_of_one_command_is_that_of_all(name):
    (alone,) = (one.choices for one in build_parser([name])._actions if isinstance(one, argparse._SubParsersAction))
    assert alone[name].format_help() == COMMANDS[name].format_help()


@pytest.mark.parametrize(("windows", "missing"), [(True, []), (False, ["service"])])
def test_help_has_a_line_for_each_command_of_this_system(windows, missing, monkeypatch):
    monkeypatch.setattr(main_module, "is_windows", lambda: windows)
    text = " ".join(build_parser([]).format_help().split())
    assert [name for name in COMMANDS if f" {name} " not in text.partition("commands:")[2]] == missing


def test_command_after_two_dashes_has_its_flags(capsys):
    assert main(["--", "explain", "--format", "json"]) == 0
    assert capsys.readouterr().out.startswith("[")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["prob", "explain"], "ekm-exporter: no command 'prob' (did you mean 'probe'?)"),
        (["zzz"], f"ekm-exporter: no command 'zzz': write one of {', '.join(name for name in COMMANDS if name != 'service')}"),
        (["run"], "ekm-exporter run: the following arguments are required: --config.file"),
        (["run", "--config", "ekm.yml"], "ekm-exporter run: the following arguments are required: --config.file"),
        (
            ["doctor", "--config=e.yml"],
            "ekm-exporter doctor: unrecognized arguments: --config=e.yml (did you mean '--config.file'?)",
        ),
        (["run", "--config.file", "e.yml", "--zzz"], "ekm-exporter run: unrecognized arguments: --zzz"),
        (
            ["audit", "t", "--config.file", "e.yml"],
            "ekm-exporter audit: unrecognized arguments: --config.file e.yml (it reads a running exporter: --url)",
        ),
        (["--zzz", "run"], "ekm-exporter: unrecognized arguments: --zzz"),
    ],
)
def test_wrong_words_are_one_line(arguments, problem, capsys, monkeypatch):
    monkeypatch.setattr(main_module, "is_windows", lambda: False)
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code
    assert (code, *capsys.readouterr()) == (2, "", f"{problem}\n")


def test_without_words_the_help_is_printed(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out == build_parser([]).format_help()


def test_flag_of_another_spelling_is_the_same_flag(capsys):
    parser = CommandParser(prog="x")
    parser.add_argument("-o", "--out")
    with pytest.raises(SystemExit):
        parser.parse_args(["-o", "a", "--out", "a"])
    assert "argument -o/--out: given twice" in capsys.readouterr().err
    assert parser.parse_args(["--out=b"]).out == "b"
    assert parser.parse_args(["-o", "c"]).out == "c"


def test_flag_has_the_attribute_of_its_name_and_a_path():
    parser = CommandParser(prog="x")
    for flag in (Flag("--web.config.file FILE", "a file"), Flag("--dry-run", "nothing is written")):
        parser.add_argument(*flag.names, **flag.options)
    args = parser.parse_args(["--web.config.file", "web.yml", "--dry-run"])
    assert (args.web_config_file, args.dry_run) == (Path("web.yml"), True)
    assert "--web.config.file FILE" in parser.format_help()


@pytest.mark.parametrize("text", ["", "x", "-1", "65536", "1.5", " 1", "1_0", "\u0661", "nan", "9" * 30])
def test_number_out_of_its_range_has_its_own_message(text, capsys):
    parser = CommandParser(prog="x")
    flag = Flag("--port PORT", "a port", type=PORT)
    parser.add_argument(*flag.names, **flag.options)
    with pytest.raises(SystemExit):
        parser.parse_args([f"--port={text}"])
    assert f"argument --port: {text!r} is not a port: write a number from 0 to 65535" in capsys.readouterr().err
    assert [parser.parse_args([f"--port={number}"]).port for number in (0, 443, 65535)] == [0, 443, 65535]


def test_abbreviated_flag_is_refused_in_every_command():
    assert [name for name, parser in COMMANDS.items() if parser.allow_abbrev] == []


# Commands for copying are those of the host's shell.

URL = "http://127.0.0.1:1/sim/fault"


BODY = '{"sql": "N1"}'


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(simulate, "is_windows", lambda: True)


def test_sh_gets_curl():
    assert request(URL) == f"curl {URL}"
    assert request(URL, "DELETE") == f"curl -X DELETE {URL}"
    assert request(URL, "POST", BODY) == f"curl -d '{BODY}' {URL}"
    assert with_variables({"A": "b c"}, "run") == "A='b c' run"


@pytest.mark.usefixtures("windows")
def test_powershell_gets_its_own_words():
    assert request(URL) == f"irm {URL}"
    assert request(URL, "DELETE") == f"irm -Method DELETE {URL}"
    assert request(URL, "POST", BODY) == f"irm -Method POST -Body '{BODY}' {URL}"
    assert with_variables({"A": "b c"}, "run") == "$env:A = 'b c'; run"
    assert quoted("C:\\DBA's") == "'C:\\DBA''s'"
