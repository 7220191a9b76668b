"""Settings of an installation: kept, given, checked, and the command line that follows."""

import re
from dataclasses import replace
from pathlib import PureWindowsPath

import pytest

from exporter.windows import rules
from exporter.windows.rules import ServiceSettings, merge

BASE = PureWindowsPath(r"C:\Program Files\ekm-exporter")
PYTHON = rf"{BASE}\app\python\python.exe"
KEPT = ServiceSettings(
    name="ekm", version="1", listen=":1", arguments="--web.enable-pages", prometheus=("10.1.2.3",), account=r"D\m$"
)


def test_settings_are_read_as_they_were_written():
    assert rules.parse_settings(rules.dump_settings(KEPT)) == KEPT


def test_settings_of_another_version_are_read():
    assert rules.parse_settings('{"name": "ekm", "later": 1}') == ServiceSettings(name="ekm")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "[]",
            "{}",
            '{"name": 1}',
            "x",
            '{"name": "all"}',
            '{"name": "ekm", "listen": 1}',
            '{"name": "ekm", "account": null}',
        ),
        *(
            '{"name": "ekm", "prometheus": "10.1.2.3"}',
            '{"name": "ekm", "prometheus": [1]}',
            '{"name": "ekm", "prometheus": ["x"]}',
        ),
        *('{"name": "ekm", "address": "zz"}', '{"name": "ekm", "address": ":x"}', '{"name": "ekm", "account": "LocalSystem"}'),
    ],
)
def test_other_files_are_not_settings(text):
    with pytest.raises(ValueError, match=r".*"):
        rules.parse_settings(text)


@pytest.mark.parametrize("nothing", [None, "", []])
def test_settings_that_are_not_given_stay(nothing):
    assert merge(KEPT, dict.fromkeys(("listen", "arguments", "prometheus", "account"), nothing)) == KEPT


def test_word_none_removes_a_setting():
    given = {"listen": "none", "arguments": "none", "prometheus": ["none"], "account": "none"}
    assert merge(KEPT, given) == ServiceSettings(name="ekm", version="1")


def test_given_settings_replace_the_kept_ones():
    merged = merge(KEPT, {"listen": ":2", "prometheus": ["10.1.2.4", "10.1.2.5"]})
    assert (merged.listen, merged.prometheus, merged.arguments) == (":2", ("10.1.2.4", "10.1.2.5"), KEPT.arguments)


@pytest.mark.parametrize("account", ["", r"NT SERVICE\ekm", r"nt service\EKM", r"CONTOSO\ekm$"])
def test_account_without_a_password_is_accepted(account):
    assert rules.check_settings(ServiceSettings(name="ekm", account=account)) == ""


@pytest.mark.parametrize(
    "account",
    [
        "LocalSystem",
        r"NT AUTHORITY\NetworkService",
        r"NT SERVICE\other",
        r"CONTOSO\person",
        r".\person",
        "ekm$",
        "ekm@contoso.com",
    ],
)
def test_shared_accounts_and_those_with_a_password_are_refused(account):
    problem = rules.check_settings(ServiceSettings(name="ekm", account=account))
    assert repr(account) in problem
    assert r"NT SERVICE\ekm" in problem


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        *(({"name": "a b"}, "'a b'"), ({"name": "a\\b"}, "hyphens"), ({"name": "all"}, "'all'"), ({"name": "ALL"}, "'ALL'")),
        ({"arguments": '--a "b'}, "quote has no end"),
        ({"prometheus": ("10.1.2.3", "prom")}, "'prom'"),
    ],
)
def test_settings_that_cannot_be_are_refused(changed, named):
    assert named in rules.check_settings(ServiceSettings(**{"name": "ekm", **changed}))


def test_addresses_and_networks_are_accepted():
    assert (
        rules.check_settings(ServiceSettings(name="ekm", prometheus=("10.1.2.3", "10.1.2.0/24", "10.1.2.9/24", "fd00::1"))) == ""
    )


def test_default_account_is_that_of_the_service_alone():
    assert rules.account(ServiceSettings(name="ekm")) == r"NT SERVICE\ekm"
    assert rules.account(KEPT) == r"D\m$"


def test_command_quotes_each_word_with_a_blank():
    command = rules.service_command(PYTHON, ServiceSettings(name="ekm"), BASE)
    assert command == f'"{PYTHON}" -X utf8 -m exporter service run --name ekm --base "{BASE}"'


def test_command_quotes_the_program_always():
    command = rules.service_command(r"C:\ekm\app\python\python.exe", ServiceSettings(name="ekm"), PureWindowsPath(r"C:\ekm"))
    assert command.startswith(r'"C:\ekm\app\python\python.exe" ')
    assert command.endswith(r" --base C:\ekm")


def test_command_has_the_flags_of_run():
    given = ServiceSettings(name="ekm", listen=":1", arguments=r'--web.enable-pages --web.config.file "C:\a b\w.yml"')
    command = rules.service_command(PYTHON, given, BASE)
    assert command.endswith(r' -- --web.listen-address :1 --web.enable-pages --web.config.file "C:\a b\w.yml"')
    assert rules.run_flags(given)[-1] == r"C:\a b\w.yml"


@pytest.mark.parametrize(
    ("changed", "is_same"), [({"prometheus": ()}, True), ({"listen": ":2"}, False), ({"arguments": ""}, False)]
)
def test_flags_are_those_of_listen_address_and_arguments(changed, is_same):
    assert rules.has_same_flags(replace(KEPT, **changed), KEPT) is is_same
    assert not rules.has_same_flags(KEPT, None)


@pytest.mark.parametrize(("address", "port"), [("", 0), (":10377", 10377), ("127.0.0.1:1", 1), ("[::1]:2", 2)])
def test_port_is_the_end_of_the_address(address, port):
    assert rules.port_of(ServiceSettings(name="ekm", address=address)) == port


def test_empty_word_stays_a_word():
    assert rules.split_words('--web.external-url "" x') == ["--web.external-url", "", "x"]
    assert rules.service_command("p", ServiceSettings(name="e", arguments='--a ""'), BASE).endswith(' -- --a ""')


@pytest.mark.parametrize(
    ("base", "is_same"), [(BASE, True), (str(BASE).upper(), True), (rf"{BASE}-1", False), (r"C:\Program Files", False)]
)
def test_command_shows_the_folder_of_its_installation(base, is_same):
    command = rules.service_command(PYTHON, ServiceSettings(name="ekm"), BASE)
    assert rules.is_command_of(command, "EKM", PureWindowsPath(base)) is is_same
    assert not rules.is_command_of(command, "other", PureWindowsPath(base))


def words_of_windows(line):
    """Split a command line as Windows does: before a quote, two backslashes are one, and an odd one makes the quote a character."""
    found, word, is_quoted, mark = [], "", False, "\0"
    for backslashes, character in re.findall(r"(\\*)([^\\])", line + " "):
        word += backslashes[: len(backslashes) // 2] if character == '"' else backslashes
        if character == '"' and len(backslashes) % 2 == 0:
            word, is_quoted = word + mark, not is_quoted  # the mark keeps an empty word
        elif character == " " and not is_quoted:
            found, word = [*found, word] if word else found, ""
        else:
            word += character
    return [one.replace(mark, "") for one in found]


@pytest.mark.parametrize("arguments", ['--web.config.file "C:\\my conf\\" --log.level debug', r"--a C:\x\ --b", '--a "" --b', ""])
def test_command_is_read_back_by_windows_word_for_word(arguments):
    given = ServiceSettings(name="ekm", listen=":1", arguments=arguments)
    words = words_of_windows(rules.service_command(PYTHON, given, BASE))
    flags = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', arguments)]
    assert words[0] == PYTHON
    assert words[words.index("--base") + 1 :] == [str(BASE), "--", "--web.listen-address", ":1", *flags]


def test_folder_of_the_program_is_above_app():
    assert rules.folder_of_program(PureWindowsPath(PYTHON)) == BASE
    assert rules.folder_of_program(PureWindowsPath(r"C:\ekm\App\Python\python.exe")) == PureWindowsPath(r"C:\ekm")
    assert rules.folder_of_program(PureWindowsPath(r"C:\venv\Scripts\python.exe")) is None
    assert rules.is_program_of(PureWindowsPath(PYTHON.upper()), BASE)
    assert not rules.is_program_of(PureWindowsPath(PYTHON), BASE / "other")


@pytest.mark.parametrize("name", ["ekm-credential", "sql_prod.txt", "_a", "console", "com10", "nullable"])
def test_plain_name_of_a_secret_is_accepted(name):
    assert rules.check_secret_name(name) == ""


@pytest.mark.parametrize(
    "name", ["", "a/b", r"a\b", "..", ".a", "a.", "a b", "C:a", "a:b", "con", "NUL", "nul.txt", "com1", "a" * 101]
)
def test_other_names_of_a_secret_are_refused(name):
    assert repr(name) in rules.check_secret_name(name)
