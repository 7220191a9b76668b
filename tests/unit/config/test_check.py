"""The command `check`, and the page that documents what it checks."""

import re
from pathlib import Path

import pytest
import yaml

from exporter.cli import check
from exporter.cli.main import build_parser
from exporter.config.load import load_config

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
GOOD = "global: {connector_generation: classic}\ncredentials: {c: {type: workload_identity}}\n"
TARGET = "targets: [{name: a, vault: contoso, key: k/1, credential: c}]\n"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    parser = build_parser(["check"])

    def command(text, *flags):
        Path("ekm.yml").write_text(text)
        args = parser.parse_args(["check", "--config.file", "ekm.yml", *flags])
        code = args.handler(args)
        return code, *capsys.readouterr()

    return command


def test_good_configuration_prints_one_line(run):
    assert run(GOOD + TARGET) == (0, "ekm.yml: 1 target, 1 credential: no problem, no warning\n", "")


def test_warnings_do_not_change_the_exit_code(run):
    code, out, err = run(GOOD.replace("identity}}", "identity}, d: {type: default}}") + TARGET)
    assert (code, out) == (0, "ekm.yml: 1 target, 2 credentials: no problem, 1 warning\n")
    assert err == "ekm.yml:2:48: warning: credentials.d: no target uses this credential: remove it, or use it\n"


def test_each_problem_is_a_line_and_the_exit_code_is_two(run):
    code, out, err = run(GOOD + TARGET.replace("key: k/1", "keyy: k/1, interval: 60"))
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "ekm.yml:3:11: targets[0].key: is required, here or in target_defaults",
        "ekm.yml:3:37: targets[0].keyy: unknown key (did you mean 'key'?)",
        "ekm.yml:3:58: targets[0].interval: a duration needs a unit: 60s?",
        "ekm.yml: 3 problems, no warning",
    ]


def test_standard_output_has_only_the_effective_configuration(run):
    code, out, err = run(GOOD + TARGET, "--print-effective")
    assert code == 0
    assert yaml.safe_load(out)["targets"][0]["vault"] == "contoso.vault.azure.net"
    assert err == "ekm.yml: 1 target, 1 credential: no problem, no warning\n"


def test_summary_counts_sql_servers(run, monkeypatch):
    monkeypatch.setenv("EKM_SQL", "correct-horse")
    servers = "sql_servers: [{address: n1, user: ekm, password_env: EKM_SQL}]\n"
    assert run(GOOD + TARGET + servers) == (0, "ekm.yml: 1 target, 1 credential, 1 SQL Server: no problem, no warning\n", "")


def test_cost_is_printed(run):
    code, out, _ = run(GOOD + TARGET, "--cost")
    assert code == 0
    assert re.search(r"^total +1 +190,080 +138,240 +190,080 +43,200$", out, re.MULTILINE)


def test_example_on_the_page_loads(tmp_path):
    [example] = re.findall(r"```yaml\n(global:.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "targets.d").mkdir()
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "sql-prod").write_text("s\n")
    (secrets / "ekm-credential").write_text("0123456789abcdef0123456789abcdefs\n")
    (secrets / "monitor.pem").write_text("not parsed\n")
    (secrets / "sql-login").write_text("s\n")
    (tmp_path / "ekm.yml").write_text(example)
    loaded = load_config(tmp_path / "ekm.yml")
    assert loaded.problems == ()
    assert set(loaded.config.targets) == {"contoso-key0", "contoso-hsm", "contoso-vm"}


def test_messages_on_the_page_are_the_real_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [shown] = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    head = "global: {connector_generation: classic}\n\ncredentials:\n  c: {type: default}\n\ntargets:\n"
    target = "  - name: a\n    vault: contoso\n    keyy: k/1\n    interval: 60\n    key: k/1\n    credential: c\n"
    Path("ekm.yml").write_text(head + target)
    loaded = load_config(Path("ekm.yml"))
    assert shown.splitlines()[1:] == [*map(str, loaded.problems), check.summary(Path("ekm.yml"), loaded)]
