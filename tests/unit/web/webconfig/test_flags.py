"""`--web.config.file` on the command line: checked before anything starts."""

import pytest

from exporter.cli.main import main

CONFIG = """\
global: {connector_generation: classic}
credentials: {vm: {type: managed_identity}}
targets: [{name: a, vault: contoso, key: Key/0123456789abcdef0123456789abcdef, credential: vm}]
"""
GOOD = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"


def arguments(folder, command, text):
    return [command, "--config.file", str(folder.write(CONFIG, "ekm.yml")), "--web.config.file", str(folder.write(text))]


def test_check_command_reads_the_web_configuration(folder, capsys):
    assert main(arguments(folder, "check", GOOD)) == 0
    assert main(arguments(folder, "check", "tls_server_config: {cert: 1}\nbasic: {}\n")) == 2
    printed = capsys.readouterr().err
    assert "web.yml:2:1: basic: unknown key" in printed
    assert "web.yml: 3 problems, no warning" in printed


@pytest.mark.parametrize("more", [[], ["--config.check"]])
def test_run_does_not_start_with_an_invalid_web_configuration(folder, capsys, more):
    assert main([*arguments(folder, "run", "basic_auth_users: {alice: MARKED-password}"), *more]) == 2
    printed = capsys.readouterr().err
    assert "web.yml:1:27: basic_auth_users.alice: expected the bcrypt hash" in printed
    assert "MARKED" not in printed


def test_run_does_not_start_without_the_file(folder, capsys):
    missing = ["run", "--config.file", str(folder.write(CONFIG, "ekm.yml")), "--web.config.file", str(folder.path / "gone.yml")]
    assert main(missing) == 2
    assert "gone.yml:1:1: no such file" in capsys.readouterr().err
