"""The receiver of each alert, by the real tools; and that the example holds no secret."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.patience import PROGRAM_SECONDS
from tests.system.alerts.alertmanager.rendering import EXAMPLE, SECRETS

RULES = EXAMPLE.with_name("ekm.rules.yml")
SQL_RULES = EXAMPLE.parents[1] / "alerts/ekm-sql.rules.yml"

# Labels and the receiver to which they lead.
TABLE = [
    ("alertname=EkmForbiddenSpike severity=critical team=dba env=prod", "page-dba"),
    ("alertname=EkmForbiddenSpike severity=critical team=dba", "page-dba"),
    ("alertname=EkmForbiddenSpike severity=critical team=payments env=prod", "page-platform"),
    ("alertname=EkmForbiddenSpike severity=critical", "page-platform"),
    ("alertname=EkmForbiddenSpike severity=critical team=dba env=test", "ticket-dba"),
    ("alertname=EkmForbiddenSpike severity=critical team=payments env=dev", "ticket-dba"),
    ("alertname=EkmCredentialRefused severity=critical team=dba env=prod scope=credential", "page-dba"),
    ("alertname=EkmEntraUnavailable severity=critical scope=exporter", "page-platform"),
    ("alertname=EkmExporterDown severity=critical scope=exporter", "page-platform"),
    ("alertname=EkmSqlDatabaseNotOpened severity=critical", "page-dba"),
    ("alertname=EkmSqlDatabaseNotOpened severity=critical team=payments", "page-platform"),
    ("alertname=EkmSqlBackupsFail severity=critical env=prod", "page-dba"),
    ("alertname=EkmSqlLogFillsUp severity=critical team=payments env=prod", "page-platform"),
    ("alertname=EkmSqlLogFillsUp severity=critical env=test", "ticket-dba"),
    ("alertname=EkmSqlConfigurationDiffers severity=warning", "ticket-dba"),
    ("alertname=EkmSqlNotRead severity=warning team=dba", "ticket-dba"),
    ("alertname=EkmKeyStateInvalid severity=warning team=dba env=prod", "ticket-dba"),
    ("alertname=EkmKeyStateInvalid severity=warning team=payments", "mail-platform"),
    ("alertname=EkmExporterMisconfigured severity=warning", "mail-platform"),
    ("alertname=EkmCredentialExpires severity=warning team=dba", "ticket-dba"),
    ("alertname=EkmFuture severity=info team=dba", "blackhole"),
    ("alertname=EkmWatchdog severity=info", "dead-mans-switch"),
    ("alertname=EkmForbiddenSpike severity=urgent team=dba", "mail-platform"),
    ("alertname=SomethingElse", "default"),
    ("alertname=SomethingElse severity=critical team=dba", "default"),
]


def run_tool(program: str | Path, *arguments: str | Path) -> str:
    """Return the output of a tool. The test fails if the tool fails."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS)  # noqa: S603 - commands of this file
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def configuration() -> dict:
    return yaml.safe_load(EXAMPLE.read_text())


@pytest.mark.real
def test_amtool_accepts_the_example_with_its_template():
    text = run_tool("amtool", "check-config", EXAMPLE)
    assert " - 1 templates" in text
    assert "SUCCESS" in text


@pytest.mark.real
@pytest.mark.parametrize(("labels", "receiver"), TABLE)
def test_alert_goes_to_its_receiver(labels, receiver):
    arguments = [f"--config.file={EXAMPLE}", f"--verify.receivers={receiver}", *labels.split()]
    assert receiver in run_tool("amtool", "config", "routes", "test", *arguments)


def test_table_reaches_every_receiver():
    assert {receiver for _, receiver in TABLE} == {receiver["name"] for receiver in configuration()["receivers"]}


def test_amlint_finds_no_unused_route_or_unknown_name():
    amlint = Path(sys.executable).with_name("amlint")
    run_tool(amlint, "check", "--strict", "--rules", RULES, "--rules", SQL_RULES, EXAMPLE)


def settings(node) -> list[tuple[str, object]]:
    if isinstance(node, list):
        return [found for each in node for found in settings(each)]
    if isinstance(node, dict):
        return [*node.items(), *(found for each in node.values() for found in settings(each))]
    return []


def test_secrets_come_only_from_files():
    secrets = [(key, value) for key, value in settings(configuration()) if key.endswith("_file")]
    assert {key for key, _ in secrets} == {"routing_key_file", "url_file", "smtp_auth_password_file"}
    assert all(str(value).startswith(SECRETS) for _, value in secrets)
    inline = {"routing_key", "service_key", "url", "smtp_auth_password", "auth_password", "credentials", "password", "api_key"}
    assert inline.isdisjoint(key for key, _ in settings(configuration()))
    listed = {f"secrets/{str(value).removeprefix(SECRETS)}" for _, value in secrets}
    assert [name for name in listed if name not in EXAMPLE.read_text().partition("\nglobal:")[0]] == []


def test_page_waits_for_two_evaluations():
    pages = [group for group in yaml.safe_load(RULES.read_text())["groups"] if "page" in group["name"]]
    assert pages
    assert {group["interval"] for group in pages} == {"15s"}
    [route] = configuration()["route"]["routes"]
    assert route["group_wait"] == "30s"


def test_alertmanager_inhibits_nothing():
    """An alert that ends while it is inhibited is never sent as resolved, and then its next incident is not sent."""
    assert "inhibit_rules" not in configuration()
