"""The checks of a SQL Server host, by facts of a Windows host."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from exporter.doctor.host_rules import ConnectorFile, TlsSettings, Unreadable
from exporter.doctor.run import as_data, as_text, assess_all
from exporter.knowledge.checks import CHECKS
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.windows.rules import SYSTEM, WindowsResponse
from tests.support.doctor_simulated import VAULT
from tests.support.windows_facts import ACCOUNT, DLL, a_key, event_xml, full, host_facts
from tests.unit.doctor.test_check_sql import a_reading
from tests.unit.doctor.test_checks import evidence, vault_at

PASS, WARN, FAIL, UNKNOWN = CheckOutcome.PASS, CheckOutcome.WARN, CheckOutcome.FAIL, CheckOutcome.UNKNOWN
ON_HOST = [check.name for check in CHECKS if check.on_host]
IN_SQL_SERVER = {"ekm_enabled", "sql_credential"}
TODAY = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


def results(host, **changes):
    given = {"now": TODAY, "vault": vault_at()} | changes
    found = assess_all(evidence(host=host, **given), again="again")
    return {result.check: result for result in found}


def test_healthy_host_passes_every_check_that_windows_shows():
    found = results(host_facts())
    assert {name: found[name].outcome for name in ON_HOST} == {
        name: UNKNOWN if name in IN_SQL_SERVER else PASS for name in ON_HOST
    }
    assert {found[name].detail for name in IN_SQL_SERVER} == {"visible only in SQL Server"}
    assert found["clock"].detail.endswith("; Windows Time is running: the domain is its source")


def test_without_a_look_up_the_host_is_unknown():
    found = results(None)
    assert {found[name].outcome for name in ON_HOST} == {UNKNOWN}
    assert {found[name].detail for name in ON_HOST} == {"visible only on the SQL Server host"}
    assert "Windows Time" not in found["clock"].detail


def test_host_without_sql_server_keeps_the_commands():
    here, elsewhere = results(host_facts(instances=())), results(None)
    assert {(found.outcome, found.detail) for name, found in here.items() if name in ON_HOST} == {
        (UNKNOWN, "no SQL Server on this host")
    }
    assert [here[name].fix for name in ON_HOST] == [elsewhere[name].fix for name in ON_HOST]


def test_unreadable_instances_are_named_with_the_commands():
    found = results(host_facts(instances=Unreadable(denied=True)))
    assert {found[name].detail for name in ON_HOST} == {"the instances of SQL Server: cannot be read: run elevated"}
    assert all(found[name].fix for name in ON_HOST)


@pytest.mark.parametrize(
    ("fact", "check"),
    [
        ("files", "connector_version"),
        ("runtimes", "vc_runtime"),
        ("key", "registry_rights"),
        ("cluster_node", "cluster_checkpoint"),
        ("tls", "windows_tls"),
        ("response", "windows_tls"),
        ("proxies", "service_proxy"),
        ("events", "event_log"),
    ],
)
def test_unreadable_fact_leaves_only_its_check_unknown(fact, check):
    healthy, found = results(host_facts()), results(host_facts(**{fact: Unreadable(denied=True)}))
    assert {name for name in found if found[name].outcome is not healthy[name].outcome} == {check}
    assert found[check].outcome is UNKNOWN
    assert "cannot be read: run elevated" in found[check].detail
    assert found[check].fix


def test_reading_of_sql_server_joins_the_file():
    found = results(host_facts(instances=()), sql_servers=(a_reading(),))
    assert found["connector_version"].outcome is PASS
    joined = results(host_facts(), sql_servers=(a_reading(),))
    assert joined["connector_version"].detail.startswith(f"15.0.2000.440 at {DLL}; loaded: ")
    assert joined["ekm_enabled"].outcome is PASS


def test_missing_dll_has_an_effect_and_no_code():
    found = results(host_facts(files=(ConnectorFile(path=DLL, version=None, of_sql_server=True),)))
    assert (found["connector_version"].outcome, found["connector_version"].code) == (FAIL, None)
    text = " ".join(as_text(evidence().target, [found["connector_version"]]).split())
    assert "At its next start, SQL Server loads no provider" in text


def test_lost_right_warns_of_a_restart():
    found = results(host_facts(key=a_key(full(SYSTEM))))["registry_rights"]
    assert (found.outcome, found.code) == (FAIL, 2058)
    assert f"{ACCOUNT} (MSSQLSERVER, running) lacks Full Control" in found.detail
    assert "do not restart" in as_text(evidence().target, [found])


@pytest.mark.parametrize(
    ("response", "outcome", "code", "text"),
    [
        (WindowsResponse(200), PASS, None, r"HTTP 200 as CONTOSO\dba"),
        (WindowsResponse(407), WARN, 3012, "requires a sign-in (HTTP 407)"),
        (WindowsResponse(None, 12045), FAIL, 3008, r"Windows error 12045 as CONTOSO\dba: the certificate"),
        (WindowsResponse(None, 12175), FAIL, 3008, "Windows error 12175"),
        (WindowsResponse(None, 12057), WARN, 3008, "could not check whether the certificate of the server is revoked"),
        (WindowsResponse(None, 12007), WARN, 3900, "the host name did not resolve"),
        (WindowsResponse(None, 12999), WARN, None, "its text is not in this table"),
        (WindowsResponse(None), WARN, None, "Windows error 0 as"),
        (None, PASS, None, "connect_to of the module redirects the vault"),
    ],
)
def test_request_of_windows_has_its_error_and_code(response, outcome, code, text):
    found = results(host_facts(response=response))["windows_tls"]
    assert (found.outcome, found.code) == (outcome, code)
    assert text in found.detail
    assert bool(found.fix) is (outcome is not PASS)


def test_disabled_tls_fails_although_the_request_succeeds():
    found = results(host_facts(tls=TlsSettings(enabled=0)))["windows_tls"]
    assert (found.outcome, found.code) == (FAIL, 3008)
    assert found.detail.startswith("TLS 1.2 is disabled for clients; Windows trusts")


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [({}, PASS), ({"proxy": "http://user@p.example:3128"}, WARN), ({"proxy": "http://p:1", "redirected": "127.0.0.1:1"}, PASS)],
)
def test_proxy_of_the_account_is_compared_with_that_of_the_probe(changes, outcome):
    found = results(host_facts(), vault=replace(vault_at(), **changes))["service_proxy"]
    assert found.outcome is outcome
    assert "user@" not in found.detail


def test_recent_event_warns_with_its_code_and_count():
    events = (event_xml("error 3303"), event_xml("error 3303", at="2026-11-23T08:00:00Z"), event_xml("started"))
    found = results(host_facts(events=events))["event_log"]
    assert found.outcome is WARN
    assert found.detail == "3303: 2 times, last 2026-11-24 10:02 UTC"
    assert found.fix[:2] == ("More about it:", "  ekm-exporter explain 3303")
    assert any("Get-WinEvent" in line for line in found.fix)


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ((), "no event of the connector"),
        ((event_xml("started"), "no XML"), "no error among the connector's last events: 1"),
        ((event_xml("error 3303", at="2026-11-01T08:00:00Z"),), "3303: once, last 2026-11-01 08:00 UTC"),
        ((event_xml("error 3303", at="?"),), "3303: once, last at an unknown time"),
        ((event_xml("Cannot find key with thumbprint in registry.", at="2026-11-01T08:00:00Z"),), "The registry has no entry"),
    ],
)
def test_old_or_missing_events_pass(events, text):
    found = results(host_facts(events=events))["event_log"]
    assert found.outcome is PASS
    assert text in found.detail


def test_report_of_a_host_keeps_its_columns_and_fields():
    found = list(results(host_facts(key=a_key(full(SYSTEM)))).values())
    for line in as_text(evidence().target, found).splitlines():
        assert len(line) <= 80 or line.startswith(" " * 10), line
    data = as_data(evidence().target, found)
    assert set(data["checks"][0]) == {"check", "outcome", "code", "detail", "fix", "title"}
    assert VAULT in data["vault"]
