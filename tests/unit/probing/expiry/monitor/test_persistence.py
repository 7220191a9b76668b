"""Which lookup results survive a restart and a changed configuration."""

import asyncio
import json

import pytest

from exporter.knowledge.expiry import Source
from exporter.probing.expiry import subject
from tests.support.expiry_fakes import EXPIRES_AT, FAILED, WALL, Recorded, Sources, a_config, a_monitor, by_certificate, by_graph


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
