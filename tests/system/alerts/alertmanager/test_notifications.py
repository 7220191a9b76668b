"""Messages of a real Alertmanager with the example: to which receiver, with which text, how often."""

import pytest

from tests.system.alerts.alertmanager.labels import ALERTS
from tests.system.alerts.alertmanager.server import words

pytestmark = [pytest.mark.real, pytest.mark.asyncio]

DBA, PLATFORM = "value-of-page-dba", "value-of-page-platform"
OF_DBA = {"team": "dba", "env": "prod"}
VAULTS = [f"vault-{number:02}" for number in range(30)]


def pages(name: str, **labels: str) -> list[dict[str, str]]:
    return [ALERTS[name].sample(target=vault, vault=f"{vault}.vault.azure.net", **OF_DBA, **labels) for vault in VAULTS]


async def test_thirty_vaults_that_fail_alike_are_one_page(alertmanager):
    await alertmanager.post(*pages("EkmForbiddenSpike"))
    await alertmanager.all_sent()
    (page,) = alertmanager.received.arrived
    assert (page.to, page.body["event_action"], page.body["payload"]["severity"]) == (DBA, "trigger", "critical")
    first = "vault-00 (SQLPRD01); vault-01 (SQLPRD01); vault-02 (SQLPRD01); and 27 more"
    assert page.body["payload"]["summary"] == f"30 x EkmForbiddenSpike (prod): Something is wrong. {first}"
    details = page.body["payload"]["custom_details"]
    assert [vault for vault in VAULTS if vault not in details["firing"]] == []
    assert details["firing"].count(" UTC: ") == 10
    assert details["runbook"] == "https://example.com/runbook"
    assert page.body["client_url"] == "https://example.com/d"


async def test_incident_during_and_after_a_common_cause_is_sent(alertmanager):
    """One vault is paged, then its region; the vault's page ends meanwhile. Its next incident pages at once, and each end is sent."""
    vault, region = ALERTS["EkmForbiddenSpike"].sample(target="one", **OF_DBA), ALERTS["EkmRegionDown"].sample()
    for alert, firing, to in ((vault, True, DBA), (region, True, PLATFORM), (vault, False, DBA), (region, False, PLATFORM)):
        count = len(alertmanager.received.at(to))
        await alertmanager.post(alert, firing=firing)
        await alertmanager.received.first(lambda _, to=to, count=count: len(alertmanager.received.at(to)) > count)
    await alertmanager.post(vault)
    await alertmanager.received.first(lambda _: len(alertmanager.received.at(DBA)) == 3)
    for to, events in ((DBA, ["trigger", "resolve", "trigger"]), (PLATFORM, ["trigger", "resolve"])):
        assert [each.body["event_action"] for each in alertmanager.received.at(to)] == events


async def test_page_shows_the_shared_impact_once(alertmanager):
    impact = {"impact": "Do not restart SQL Server."}
    await alertmanager.post(*pages("EkmForbiddenSpike")[:3], annotations=impact)
    page = await alertmanager.received.first(lambda each: each.to == DBA)
    firing = page.body["payload"]["custom_details"]["firing"]
    assert firing.count("Do not restart SQL Server.") == 1
    assert firing.count("SQL Servers that depend on it: SQLPRD01.") == 3


async def test_impact_of_many_alerts_is_a_line_of_its_own(alertmanager):
    await alertmanager.post(*pages("EkmForbiddenSpike"), annotations={"impact": "Do not restart SQL Server."})
    await alertmanager.all_sent()
    (page,) = alertmanager.received.arrived
    assert page.body["payload"]["custom_details"]["firing"].endswith(
        "vault-28, vault-29\nDo not restart SQL Server.\nOn a-instance, ekm-exporter probe TARGET (a name above) --config.file FILE repeats the "
        "probe and shows what words in capitals stand for."
        "\nDatabases at risk, and when the first log is full: http://a-instance/ shows them. "
        "Where the exporter does not read SQL Server: part 4 of ekm-exporter script verify.sql."
    )


async def test_page_has_vault_exporter_and_command(alertmanager):
    await alertmanager.post(pages("EkmForbiddenSpike")[0], ALERTS["EkmCredentialRefused"].sample(**OF_DBA))
    for alert, shown in (
        (
            "EkmForbiddenSpike",
            " Vault: vault-00.vault.azure.net.\n\nOn a-instance, ekm-exporter probe vault-00 --config.file FILE repeats the probe ",
        ),
        (
            "EkmCredentialRefused",
            "\nOn a-instance, ekm-exporter probe TARGET (a name above) --config.file FILE repeats the probe ",
        ),
    ):
        page = await alertmanager.received.first(lambda each, alert=alert: alert in str(each.body))
        assert shown in page.body["payload"]["custom_details"]["firing"]


async def test_placeholders_of_a_page_are_explained_and_its_target_linked(alertmanager):
    impact = {"impact": "Do not restart SQL Server."}
    await alertmanager.post(pages("EkmForbiddenSpike")[0], description="Assign it to OBJECT_ID.", annotations=impact)
    page = await alertmanager.received.first(lambda each: each.to == DBA)
    firing = page.body["payload"]["custom_details"]["firing"]
    assert "\nCLIENT_ID is client_id of the target in FILE. OBJECT_ID: az ad sp show --id CLIENT_ID " in firing
    assert " http://a-instance/targets/vault-00 shows them." in firing


async def test_end_of_a_page_says_what_to_repeat(alertmanager):
    alert = pages("EkmForbiddenSpike")[0]
    await alertmanager.post(alert, annotations={"impact": "Do not restart SQL Server."})
    await alertmanager.received.first(lambda each: each.to == DBA)
    await alertmanager.post(alert, firing=False, annotations={"impact": "Do not restart SQL Server."})
    closed = await alertmanager.received.first(lambda each: each.body.get("event_action") == "resolve")
    details = closed.body["payload"]["custom_details"]
    assert details["resolved"].endswith(" UTC. It is over there: repeat the log backups that failed meanwhile.")
    assert details["firing"].strip() == ""


async def test_page_has_the_first_of_many_sql_servers(alertmanager):
    many = {"sql_servers": ", ".join(f"S{number}" for number in range(12))}
    await alertmanager.post(pages("EkmForbiddenSpike")[0], annotations=many)
    page = await alertmanager.received.first(lambda each: each.to == DBA)
    assert page.body["payload"]["summary"].endswith(" vault-00 (S0, S1, S2 and more)")
    assert (
        "depend on it: S0, S1, S2, S3, S4, S5, S6, S7, S8, S9 and more. Vault" in page.body["payload"]["custom_details"]["firing"]
    )


async def test_ticket_that_ends_during_a_page_is_closed(alertmanager):
    await alertmanager.post(ticket := ALERTS["EkmKeyStateInvalid"].sample(target="one", **OF_DBA))
    await alertmanager.received.first(lambda each: each.to == "ticket-dba")
    await alertmanager.post(ALERTS["EkmForbiddenSpike"].sample(target="one", **OF_DBA), ALERTS["EkmExporterDown"].sample())
    await alertmanager.received.first(lambda each: each.to == DBA)
    await alertmanager.post(ticket, firing=False)
    closed = await alertmanager.received.first(lambda each: each.to == "ticket-dba" and "resolved" in str(each.body))
    assert [alert["labels"]["target"] for alert in closed.alerts] == ["one"]


async def test_watchdog_repeats_and_goes_only_to_the_switch(alertmanager):
    await alertmanager.post(ALERTS["EkmWatchdog"].sample(), ALERTS["EkmExporterDown"].sample())
    await alertmanager.received.first(lambda _: len(alertmanager.received.at("dead-mans-switch")) >= 3)
    assert all(each.names() == {"EkmWatchdog"} for each in alertmanager.received.at("dead-mans-switch"))
    assert {each.to for each in alertmanager.received.arrived} == {"dead-mans-switch", PLATFORM}


async def test_info_alert_is_not_sent(alertmanager):
    await alertmanager.post({"alertname": "EkmFuture", "severity": "info", **OF_DBA})
    await alertmanager.all_sent()
    assert alertmanager.received.arrived == []


async def test_page_is_resolved_when_the_alert_ends(alertmanager):
    await alertmanager.post(alert := ALERTS["EkmThrottledSpike"].sample(target="one", **OF_DBA))
    opened = await alertmanager.received.first(lambda each: each.to == DBA)
    await alertmanager.post(alert, firing=False)
    closed = await alertmanager.received.first(lambda each: each.to == DBA and each.body["event_action"] == "resolve")
    assert closed.body["dedup_key"] == opened.body["dedup_key"]


async def test_ticket_names_the_recovered_targets(alertmanager):
    one, other = (ALERTS["EkmLatencyHigh"].sample(target=name, **OF_DBA) for name in ("one", "other"))
    await alertmanager.post(one, other)
    opened = await alertmanager.received.first(lambda each: each.to == "ticket-dba")
    assert {alert["status"] for alert in opened.alerts} == {"firing"}
    await alertmanager.post(one, firing=False)
    changed = await alertmanager.received.first(lambda each: "resolved" in str(each.body))
    assert {alert["labels"]["target"]: alert["status"] for alert in changed.alerts} == {"one": "resolved", "other": "firing"}
    assert changed.body["groupKey"] == opened.body["groupKey"]


async def test_mail_uses_the_password_file_and_is_readable(alertmanager):
    await alertmanager.post(alert := ALERTS["EkmExporterOverloaded"].sample(instance="exporter-1"), description="It lags by 2 s.")
    opened = await alertmanager.received.first(lambda each: each.to == "platform@example.com")
    assert opened.body["Subject"] == "EkmExporterOverloaded: Something is wrong. exporter-1 (SQLPRD01)"
    assert "UTC: It lags by 2 s." in words(opened.body)
    assert "Runbook:   https://example.com/runbook" in words(opened.body)
    await alertmanager.post(alert, firing=False)
    closed = await alertmanager.received.first(lambda each: "Resolved" in str(each.body))
    assert closed.body["Subject"] == "Resolved: EkmExporterOverloaded: Something is wrong. exporter-1 (SQLPRD01)"
    assert "Resolved: exporter-1 at 20" in words(closed.body)


async def test_alert_that_continues_is_not_sent_again_at_once(alertmanager):
    await alertmanager.post(alert := ALERTS["EkmThrottledSpike"].sample(**OF_DBA))
    await alertmanager.received.first(lambda each: each.to == DBA)
    await alertmanager.post(alert)
    await alertmanager.post(ALERTS["EkmThrottledSpike"].sample(**OF_DBA, target="later"))
    more = await alertmanager.received.first(lambda each: "later" in str(each.body))
    assert alertmanager.received.at(DBA)[1:] == [more]
    assert more.body["payload"]["summary"].startswith("2 x ")


async def test_page_about_sql_server_names_the_database(alertmanager):
    labels = {"alertname": "EkmSqlDatabaseNotOpened", "severity": "critical", "sql_instance": r"SQLPRD01\A", "database": "sales"}
    await alertmanager.post(labels, description="It did not open. First: find messages 33027.")
    page = await alertmanager.received.first(lambda each: each.to == DBA)
    assert page.body["payload"]["summary"].startswith(r"EkmSqlDatabaseNotOpened: Something is wrong. sales on SQLPRD01\A")
    assert "It did not open. First: find messages 33027." in page.body["payload"]["custom_details"]["firing"]
