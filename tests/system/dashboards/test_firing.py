"""The tables of firing alerts on Fleet and Vault, in a real Prometheus."""

from __future__ import annotations

import re

import pytest

from tests.system.dashboards.boards import PLACE, by_name
from tests.system.dashboards.recorded_history import MINUTES
from tests.system.dashboards.recorded_rules import ALERTS, WATCHDOG

pytestmark = pytest.mark.real


def alerts(history, board, **chosen):
    found = history.now(by_name(f"{board}: Firing alerts: A").filled(**chosen))
    return {(labels["alertname"], labels.get("instance", "")): value for labels, value in found}


def test_firing_alerts_are_listed_without_the_watchdog(history):
    assert alerts(history, "ekm-fleet") == {
        (alert.name, alert.labels["instance"]): (MINUTES - 1 - alert.since) * 60 for alert in ALERTS if alert is not WATCHDOG
    }


def test_fleet_lists_alerts_of_the_chosen_target_or_of_none(history):
    assert {name for name, _ in alerts(history, "ekm-fleet", target="legal-hold", instance="sqlhost1:10377")} == {
        "EkmKeySoftDeleted", "EkmExporterMisconfigured", "EkmCredentialExpired",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("payroll-runs", {"EkmExporterMisconfigured", "EkmCredentialExpired"}),
        ("legal-hold", {"EkmExporterMisconfigured", "EkmKeySoftDeleted"}),
        ("billing-invoices", {"EkmExporterMisconfigured", "EkmForbiddenSpike"}),
    ],
)
def test_vault_lists_alerts_of_its_target_credential_and_exporter(history, target, names):
    assert {name for name, _ in alerts(history, "ekm-vault", target=target)} == names


def test_recorded_alerts_exist_in_the_rules():
    rules = (PLACE.parent / "alerts" / "ekm.rules.yml").read_text()
    assert {alert.name for alert in ALERTS} <= set(re.findall(r"- alert: (\w+)", rules))
