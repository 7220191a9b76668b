"""Which lookup results and due times survive a reconfiguration."""

import asyncio

import pytest

from exporter.knowledge.expiry import Source
from tests.support.expiry_fakes import EXPIRES_AT, Sources, a_config, a_credential, a_monitor, by_graph, now

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
