"""What a real Alertmanager makes of the example: who is told what, how often, and who is not."""

import asyncio

import pytest

from tests.system.alerts.alertmanager.labels import ALERTS
from tests.system.alerts.alertmanager.server import words

pytestmark = [pytest.mark.real, pytest.mark.asyncio]

DBA, PLATFORM = "value-of-page-dba", "value-of-page-platform"
OF_DBA = {"team": "dba", "env": "prod"}
VAULTS = [f"vault-{number:02}" for number in range(30)]


def pages(name: str, **labels: str) -> list[dict[str, str]]:
    return [ALERTS[name].sample(target=vault, vault=f"{vault}.vault.azure.net", **OF_DBA, **labels) for vault in VAULTS]


async def test_thirty_vaults_that_fail_alike_are_one_page_that_names_each(alertmanager):
    await alertmanager.post(*pages("EkmForbiddenSpike"))
    await alertmanager.everything_is_out()
    (page,) = alertmanager.told.arrived
    assert (page.to, page.body["event_action"], page.body["payload"]["severity"]) == (DBA, "trigger", "critical")
    assert page.body["payload"]["summary"] == "30 x EkmForbiddenSpike (prod): Something is wrong."
    details = page.body["payload"]["custom_details"]
    assert [vault for vault in VAULTS if vault not in details["firing"]] == []
    assert details["firing"].count(" UTC: ") == 10
    assert details["runbook"] == "https://example.com/runbook"
    assert page.body["client_url"] == "https://example.com/d"


@pytest.mark.parametrize(
    "cause", ["EkmEntraUnavailable", "EkmEgressDown", "EkmRegionDown", "EkmExporterDown", "EkmEveryProbeStale"]
)
async def test_thirty_vaults_with_a_common_cause_are_one_page_that_names_the_cause(alertmanager, cause):
    await alertmanager.post(*pages("EkmVaultSideNotReady"), *pages("EkmProbeFails"), ALERTS[cause].sample())
    await alertmanager.everything_is_out()
    (page,) = alertmanager.told.arrived
    assert page.to == PLATFORM
    assert page.body["payload"]["summary"] == f"{cause}: Something is wrong."


@pytest.mark.parametrize(
    ("cause", "single"),
    [("EkmCredentialRefused", "EkmVaultSideNotReady"), ("EkmCredentialForbidden", "EkmForbiddenSpike")],
)
async def test_thirty_vaults_of_one_credential_are_one_page_that_names_it(alertmanager, cause, single):
    await alertmanager.post(*pages(single), ALERTS[cause].sample(**OF_DBA))
    await alertmanager.everything_is_out()
    (page,) = alertmanager.told.arrived
    assert (page.to, page.body["payload"]["summary"]) == (DBA, f"{cause} (prod): Something is wrong.")


async def test_a_cause_that_is_known_within_the_wait_is_soon_enough(alertmanager):
    await alertmanager.post(*pages("EkmVaultSideNotReady"))
    await alertmanager.post(ALERTS["EkmEntraUnavailable"].sample())
    await alertmanager.everything_is_out()
    assert [page.to for page in alertmanager.told.arrived] == [PLATFORM]


async def test_single_ones_are_told_when_their_cause_is_over_and_they_are_not(alertmanager):
    await alertmanager.post(*pages("EkmVaultSideNotReady"), cause := ALERTS["EkmEntraUnavailable"].sample())
    await alertmanager.told.first(lambda each: each.to == PLATFORM)
    await alertmanager.post(cause, firing=False)
    page = await alertmanager.told.first(lambda each: each.to == DBA)
    assert page.body["payload"]["summary"].startswith("30 x EkmVaultSideNotReady")


async def test_a_ticket_waits_for_the_page_of_its_target_and_not_for_that_of_another(alertmanager):
    await alertmanager.post(
        ALERTS["EkmForbiddenSpike"].sample(target="one", **OF_DBA),
        ALERTS["EkmKeyStateInvalid"].sample(target="one", **OF_DBA),
        ALERTS["EkmKeyStateInvalid"].sample(target="other", **OF_DBA),
    )
    await alertmanager.everything_is_out()
    assert [page.body["payload"]["summary"] for page in alertmanager.told.at(DBA)] == [
        "EkmForbiddenSpike (prod): Something is wrong."
    ]
    (ticket,) = alertmanager.told.at("ticket-dba")
    assert [alert["labels"]["target"] for alert in ticket.alerts] == ["other"]


async def test_the_watchdog_comes_again_and_again_and_to_the_switch_alone(alertmanager):
    await alertmanager.post(ALERTS["EkmWatchdog"].sample(), ALERTS["EkmExporterDown"].sample())
    await alertmanager.told.first(lambda _: len(alertmanager.told.at("dead-mans-switch")) >= 3)
    assert all(each.names() == {"EkmWatchdog"} for each in alertmanager.told.at("dead-mans-switch"))
    assert {each.to for each in alertmanager.told.arrived} == {"dead-mans-switch", PLATFORM}


async def test_info_goes_to_nobody(alertmanager):
    await alertmanager.post(ALERTS["EkmPathChanged"].sample(**OF_DBA), ALERTS["EkmPathChanged"].sample())
    assert [state for _, state in await alertmanager.settled("a-job")] == ["active", "active"]
    await alertmanager.everything_is_out()
    assert alertmanager.told.arrived == []


async def test_a_page_is_taken_back_when_all_is_well(alertmanager):
    await alertmanager.post(alert := ALERTS["EkmThrottledSpike"].sample(target="one", **OF_DBA))
    opened = await alertmanager.told.first(lambda each: each.to == DBA)
    await alertmanager.post(alert, firing=False)
    closed = await alertmanager.told.first(lambda each: each.to == DBA and each.body["event_action"] == "resolve")
    assert closed.body["dedup_key"] == opened.body["dedup_key"]


async def test_a_ticket_says_which_targets_are_well_again(alertmanager):
    one, other = (ALERTS["EkmLatencyHigh"].sample(target=name, **OF_DBA) for name in ("one", "other"))
    await alertmanager.post(one, other)
    opened = await alertmanager.told.first(lambda each: each.to == "ticket-dba")
    assert {alert["status"] for alert in opened.alerts} == {"firing"}
    await alertmanager.post(one, firing=False)
    changed = await alertmanager.told.first(lambda each: "resolved" in str(each.body))
    assert {alert["labels"]["target"]: alert["status"] for alert in changed.alerts} == {"one": "resolved", "other": "firing"}
    assert changed.body["groupKey"] == opened.body["groupKey"]


async def test_a_mail_is_signed_in_with_the_password_of_the_file_and_can_be_read(alertmanager):
    await alertmanager.post(alert := ALERTS["EkmExporterOverloaded"].sample(instance="exporter-1"), description="It lags by 2 s.")
    opened = await alertmanager.told.first(lambda each: each.to == "platform@example.com")
    assert opened.body["Subject"] == "EkmExporterOverloaded: Something is wrong."
    assert "UTC: It lags by 2 s." in words(opened.body)
    assert "Runbook:   https://example.com/runbook" in words(opened.body)
    await alertmanager.post(alert, firing=False)
    closed = await alertmanager.told.first(lambda each: "Resolved" in str(each.body))
    assert closed.body["Subject"] == "Resolved: EkmExporterOverloaded: Something is wrong."
    assert "Resolved: exporter-1 at 20" in words(closed.body)


async def test_what_goes_on_is_not_told_twice_at_once(alertmanager):
    await alertmanager.post(alert := ALERTS["EkmThrottledSpike"].sample(**OF_DBA))
    await alertmanager.told.first(lambda each: each.to == DBA)
    await alertmanager.post(alert)
    await alertmanager.post(ALERTS["EkmThrottledSpike"].sample(**OF_DBA, target="later"))
    async with asyncio.timeout(20):
        more = await alertmanager.told.first(lambda each: "later" in str(each.body))
    assert alertmanager.told.at(DBA)[1:] == [more]
    assert more.body["payload"]["summary"].startswith("2 x ")
