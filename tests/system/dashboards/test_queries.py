"""Every query of every dashboard in a real Prometheus, with two hours of a good day and two hours of a bad one."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from dashboards import coverage, frame, promql, sql_servers
from exporter.core.values import Step
from exporter.knowledge.reasons import Reason
from tests.system.dashboards.boards import by_name, queries, variables
from tests.system.dashboards.recorded_history import FLEET, HEALTHY_ENDS, TROUBLED_ENDS

pytestmark = pytest.mark.real

QUERIES = list(queries())
VARIABLES = list(variables())
# Queries without a result on a good day.
EMPTY_WHEN_HEALTHY: frozenset[str] = frozenset(
    {
        "ekm-expiry: Credentials without an expiry date: A",
        "ekm-expiry: Keys with a newer version: A",
        "ekm-exporter: Skipped probes: A",
        "ekm-exporter: Discarded results: A",
        "ekm-fleet: Every target, worst first: B",  # the column of codes
        "ekm-fleet: Failures by code: A",
        "ekm-fleet: Firing alerts: A",
        "ekm-fleet: Firing alerts: annotation",
        "ekm-fleet: SQL Server itself: closed databases, failing backups, full logs: A",
        "ekm-fleet: These SQL Servers cannot get their key: backups fail, and databases stay closed at a restart: A",
        "ekm-service-level: Burn rate over 2h, worst targets: A",
        "ekm-service-level: Time not ready, by vantage: A",
        "ekm-vault: Retry-After: A",
        "ekm-vault: Codes of the probe and of SQL Server: A",
        "ekm-vault: Codes of the probe and of SQL Server: B",
        "ekm-vault: Codes of the probe and of SQL Server: C",
        "ekm-vault: Errors by code: A",
        "ekm-vault: Errors in the chosen time range: A",
        "ekm-vault: Firing alerts: A",
        "ekm-vault: Firing alerts: annotation",
        "ekm-vault: Network path changed: annotation",
        "ekm-vault: Network path changes: A",
        "ekm-vault: Throttled responses: A",
        "ekm-vault: What is wrong now, and what to do: A",
    }
)


def chosen(history, board: str) -> dict[str, str]:
    """Return the initial values of a dashboard's variables: all, or the first target if only one can be chosen."""
    if board != frame.VAULT:
        return {}
    target = next(variable for variable in VARIABLES if (variable.board, variable.name) == (board, "target"))
    return {"target": history.values_of(target, HEALTHY_ENDS)[0]}


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_query_has_a_result_on_a_good_day_unless_of_failures(history, query):
    results = history.answers(query, HEALTHY_ENDS, **chosen(history, query.board))
    assert bool(results) is (str(query) not in EMPTY_WHEN_HEALTHY)


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_query_has_a_result_on_a_bad_day(history, query):
    targets = [one.name for one in FLEET] if query.board == frame.VAULT else [".+"]
    assert any(history.answers(query, TROUBLED_ENDS, target=target) for target in targets)


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: f"{variable.board}: {variable.name}")
def test_variable_has_values(history, variable):
    assert history.values_of(variable, HEALTHY_ENDS)


@pytest.mark.parametrize("query", [query for query in QUERIES if query.unique], ids=str)
def test_joined_rows_are_unique_with_two_exporters(history, query):
    rows = Counter(labels.get(query.unique) for labels, _ in history.now(query.filled()))
    assert {name: count for name, count in rows.items() if count > 1} == {}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("ekm-fleet: Exporters down: A", 1),
        ("ekm-exporter: Exporters up: A", 2),
        ("ekm-exporter: Exporters down: A", 1),
        ("ekm-exporter: Reload failed: A", 2),
        ("ekm-exporter: Starting: A", 0),
    ],
)
def test_only_exporters_are_counted(history, name, number):
    assert history.now(by_name(name).filled()) == [({}, number)]


@pytest.mark.parametrize(
    "query", [each for each in QUERIES if promql.FOREIGN & set(re.findall(r"\w+", each.expression))], ids=str
)
def test_no_panel_shows_another_program(history, query):
    found = history.answers(query, TROUBLED_ENDS)
    assert {labels.get("instance", "") for labels, _ in found} <= {"", "sqlhost1:10377", "central:10377", "sqlhost9:10377"}


def state(history, at):
    found = history.now(by_name("ekm-fleet: Every target, worst first: A").filled(), at)
    return {labels["target"]: value for labels, value in found}


def test_every_target_has_a_state_unknown_without_a_verdict(history):
    not_ready = {"payroll-runs", "billing-invoices", "warehouse-stock", "legal-hold"}
    expected = {one.name: promql.NOT_READY if one.name in not_ready else promql.READY for one in FLEET}
    assert state(history, TROUBLED_ENDS) == expected | {"hr-people": promql.UNKNOWN}


def test_targets_without_new_data_are_listed_as_unknown(history):
    assert state(history, TROUBLED_ENDS + 20 * 60) == dict.fromkeys((one.name for one in FLEET), promql.UNKNOWN)
    assert state(history, TROUBLED_ENDS + 70 * 60) == {}


NUMBERS = [query for query in QUERIES if re.search(r"\bor 0 \* count\(", query.expression)]


def test_number_without_data_is_not_zero(history):
    """Without data, zero in danger would seem healthy."""
    assert len(NUMBERS) >= 10
    assert [query.panel for query in QUERIES if "vector(0)" in query.expression] == ["Exporters up"]
    for query in NUMBERS:
        assert history.now(query.filled(), TROUBLED_ENDS) != [], str(query)
        assert history.now(query.filled(), TROUBLED_ENDS + 4 * 3600) == [], str(query)


@pytest.mark.parametrize(("title", "number"), [("SQL Servers in danger", 5), ("No server declared", 1), ("Not ready", 4)])
def test_zero_in_danger_needs_a_verdict(history, title, number):
    query = by_name(f"ekm-fleet: {title}: A")
    assert history.now(query.filled(), HEALTHY_ENDS) == [({}, 0)]
    assert history.now(query.filled(), TROUBLED_ENDS) == [({}, number)]
    assert history.now(query.filled(), TROUBLED_ENDS + 20 * 60) == []
    assert history.now(by_name("ekm-fleet: Unknown: A").filled(), TROUBLED_ENDS + 20 * 60) == [({}, len(FLEET))]


DANGER = "ekm-fleet: These SQL Servers cannot get their key: backups fail, and databases stay closed at a restart: A"


def test_sql_servers_in_danger_have_code_reason_and_runbook(history):
    query = by_name(DANGER)
    found = history.now(query.filled())
    named = {
        (labels["sql_instance"], labels.get("host"), labels["target"], labels["code"], labels["runbook"]) for labels, _ in found
    }
    assert named == {
        ("SQLPAY01", "n1", "payroll-runs", "3303", "EkmCredentialExpired"),
        ("SQLPAY01", "n2", "payroll-runs", "3303", "EkmCredentialExpired"),
        ("SQLBIL01", "b1", "billing-invoices", "3077", "EkmForbiddenSpike"),
        ("SQLBIL02", "b2", "billing-invoices", "3077", "EkmForbiddenSpike"),
        ("SQLWHS01", "w1", "warehouse-stock", "3011", "EkmThrottledSpike"),
        ("none declared", None, "legal-hold", "3076", "EkmKeySoftDeleted"),
    }
    assert all(labels["reason"] and labels["meaning"] and labels["action"] for labels, _ in found)
    assert {labels["target"]: value for labels, value in found}["payroll-runs"] == 37 * 60


# Target, vantage, code and reason of each exporter with the verdict not ready. If both have it, the one on the SQL Server host.
SEEN_FROM_THE_HOST = {
    ("payroll-runs", "sql_host", "3303", "secret_expired"),
    ("warehouse-stock", "sql_host", "3011", "throttled"),
    ("legal-hold", "sql_host", "3076", "key_soft_deleted"),
}
ONLY_CENTRALLY = ("billing-invoices", "central", "3077", "forbidden_policy")
SEEN_CENTRALLY = {
    ONLY_CENTRALLY,
    ("payroll-runs", "central", "3303", "secret_expired"),
    ("orders-core", "central", "3077", "forbidden_firewall"),
}


@pytest.mark.parametrize(
    ("instance", "seen"),
    [
        (".+", SEEN_FROM_THE_HOST | {ONLY_CENTRALLY}),
        ("sqlhost1:10377", SEEN_FROM_THE_HOST),
        ("central:10377", SEEN_CENTRALLY),
    ],
)
def test_danger_is_listed_with_its_vantage(history, instance, seen):
    """A firewall that allows only the SQL Server hosts is no danger, unless these hosts have no data."""
    found = history.rows(by_name(DANGER).filled(instance=instance))
    assert {(labels["target"], labels["vantage"], labels["code"], labels["reason"]) for labels in found} == seen


def test_failure_of_a_ready_target_is_listed_with_what_it_affects(history):
    found = {labels["target"]: labels for labels in history.rows(by_name("ekm-fleet: Every target, worst first: B").filled())}
    assert (state(history, TROUBLED_ENDS)["orders-core"], found["orders-core"]["reason"]) == (promql.READY, "forbidden_firewall")
    assert found["billing-invoices"]["reason"] == "forbidden_policy"
    affects = {target: labels["meaning"].split(": ")[0] for target, labels in found.items() if ": " in labels["meaning"]}
    assert {"orders-core": "Central exporter only", "web-shop": "Wrap only"}.items() <= affects.items()
    assert "billing-invoices" not in affects


def test_each_failing_target_has_its_own_first_action(history):
    """A firewall, an access policy and a missing role share a code, and none is repaired as another is."""
    rows = history.rows(by_name("ekm-vault: What is wrong now, and what to do: A").filled(target=".+", instance="central:10377"))
    shown = {labels["reason"]: (labels["meaning"], labels["action"]) for labels in rows if labels["code"] == "3077"}
    assert shown.keys() >= {"forbidden_firewall", "forbidden_policy"}
    for reason, (meaning, action) in shown.items():
        assert meaning.endswith(Reason(reason).row.meaning_at(Step.GET_KEY))
        assert action.startswith(Reason(reason).row.actions[0].partition("`")[0])


@pytest.mark.parametrize(("days", "number"), [(7, 1), (14, 2), (30, 2)])
def test_credential_with_two_sources_counts_once(history, days, number):
    """One has expired by both sources; a key expires in nine days."""
    assert history.now(by_name(f"ekm-expiry: Expire within {days} days: A").filled()) == [({}, number)]


@pytest.mark.parametrize(("label", "ref"), [("region", "A"), ("team", "A"), ("region", "B"), ("region", "C"), ("team", "C")])
def test_every_target_counts_once_by_region_and_by_team(history, label, ref):
    """The region of one target changed within the hour, so that both regions have data."""
    expression = by_name(f"ekm-vault: By {label}: {ref}").filled(target="web-shop", vault="none")
    wanted = {"A": len(FLEET), "B": 4, "C": 1}[ref]
    assert sum(number for _, number in history.now(expression)) == wanted
    nameless = re.sub(r"(max_over_time\(timestamp\()\w+", r"\1ekm_does_not_exist", expression)
    assert history.now(nameless) == [({}, wanted)]


def test_next_expiry_is_the_earliest_of_key_credential_purge(history):
    query = by_name("ekm-fleet: Every target, worst first: E")
    days = {labels["target"]: value for labels, value in history.now(query.filled())}
    assert days["orders-core"] == pytest.approx(9, abs=0.1)
    assert days["legal-hold"] == pytest.approx(80, abs=0.1)
    assert days["payroll-runs"] < 0


COVERAGE = f"ekm-fleet: {coverage.TITLE}: A"


def covered(history, at, **chosen):
    return {
        (labels["sql_instance"], labels["coverage"], labels.get("target")): value
        for labels, value in history.now(by_name(COVERAGE).filled(**chosen), at)
    }


@pytest.mark.parametrize("target", [".+", "payroll-runs"])
def test_keys_in_use_have_their_coverage(history, target):
    servers = {(name, one.name) for one in FLEET for name, _, _ in one.servers}
    assert covered(history, HEALTHY_ENDS, target=target) == {(name, "probed", of): 2 for name, of in servers}
    apart = {("SQLCRM01", "crm-contacts"): "another version", ("SQLHR01", "hr-people"): "not known"}
    expected = {(name, apart.get((name, of), "probed"), None if name == "SQLHR01" else of): 2 for name, of in servers}
    assert covered(history, TROUBLED_ENDS, target=target) == expected | {("SQLNEW01", "no target", None): 2}


def test_failures_of_sql_server_are_counted_and_listed(history):
    """Its own failing backups stand beside the vault side; the choice of a target hides none."""
    number, listed = by_name("ekm-fleet: Backups fail: A"), by_name(f"ekm-fleet: {sql_servers.FAILING}: A")
    assert history.now(number.filled(target="web-shop"), HEALTHY_ENDS) == [({}, 0)]
    assert history.now(number.filled(target="web-shop"), TROUBLED_ENDS) == [({}, 2)]
    rows = history.rows(listed.filled(target="web-shop"))
    assert {(labels["sql_instance"], labels["host"], labels["about"]) for labels in rows} == {
        ("SQLPAY01", "n1", "backups"),
        ("SQLPAY01", "n2", "backups"),
    }


PROOFS = f"ekm-vault: {sql_servers.TITLE}"


def of_servers(history, ref, at):
    found = history.now(by_name(f"{PROOFS}: {ref}").filled(target="payroll-runs"), at)
    return {(labels["name"], labels["key_name"], labels.get("source", "")): value for labels, value in found}


@pytest.mark.parametrize(("at", "proof"), [(HEALTHY_ENDS, 0), (TROUBLED_ENDS, 2)])
def test_sql_servers_of_a_target_have_proof_log_and_age(history, at, proof):
    servers = {("SQLPAY01 on n1", "key_2C56"), ("SQLPAY01 on n2", "key_2C56")}
    expected = {"A": proof, "C": 13200 - 60, "D": 0, "E": 60}
    found = {ref: of_servers(history, ref, at) for ref in expected}
    assert found == {ref: {(*server, ""): value for server in servers} for ref, value in expected.items()}
    assert of_servers(history, "B", at) == {(*server, "log_backup"): 720 for server in servers}
