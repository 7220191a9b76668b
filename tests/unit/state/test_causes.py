"""Causes with the targets and SQL Servers behind them, and the last changes of all targets."""

import asyncio
import threading

import pytest

from exporter.config.settings import Module, Proxy
from exporter.core.values import Step, VaultHeaders
from exporter.knowledge.causes import Cause, CauseFinder
from exporter.knowledge.reason_row import Link
from exporter.knowledge.reasons import Reason
from exporter.state import causes
from exporter.state.causes import cause_groups, linked, links_of
from exporter.state.history import History
from exporter.state.record import ChangeKind, ObservedChange, TargetRecord, restore, snapshot
from exporter.state.store import StateStore
from tests.support import metric_factories
from tests.support.factories import a_target
from tests.support.metric_factories import MODULE, START, a_report, failed, ok, refused, silent
from tests.support.values import replace

# Causes with the targets and SQL Servers behind them, as records and configuration give them.

NOW = START + 100


def a_record(target, *reports):
    record = TargetRecord(target, History(0))
    for report in reports:
        record.add_report(report)
    return record


def groups_of(*records, now=NOW):
    return asyncio.run(cause_groups(linked(each.target, MODULE, each, now) for each in records))


def failing(name, result=None, *, since=START, servers=(), ready=False, **changes):
    """The record of a target that fails; each one has a credential and a vault of its own."""
    own = {"vault": f"{name}.vault.azure.net", "credential": name, "instances": tuple({"sql_instance": each} for each in servers)}
    reports = [a_report(name, ready=ready, steps=[result or refused()], started_at=at) for at in (since, START)]
    return a_record(metric_factories.a_target(name, **(own | changes)), *reports)


def firsts(*records, now=NOW):
    return [group.first for group in groups_of(*records, now=now)]


DELETED = failed(Step.GET_KEY, 3076, Reason.KEY_SOFT_DELETED)


WRAP = failed(Step.WRAP_KEY, 3077, Reason.KEY_EXPIRED)


@pytest.mark.parametrize(
    "expected",
    [
        [failing("z", servers=["A", "B"]), failing("a", servers=["A"])],
        [failing("z", DELETED), failing("a", since=START - 9000)],
        [failing("z", DELETED, since=START - 9000), failing("a", DELETED)],
        [failing("z", since=START - 9000), failing("a")],
        [failing("z"), failing("a", WRAP, ready=True, servers=["A", "B"])],  # databases open without wrap
        [failing("z"), failing("a", ready=None, servers=["A", "B"])],  # as of a canary
    ],
    ids=["servers at risk", "cannot be undone", "older of both", "older", "not ready", "no verdict"],
)
def test_causes_are_in_the_order_of_what_is_at_stake(expected):
    assert firsts(*expected) == firsts(*reversed(expected)) == ["z", "a"]


def test_targets_without_sql_servers_count_as_one_at_risk_each():
    blocked = [failing(name, failed(Step.GET_KEY, 3077, Reason.FORBIDDEN_RBAC), vault="v") for name in ("t1", "t2")]
    assert firsts(failing("one", servers=["A"]), *blocked) == ["t1", "one"]


def test_first_target_has_the_reason_of_the_cause():
    other = failing("a", failed(Step.GET_KEY, 3077, Reason.FORBIDDEN_CONNECTION), credential="sql")
    blocked = [failing(name, failed(Step.GET_KEY, 3077, Reason.FORBIDDEN_FIREWALL), credential="sql") for name in ("b", "c")]
    (group,) = groups_of(other, *blocked)
    assert (group.cause.reason, group.first) == (Reason.FORBIDDEN_FIREWALL, "b")


def test_a_group_counts_each_sql_server_once():
    shared = {"sql_instance": "PROD", "host": "n1", "ag": "AG7"}
    others = ({"sql_instance": "prod", "host": "N1"}, {"sql_instance": "PROD", "host": "n2"}, {"host": "n3"})
    (group,) = groups_of(
        failing("b", credential="sql", instances=(shared,)),
        failing("a", credential="sql", instances=others, since=START - 50),
        failing("c", WRAP, ready=True, credential="sql", instances=(shared,), vault="b.vault.azure.net"),
    )[:1]
    assert group.cause == Cause(Link.CREDENTIAL, "sql", Reason.SECRET_EXPIRED)
    assert (group.targets, group.first, group.since) == (["b", "a"], "a", START - 50)
    assert {name.lower() for name in group.servers.values()} == {"prod on n1", "prod on n2"}
    assert group.availability_groups == {"AG7"}


def test_a_stale_failure_keeps_its_cause_and_puts_nothing_at_risk():
    (group,) = groups_of(failing("t", servers=["A"]), now=START + 86400)
    assert (group.targets, group.at_risk, group.since) == (["t"], set(), START)


@pytest.mark.parametrize(
    "record",
    [
        a_record(metric_factories.a_target()),
        a_record(metric_factories.a_target(), a_report(ready=True)),
        a_record(metric_factories.a_target(), a_report(steps=[refused()]), a_report(ready=True, started_at=START + 60)),
    ],
    ids=["not probed", "ready", "ready again"],
)
def test_a_target_without_a_failure_has_no_cause(record):
    assert groups_of(record) == []


def test_a_restored_record_has_no_cause_before_its_first_probe():
    target = metric_factories.a_target()
    record = a_record(target)
    restore(record, snapshot(failing("t", vault=target.vault, credential="sql-prod")))
    assert groups_of(record) == []


def test_a_failure_began_with_its_state_and_not_with_its_last_probe():
    record = failing("t")
    record.add_report(a_report("t", ready=False, steps=[silent()], started_at=START + 60))
    assert groups_of(record)[0].since == START
    record.state_since = None  # after another key version
    assert groups_of(record)[0].since == START + 60


def test_an_unsteady_target_is_the_last_cause():
    waves = (each for n in range(3) for each in (a_report(steps=[silent()], started_at=START + n), a_report(ready=True)))
    shaky = a_record(metric_factories.a_target(), *waves)
    shaky.add_report(a_report(ready=True, started_at=NOW))
    found = groups_of(shaky, failing("z", WRAP, ready=True))
    assert [group.cause.unsteady for group in found] == [False, True]
    assert found[1].cause.reason is Reason.READ_TIMEOUT


def test_links_have_the_names_of_the_configuration():
    module = Module(name="m", proxy=Proxy(url="http://user:pw@proxy.example:3128"), authority_host="https://login.example")
    names = links_of(metric_factories.a_target(), module, None, None)
    assert names == {
        Link.HOST: "",
        Link.PROXY: "proxy.example:3128",
        Link.ENTRA: "login.example",
        Link.CREDENTIAL: "sql-prod",
        Link.VAULT: "contoso.vault.azure.net",
        Link.KEY: f"contoso.vault.azure.net/{metric_factories.a_target().key}",
    }
    signed_in = a_report(steps=[ok(Step.TOKEN, endpoint="login.microsoftonline.com:443")])
    assert links_of(metric_factories.a_target(), MODULE, None, signed_in)[Link.ENTRA] == "login.microsoftonline.com"


def headed(region, *, ready=True, steps=()):
    answered = ok(Step.CHALLENGE, vault=VaultHeaders(region=region))
    return a_report(ready=ready, steps=[answered, *steps])


def test_only_a_vault_that_its_key_proved_names_its_region():
    record = a_record(metric_factories.a_target(), headed("West Europe"))
    record.add_report(headed("forged", ready=False, steps=[silent()]))
    assert record.vault.region == "forged"
    assert record.region == "West Europe"
    record.add_report(headed("North Europe", ready=True, steps=[WRAP]))
    assert record.region == "North Europe"


def test_the_region_outlives_a_restart():
    record, restored = a_record(metric_factories.a_target(), headed("West Europe")), a_record(metric_factories.a_target())
    restore(restored, snapshot(record))
    assert restored.region == "West Europe"


def test_a_region_of_many_silent_vaults_is_their_cause():
    targets = [metric_factories.a_target(f"t{n}", vault=f"v{n}.vault.azure.net", credential=f"c{n}") for n in range(7)]
    regions = ["West Europe"] * 4 + ["North Europe"] * 3
    records = [a_record(each, replace(headed(region), target=each.name)) for each, region in zip(targets, regions, strict=True)]
    for number, record in enumerate(records[:3]):
        record.add_report(a_report(f"t{number}", ready=False, steps=[silent()], started_at=START + 60))
    (group,) = groups_of(*records)
    assert group.cause == Cause(Link.REGION, "West Europe", Reason.READ_TIMEOUT)
    assert group.parts == {("West Europe", f"v{n}.vault.azure.net"): f"t{n}" for n in range(3)}


def test_other_tasks_run_while_causes_are_found(monkeypatch):
    find, others_ran = CauseFinder.find, threading.Event()

    async def groups():
        asyncio.get_running_loop().call_soon(others_ran.set)
        return await cause_groups([linked(metric_factories.a_target("a"), MODULE, failing("a"), NOW)])

    monkeypatch.setattr(CauseFinder, "find", lambda every: find(every) if others_ran.wait(10) else {})
    assert [group.first for group in asyncio.run(groups())] == ["a"]


# The last changes over all targets, merged by time and grouped.

READ_AT = 1767323050.0


def records(**changes):
    """Records by target; each change is (seconds ago, region after it), the oldest first."""
    state = StateStore(history_limit=1)
    for name, each in changes.items():
        instances = ({"sql_instance": f"SQL{name}"}, {"sql_instance": "SHARED"})
        record = state.expect(a_target(name, vault=f"{name}.vault.azure.net", instances=instances))
        record.changes = tuple(ObservedChange(READ_AT - ago, ChangeKind.REGION, "westeurope", after) for ago, after in each)
    return [state.get(name) for name in changes]


async def found(every, most=10):
    recent = await causes.recent_changes([None, *every], most=most)
    return [(each.group.newest.after, list(each.group.targets), each.vaults, each.servers) for each in recent]


async def test_changes_of_all_targets_are_merged_by_time():
    every = records(a=[(5000, "x"), (30, "north")], b=[(20, "south")], c=[(2000, "y"), (10, "north")], quiet=[])
    assert await found(every) == [
        ("north", ["c", "a"], 2, 3),
        ("south", ["b"], 1, 2),
        ("y", ["c"], 1, 2),
        ("x", ["a"], 1, 2),
    ]


async def test_list_ends_after_the_wanted_groups():
    every = records(a=[(5000, "x"), (4000, "y"), (30, "north")], b=[(20, "south")])
    assert await found(every, most=2) == [("south", ["b"], 1, 2), ("north", ["a"], 1, 2)]


async def test_only_the_newest_changes_are_read(monkeypatch):
    monkeypatch.setattr(causes, "MOST_CHANGES", 2)
    assert await found(records(a=[(50, "x"), (30, "y"), (10, "z")])) == [("z", ["a"], 1, 2), ("y", ["a"], 1, 2)]


async def test_reading_leaves_the_records_alone():
    every = records(a=[(30, "north"), (10, "south")])
    assert await found(every) == await found(every)
