"""Look-ups in virtual time: when, what a failure leaves, and what survives a restart or a reload."""

import asyncio
import json
import logging
import random
from datetime import date
from itertools import pairwise

import pytest

from exporter.knowledge.expiry import CredentialExpiry, LookupResult, Source
from exporter.probing.expiry import CONCURRENT_LOOKUPS, subject
from tests.support.expiry_fakes import (
    EXPIRES_AT,
    FAILED,
    WALL,
    Recorded,
    Sources,
    a_config,
    a_credential,
    a_monitor,
    by_certificate,
    by_graph,
    now,
)

# Times of lookups, effects of failures, log lines and last known results.

NO_EXPIRY = LookupResult(answered=True)
NOT_LISTED = LookupResult(answered=True, note="the application lists no secret that begins like the configured one")


@pytest.fixture
def sources():
    return Sources()


@pytest.fixture
def recorded():
    return Recorded()


@pytest.fixture
def start(sources, recorded, monitors):
    """Start monitors."""

    def begin(*credentials, **more):
        monitors.append(a_monitor(a_config(*credentials), sources, recorded, **more))
        monitors[-1].restore()
        monitors[-1].start()
        return monitors[-1]

    return begin


def gaps(times):
    return [round(later - earlier) for earlier, later in pairwise(times)]


async def test_graph_is_looked_up_after_the_start_and_hourly(start, sources, recorded):
    start(by_graph())
    began = now()
    await asyncio.sleep(3 * 3600)
    first, *_ = times = sources.times()
    assert 5 <= first - began <= 65
    assert gaps(times) == [3600] * (len(times) - 1)
    assert len(times) == 3
    assert recorded.reported[0][:3] == ("sql", Source.GRAPH, EXPIRES_AT)


async def test_hourly_lookups_have_jitter(start, sources):
    rng = random.Random(7)  # noqa: S311 - a spread
    start(by_graph(), draw=rng.random)
    await asyncio.sleep(50 * 3600)
    found = gaps(sources.times())
    assert min(found) >= 3240
    assert max(found) <= 3961
    assert len(set(found)) > 10


async def test_certificate_file_is_read_at_once_and_every_minute(start, sources):
    start(by_certificate())
    began = now()
    await asyncio.sleep(600)
    times = sources.times("cert", Source.CERTIFICATE)
    assert times[0] - began < 0.1
    assert set(gaps(times)) == {60}


async def test_failures_double_the_pause_up_to_an_hour(start, sources):
    sources.answers["sql", Source.GRAPH] = [FAILED] * 7 + [NO_EXPIRY]
    start(by_graph())
    await asyncio.sleep(6 * 3600)
    assert gaps(sources.times())[:8] == [300, 600, 1200, 2400, 3600, 3600, 3600, 3600]


async def test_answer_without_the_credential_is_repeated_soon(start, sources):
    sources.answers["sql", Source.GRAPH] = [NOT_LISTED, LookupResult(answered=True, expires_at=EXPIRES_AT)]
    monitor = start(by_graph())
    await asyncio.sleep(200)
    (expiry,) = monitor.expiry_of("sql")
    assert (expiry.expires_at, expiry.failure) == (None, NOT_LISTED.note)
    await asyncio.sleep(300)
    assert monitor.expiry_of("sql")[0].expires_at == EXPIRES_AT


async def test_changed_secret_is_looked_up_within_seconds(start, sources):
    start(by_graph())
    await asyncio.sleep(1000)
    assert len(sources.times()) == 1
    sources.fingerprints["sql"] = "second"
    changed = now()
    await asyncio.sleep(60)
    assert 0 <= sources.times()[1] - changed <= 10.5
    await asyncio.sleep(3000)
    assert len(sources.times()) == 2


async def test_failed_lookup_keeps_the_last_expiry(start, sources, recorded):
    sources.answers["sql", Source.GRAPH] = [LookupResult(answered=True, expires_at=EXPIRES_AT), FAILED]
    monitor = start(by_graph())
    await asyncio.sleep(120)
    before = monitor.expiry_of("sql")
    await asyncio.sleep(4 * 3600)
    (expiry,) = monitor.expiry_of("sql")
    assert (expiry.expires_at, expiry.looked_up_at) == (before[0].expires_at, before[0].looked_up_at)
    assert (before[0].failure, expiry.failure) == ("", FAILED.note)
    assert len(recorded.reported) == 1


async def test_answer_without_expiry_removes_the_last_one(start, sources, recorded):
    sources.answers["sql", Source.GRAPH] = [LookupResult(answered=True, expires_at=EXPIRES_AT), NO_EXPIRY]
    monitor = start(by_graph())
    await asyncio.sleep(2 * 3600)
    (expiry,) = monitor.expiry_of("sql")
    assert expiry.expires_at is None
    assert expiry.looked_up_at > WALL
    assert recorded.reported[-1][:3] == ("sql", Source.GRAPH, None)


async def test_failure_and_recovery_are_logged_once(start, sources, caplog):
    other = LookupResult(answered=False, note="graph.microsoft.com: dns not found")
    sources.answers["sql", Source.GRAPH] = [
        FAILED,
        FAILED,
        FAILED,
        other,
        other,
        LookupResult(answered=True, expires_at=EXPIRES_AT),
    ]
    caplog.set_level(logging.INFO, "exporter")
    start(by_graph())
    await asyncio.sleep(24 * 3600)
    expected = [(record.levelname, record.fields.get("problem")) for record in caplog.records]
    assert expected == [("WARNING", FAILED.note), ("WARNING", other.note), ("INFO", None)]


async def test_first_lookups_are_spread_and_limited(start, sources):
    sources.takes = 20.0
    start(*(by_graph(f"sql-{number}") for number in range(40)), draw=random.Random(3).random)  # noqa: S311 - a spread
    await asyncio.sleep(3000)
    assert sources.most == CONCURRENT_LOOKUPS
    assert len({name for _, name, _ in sources.lookups}) == 40
    assert len({round(at) for at, _, _ in sources.lookups}) > 5


async def test_internal_error_is_reported_and_lookups_continue(start, sources, recorded):
    sources.answers["sql", Source.GRAPH] = [ZeroDivisionError("bug"), LookupResult(answered=True, expires_at=EXPIRES_AT)]
    monitor = start(by_graph())
    await asyncio.sleep(200)
    assert [type(error) for error in recorded.bugs] == [ZeroDivisionError]
    await asyncio.sleep(300)
    assert monitor.expiry_of("sql")[0].expires_at == EXPIRES_AT


@pytest.mark.parametrize(("bug", "kind"), [(ZeroDivisionError, ZeroDivisionError), (asyncio.CancelledError, RuntimeError)])
async def test_failing_fingerprint_does_not_end_the_loop(start, sources, recorded, bug, kind):
    sources.fingerprints["sql"] = bug("bug")
    start(by_graph())
    await asyncio.sleep(100)
    sources.fingerprints["sql"] = "first"
    assert {type(error) for error in recorded.bugs} == {kind}
    await asyncio.sleep(100)
    assert sources.times()


async def test_close_cancels_running_lookups_at_once(sources, recorded):
    sources.takes = 10_000.0
    monitor = a_monitor(a_config(*(by_graph(f"sql-{number}") for number in range(9))), sources, recorded)
    monitor.start()
    await asyncio.sleep(100)
    began = now()
    await monitor.aclose()
    assert now() == began
    assert (sources.under_way, sources.closed) == (0, True)
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_credential_without_sources_is_not_looked_up(start, sources):
    monitor = start(a_credential(expires_on=date(2027, 3, 1)))
    await asyncio.sleep(3600)
    assert not sources.lookups
    assert monitor.expiry_of("sql") == (CredentialExpiry(credential="sql", source=Source.DECLARED, expires_at=1803859200.0),)


async def test_source_without_an_answer_is_listed(start):
    monitor = start(by_certificate(graph_credential="monitor", key_vault_secret="https://ops.vault.azure.net/secrets/c"))
    expiries = monitor.expiry_of("cert")
    assert [expiry.source for expiry in expiries] == [Source.CERTIFICATE, Source.GRAPH, Source.KEY_VAULT]
    assert {(expiry.expires_at, expiry.looked_up_at, expiry.failure) for expiry in expiries} == {(None, None, "")}


async def test_lookup_on_request_covers_all_sources(sources, recorded):
    monitor = a_monitor(a_config(by_certificate(graph_credential="monitor")), sources, recorded)
    began = now()
    expiries = await monitor.look_up("cert")
    assert [(expiry.source, expiry.expires_at) for expiry in expiries] == [
        (Source.CERTIFICATE, EXPIRES_AT),
        (Source.GRAPH, EXPIRES_AT),
    ]
    assert now() - began < 1
    await monitor.aclose()


async def test_unused_credential_can_be_looked_up_on_request(sources, recorded):
    config = a_config(by_graph())
    config.credentials["spare"] = by_graph("spare")
    monitor = a_monitor(config, sources, recorded)
    assert monitor.expiry_of("spare") == ()
    (expiry,) = await monitor.look_up("spare", "of-sql")
    assert expiry.expires_at == EXPIRES_AT
    await monitor.aclose()


# Which lookup results survive a restart and a changed configuration.


def restored(recorded, credential):
    """What a monitor of this credential reports from the kept documents."""
    again = Recorded()
    again.documents = recorded.documents
    a_monitor(a_config(credential), Sources(), again).restore()
    return again


async def test_restart_restores_expiry_before_any_lookup(start, recorded):
    start(by_certificate(graph_credential="monitor"))
    await asyncio.sleep(300)
    recorded.documents = json.loads(json.dumps(recorded.documents))
    later = restored(recorded, by_certificate(graph_credential="monitor"))
    assert {(source, expires_at) for _, source, expires_at, _ in later.reported} == {
        (Source.CERTIFICATE, EXPIRES_AT),
        (Source.GRAPH, EXPIRES_AT),
    }
    assert all(WALL < at < WALL + 2000 for *_, at in later.reported)


async def test_failure_after_a_restart_keeps_the_restored_expiry(start, recorded):
    start(by_graph())
    await asyncio.sleep(100)
    again, failing = Recorded(), Sources()
    again.documents, failing.answers = recorded.documents, {("sql", Source.GRAPH): [FAILED]}
    monitor = a_monitor(a_config(by_graph()), failing, again)
    monitor.restore()
    monitor.start()
    await asyncio.sleep(100)
    (expiry,) = monitor.expiry_of("sql")
    assert (expiry.expires_at, expiry.failure) == (EXPIRES_AT, FAILED.note)
    assert again.documents["sql"]["sources"]["graph"]["expires_at"] == EXPIRES_AT
    await monitor.aclose()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (by_graph(), by_graph(client_id="66666666-7777-8888-9999-0000000000ff")),
        (by_graph(), by_graph(tenant_id="contoso.onmicrosoft.com")),
        (by_certificate("sql", graph_credential="monitor"), by_graph()),
        (by_certificate("sql"), by_certificate("sql", certificate_file="other.pem")),
        (
            by_graph(key_vault_secret="https://ops.vault.azure.net/secrets/a"),
            by_graph(key_vault_secret="https://ops.vault.azure.net/secrets/b", client_id="66666666-7777-8888-9999-0000000000ff"),
        ),
    ],
)
async def test_changed_subject_restores_nothing(start, recorded, before, after):
    start(before)
    await asyncio.sleep(100)
    assert restored(recorded, after).reported == []


async def test_another_lookup_credential_keeps_the_expiry(start, recorded):
    start(by_graph())
    await asyncio.sleep(100)
    again = restored(recorded, by_graph(key_vault_secret="https://ops.vault.azure.net/secrets/a"))
    assert [(source, expiry) for _, source, expiry, _ in again.reported] == [(Source.GRAPH, EXPIRES_AT)]


SUBJECT = list(subject(by_graph(), Source.GRAPH))


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"sources": []},
        {"sources": {"graph": 7}},
        {"sources": {"oracle": {}}},
        {"sources": {"graph": {}}},
        {"sources": {"graph": {"subject": SUBJECT}}},
        {"sources": {"graph": {"subject": SUBJECT, "expires_at": "soon", "looked_up_at": WALL}}},
        {"sources": {"graph": {"subject": SUBJECT, "expires_at": EXPIRES_AT, "looked_up_at": None}}},
        {"sources": {"graph": {"subject": SUBJECT, "expires_at": True, "looked_up_at": WALL}}},
    ],
)
async def test_damaged_document_is_logged_and_ignored(sources, recorded, caplog, document):
    recorded.documents["sql"] = document
    monitor = a_monitor(a_config(by_graph()), sources, recorded)
    monitor.restore()
    assert recorded.reported == []
    assert monitor.expiry_of("sql")[0].looked_up_at is None
    (record,) = caplog.records
    assert "sql is damaged" in record.fields["problem"]


async def test_unchanged_certificate_is_written_rarely(start, recorded):
    start(by_certificate())
    await asyncio.sleep(3 * 3600)
    assert 3 <= recorded.writes <= 5


# Which lookup results and due times survive a reconfiguration.

OTHER = "99999999-7777-8888-9999-000000000000"


@pytest.fixture
async def monitor(sources, recorded):
    made = a_monitor(a_config(by_graph()), sources, recorded)
    made.start()
    await asyncio.sleep(100)
    yield made
    await made.aclose()


async def test_unchanged_credential_keeps_expiry_and_due_time(monitor, sources):
    after = Sources()
    await monitor.reconfigure(a_config(by_graph()), after)
    assert monitor.expiry_of("sql")[0].expires_at == EXPIRES_AT
    await asyncio.sleep(4000)
    assert after.times()[0] - sources.times()[0] == pytest.approx(3600, abs=2)


async def test_same_subject_keeps_expiry_and_is_looked_up_soon(monitor):
    after = Sources()
    await monitor.reconfigure(a_config(by_graph(key_vault_secret="https://ops.vault.azure.net/secrets/s")), after)
    began = now()
    assert {expiry.source: expiry.expires_at for expiry in monitor.expiry_of("sql")} == {
        Source.GRAPH: EXPIRES_AT,
        Source.KEY_VAULT: None,
    }
    await asyncio.sleep(100)
    assert after.times()[0] - began <= 65


@pytest.mark.parametrize(("after", "expiries"), [(by_graph(client_id=OTHER), [None]), (a_credential("sql"), [])])
async def test_changed_application_or_removed_source_forgets_the_expiry(monitor, recorded, after, expiries):
    await monitor.reconfigure(a_config(after), Sources())
    assert [expiry.expires_at for expiry in monitor.expiry_of("sql")] == expiries
    assert recorded.forgotten == [("sql", Source.GRAPH)]


async def test_unused_credential_is_not_looked_up(monitor):
    after = Sources()
    await monitor.reconfigure(a_config(by_graph("other")), after)
    await asyncio.sleep(100)
    assert {name for _, name, _ in after.lookups} == {"other"}


async def test_reconfigure_closes_the_old_lookup(monitor, sources):
    await monitor.reconfigure(a_config(by_graph()), Sources())
    assert sources.closed
