"""Messages of a real Alertmanager with the example: to which receiver, with which text, how often."""

import pytest
import yaml

from alerts.build import RULES
from tests.system.alerts.alertmanager.server import words

pytestmark = [pytest.mark.real, pytest.mark.asyncio]

DBA, PLATFORM = "value-of-page-dba", "value-of-page-platform"
OF_DBA = {"team": "dba", "env": "prod"}
VAULTS = [f"vault-{number:02}" for number in range(30)]
RULE_LABELS = {
    rule["alert"]: rule["labels"]
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def sample(name: str, **subject: str) -> dict[str, str]:
    """Return the labels of an alert of one exporter."""
    return {"alertname": name, **RULE_LABELS[name], "job": "ekm", "instance": "a-instance", **subject}


def pages(name: str, **labels: str) -> list[dict[str, str]]:
    return [sample(name, target=vault, vault=f"{vault}.vault.azure.net", **OF_DBA, **labels) for vault in VAULTS]


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
    vault, region = sample("EkmForbiddenSpike", target="one", **OF_DBA), sample("EkmRegionDown")
    for alert, firing, to in ((vault, True, DBA), (region, True, PLATFORM), (vault, False, DBA), (region, False, PLATFORM)):
        count = len(alertmanager.received.at(to))
        await alertmanager.post(alert, firing=firing)
        await alertmanager.received.first(lambda _, to=to, count=count: len(alertmanager.received.at(to)) > count)
    await alertmanager.post(vault)
    await alertmanager.received.first(lambda _: len(alertmanager.received.at(DBA)) == 3)
    for to, events in ((DBA, ["trigger", "resolve", "trigger"]), (PLATFORM, ["trigger", "resolve"])):
        assert [each.body["event_action"] for each in alertmanager.received.at(to)] == events


IMPACT = "Do not restart SQL Server."
OPENED = {"alertname": "EkmSqlDatabaseNotOpened", "severity": "critical", "sql_instance": r"SQLPRD01\A", "database": "sales"}
REPEATS = "\nOn a-instance, ekm-exporter probe {} --config.file FILE repeats the probe "
# The alerts, their texts, and how often the page has each of these pieces.
SHOWN = {
    "the impact that its alerts share, once": (
        pages("EkmForbiddenSpike")[:3],
        {"annotations": {"impact": IMPACT}},
        {IMPACT: 1, "SQL Servers that depend on it: SQLPRD01.": 3},
    ),
    "the impact of many alerts as a line of its own": (
        pages("EkmForbiddenSpike"),
        {"annotations": {"impact": IMPACT}},
        {
            f"vault-28, vault-29\n{IMPACT}{REPEATS.format('TARGET (a name above)')}and shows what words in capitals stand for."
            "\nDatabases at risk, and when the first log is full: http://a-instance/ shows them. "
            "Where the exporter does not read SQL Server: part 4 of ekm-exporter script verify.sql.": 1
        },
    ),
    "vault, exporter and command": (
        pages("EkmForbiddenSpike")[:1],
        {},
        {f" Vault: vault-00.vault.azure.net.\n{REPEATS.format('vault-00')}": 1},
    ),
    "the command without a target": (
        [sample("EkmCredentialRefused", credential="sql", **OF_DBA)],
        {},
        {REPEATS.format("TARGET (a name above)"): 1},
    ),
    "what placeholders stand for, and a link to the target": (
        pages("EkmForbiddenSpike")[:1],
        {"annotations": {"impact": IMPACT}, "description": "Assign it to OBJECT_ID."},
        {
            "\nCLIENT_ID is client_id of the target in FILE. OBJECT_ID: az ad sp show --id CLIENT_ID ": 1,
            " http://a-instance/targets/vault-00 shows them.": 1,
        },
    ),
    "the first of many SQL Servers": (
        pages("EkmForbiddenSpike")[:1],
        {"annotations": {"sql_servers": ", ".join(f"S{number}" for number in range(12))}},
        {" vault-00 (S0, S1, S2 and more)\n": 1, "depend on it: S0, S1, S2, S3, S4, S5, S6, S7, S8, S9 and more. Vault": 1},
    ),
    "the database of a SQL Server": (
        [OPENED],
        {"description": "It did not open. First: find messages 33027."},
        {
            r"EkmSqlDatabaseNotOpened: Something is wrong. sales on SQLPRD01\A": 1,
            "It did not open. First: find messages 33027.": 1,
        },
    ),
}


@pytest.mark.parametrize("what", SHOWN)
async def test_page_shows(alertmanager, what):
    alerts, texts, pieces = SHOWN[what]
    await alertmanager.post(*alerts, **texts)
    page = (await alertmanager.received.first(lambda each: each.to == DBA)).body["payload"]
    shown = f"{page['summary']}\n{page['custom_details']['firing']}"
    assert {piece: shown.count(piece) for piece in pieces} == pieces, shown


async def test_end_of_a_page_says_what_to_repeat(alertmanager):
    alert = pages("EkmForbiddenSpike")[0]
    await alertmanager.post(alert, annotations={"impact": IMPACT})
    opened = await alertmanager.received.first(lambda each: each.to == DBA)
    await alertmanager.post(alert, firing=False, annotations={"impact": IMPACT})
    closed = await alertmanager.received.first(lambda each: each.body.get("event_action") == "resolve")
    assert closed.body["dedup_key"] == opened.body["dedup_key"]
    details = closed.body["payload"]["custom_details"]
    assert details["resolved"].endswith(" UTC. It is over there: repeat the log backups that failed meanwhile.")
    assert details["firing"].strip() == ""


async def test_ticket_that_ends_during_a_page_is_closed(alertmanager):
    await alertmanager.post(ticket := sample("EkmKeyStateInvalid", target="one", **OF_DBA))
    await alertmanager.received.first(lambda each: each.to == "ticket-dba")
    await alertmanager.post(sample("EkmForbiddenSpike", target="one", **OF_DBA), sample("EkmExporterDown"))
    await alertmanager.received.first(lambda each: each.to == DBA)
    await alertmanager.post(ticket, firing=False)
    closed = await alertmanager.received.first(lambda each: each.to == "ticket-dba" and "resolved" in str(each.body))
    assert [alert["labels"]["target"] for alert in closed.alerts] == ["one"]


async def test_watchdog_repeats_and_goes_only_to_the_switch(alertmanager):
    await alertmanager.post(sample("EkmWatchdog"), sample("EkmExporterDown"))
    await alertmanager.received.first(lambda _: len(alertmanager.received.at("dead-mans-switch")) >= 3)
    assert all(each.names() == {"EkmWatchdog"} for each in alertmanager.received.at("dead-mans-switch"))
    assert {each.to for each in alertmanager.received.arrived} == {"dead-mans-switch", PLATFORM}


async def test_info_alert_is_not_sent(alertmanager):
    await alertmanager.post({"alertname": "EkmFuture", "severity": "info", **OF_DBA})
    await alertmanager.all_sent()
    assert alertmanager.received.arrived == []


async def test_ticket_names_the_recovered_targets(alertmanager):
    one, other = (sample("EkmLatencyHigh", target=name, **OF_DBA) for name in ("one", "other"))
    await alertmanager.post(one, other)
    opened = await alertmanager.received.first(lambda each: each.to == "ticket-dba")
    assert {alert["status"] for alert in opened.alerts} == {"firing"}
    await alertmanager.post(one, firing=False)
    changed = await alertmanager.received.first(lambda each: "resolved" in str(each.body))
    assert {alert["labels"]["target"]: alert["status"] for alert in changed.alerts} == {"one": "resolved", "other": "firing"}
    assert changed.body["groupKey"] == opened.body["groupKey"]


async def test_mail_uses_the_password_file_and_is_readable(alertmanager):
    await alertmanager.post(alert := sample("EkmExporterOverloaded", instance="exporter-1"), description="It lags by 2 s.")
    opened = await alertmanager.received.first(lambda each: each.to == "platform@example.com")
    assert opened.body["Subject"] == "EkmExporterOverloaded: Something is wrong. exporter-1 (SQLPRD01)"
    assert "UTC: It lags by 2 s." in words(opened.body)
    assert "Runbook:   https://example.com/runbook" in words(opened.body)
    await alertmanager.post(alert, firing=False)
    closed = await alertmanager.received.first(lambda each: "Resolved" in str(each.body))
    assert closed.body["Subject"] == "Resolved: EkmExporterOverloaded: Something is wrong. exporter-1 (SQLPRD01)"
    assert "Resolved: exporter-1 at 20" in words(closed.body)


async def test_alert_that_continues_is_not_sent_again_at_once(alertmanager):
    await alertmanager.post(alert := sample("EkmThrottledSpike", **OF_DBA))
    await alertmanager.received.first(lambda each: each.to == DBA)
    await alertmanager.post(alert)
    await alertmanager.post(sample("EkmThrottledSpike", **OF_DBA, target="later"))
    more = await alertmanager.received.first(lambda each: "later" in str(each.body))
    assert alertmanager.received.at(DBA)[1:] == [more]
    assert more.body["payload"]["summary"].startswith("2 x ")
