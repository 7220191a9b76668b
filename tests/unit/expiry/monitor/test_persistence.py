"""What of the ends of credentials outlives a restart, and what of a changed configuration does not inherit it."""

import asyncio
import json

import pytest

from exporter.core.credential_expiry import Source
from exporter.expiry.sources import subject
from tests.support.expiry_fakes import END, FAILED, WALL, Ears, Sources, a_config, a_desk, by_certificate, by_graph


async def test_what_was_known_is_told_again_after_a_restart_before_anything_is_asked(start, ears):
    start(by_certificate(graph_credential="monitor"))
    await asyncio.sleep(300)
    ears.documents = json.loads(json.dumps(ears.documents))
    later = Ears()
    later.documents = ears.documents
    desk = a_desk(a_config(by_certificate(graph_credential="monitor")), Sources(), later)
    desk.recall()
    assert {(source, expires_at) for _, source, expires_at, _ in later.told} == {(Source.CERTIFICATE, END), (Source.GRAPH, END)}
    assert all(WALL < at < WALL + 2000 for *_, at in later.told)


async def test_a_failure_right_after_a_restart_keeps_what_was_known_before(start, ears):
    start(by_graph())
    await asyncio.sleep(100)
    again, failing = Ears(), Sources()
    again.documents, failing.answers = ears.documents, {("sql", Source.GRAPH): [FAILED]}
    desk = a_desk(a_config(by_graph()), failing, again)
    desk.recall()
    desk.start()
    await asyncio.sleep(100)
    (end,) = desk.ends_of("sql")
    assert (end.expires_at, end.failure) == (END, FAILED.note)
    assert again.documents["sql"]["sources"]["graph"]["expires_at"] == END
    await desk.aclose()


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
async def test_another_credential_of_the_same_name_inherits_nothing(start, ears, before, after):
    start(before)
    await asyncio.sleep(100)
    again = Ears()
    again.documents = ears.documents
    a_desk(a_config(after), Sources(), again).recall()
    assert again.told == []


async def test_another_identity_that_asks_changes_nothing_of_what_is_known(start, ears):
    start(by_graph())
    await asyncio.sleep(100)
    again = Ears()
    again.documents = ears.documents
    a_desk(a_config(by_graph(key_vault_secret="https://ops.vault.azure.net/secrets/a")), Sources(), again).recall()
    assert [(source, end) for _, source, end, _ in again.told] == [(Source.GRAPH, END)]


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
        {"sources": {"graph": {"subject": SUBJECT, "expires_at": END, "looked_up_at": None}}},
        {"sources": {"graph": {"subject": SUBJECT, "expires_at": True, "looked_up_at": WALL}}},
    ],
)
async def test_a_damaged_document_is_said_and_ignored(sources, ears, caplog, document):
    ears.documents["sql"] = document
    desk = a_desk(a_config(by_graph()), sources, ears)
    desk.recall()
    assert ears.told == []
    assert desk.ends_of("sql")[0].looked_up_at is None
    (record,) = caplog.records
    assert "sql is damaged" in record.fields["problem"]


async def test_the_state_of_a_certificate_is_not_written_every_minute(start, ears):
    start(by_certificate())
    await asyncio.sleep(3 * 3600)
    assert 3 <= ears.writes <= 5
