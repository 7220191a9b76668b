"""The command `script` prints each shipped script as it is, and lists them."""

import re

import pytest

from docs.generators import site
from exporter.cli.main import main
from exporter.presentation.documentation import Documentation
from exporter.sqlserver.script import FOLDER, script_names, summary

FOLDERS = (FOLDER, site.ROOT / "exporter" / "core" / "scripts")
PATHS = {
    path.name: path
    for path in (
        *(each for folder in FOLDERS for each in folder.iterdir()),
        site.ROOT / "deploy" / "windows" / "install-hosts.ps1",
    )
}
NAMES = sorted(PATHS)

pytestmark = pytest.mark.usefixtures("built")


@pytest.mark.parametrize("name", NAMES)
def test_script_has_the_bytes_of_its_file(name, capfdbinary):
    assert main(["script", name]) == 0
    printed = capfdbinary.readouterr()
    assert printed.out == PATHS[name].read_bytes()
    assert printed.err == b""


def test_scripts_are_listed_with_one_line_each(capsys):
    assert main(["script"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "alter-credential.sql",
        "callers.kql",
        "grant-login.ps1",
        "install-hosts.ps1",
        "inventory.ps1",
        "inventory.sql",
        "key-users.kql",
        "login.sql",
        "prove.sql",
        "retire-version.sql",
        "signins.kql",
        "trace-ekm.sql",
        "verify.sql",
    ]
    assert lines[-1] == "verify.sql            Shows whether this node started with the new secret."


@pytest.mark.parametrize("name", NAMES)
def test_first_sentence_of_a_script_is_its_line(name):
    assert re.fullmatch(r"(Installs|Lists|Makes|Prints|Proves|Shows|Writes) [^\n]{20,125}\.", summary(PATHS[name].read_bytes()))


def test_checkout_without_built_documents_has_the_scripts_of_the_package(monkeypatch, capsys):
    monkeypatch.setattr(Documentation, "load", lambda: None)
    assert main(["script"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(script_names())


@pytest.mark.parametrize(("name", "suggested"), [("prove", " (did you mean 'prove.sql'?)"), ("../script.py", ""), ("", "")])
def test_unknown_script_is_bad_usage_with_the_list(name, suggested, capsys):
    assert main(["script", name]) == 2
    printed = capsys.readouterr()
    first, _, rest = printed.err.partition("\n\n")
    assert (printed.out, first) == ("", f"ekm-exporter script: no script {name!r}{suggested}")
    assert [line.split()[0] for line in rest.splitlines()] == NAMES


def test_query_is_filled_with_vault_and_key(capsys):
    assert main(["script", "key-users.kql", "--vault", "contoso-x", "--key", "Key-1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(";")[0] for line in lines if line.startswith("let ")] == [
        'let vault = "contoso-x.vault.azure.net"',
        'let key = "Key-1"',
        "let since = ago(90d)",
    ]


@pytest.mark.parametrize("key", ["k/1", 'k"', "", "k" * 128])
def test_name_that_no_key_has_is_refused(key, capsys):
    with pytest.raises(SystemExit):
        main(["script", "key-users.kql", "--key", key])
    assert "not the name of a key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "flag", "value"),
    [("prove.sql", "vault", "contoso"), ("signins.kql", "vault", "contoso"), ("callers.kql", "key", "K")],
)
def test_flag_that_a_script_cannot_use_is_refused(name, flag, value, capsys):
    assert main(["script", name, f"--{flag}", value]) == 2
    assert capsys.readouterr() == ("", f"ekm-exporter script: {name} has no {flag} to fill in: leave out --{flag}\n")


def test_port_of_a_vault_is_not_part_of_the_query(capsys):
    assert main(["script", "callers.kql", "--vault", "https://vault.corp.example:8443"]) == 0
    assert 'let vault = "vault.corp.example";' in capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_script_is_ascii_with_line_feeds(name):
    text = PATHS[name].read_bytes()
    assert text.isascii()
    assert b"\r" not in text
    assert text.endswith(b"\n")
