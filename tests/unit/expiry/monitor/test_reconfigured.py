"""A new configuration: what is known of the same subject stays, what meant something else goes, and look-ups keep their time."""

import asyncio

import pytest

from exporter.core.credential_expiry import Source
from tests.support.expiry_fakes import END, Sources, a_config, a_credential, a_monitor, by_graph, now

OTHER = "99999999-7777-8888-9999-000000000000"


@pytest.fixture
async def monitor(sources, recorded):
    made = a_monitor(a_config(by_graph()), sources, recorded)
    made.start()
    await asyncio.sleep(100)
    yield made
    await made.aclose()


async def test_a_credential_that_stays_as_it_is_keeps_its_dates_and_its_next_look_up(monitor, sources):
    after = Sources()
    await monitor.reconfigure(a_config(by_graph()), after)
    assert monitor.expiry_of("sql")[0].expires_at == END
    await asyncio.sleep(4000)
    assert after.times()[0] - sources.times()[0] == pytest.approx(3600, abs=2)


async def test_a_credential_of_the_same_application_keeps_its_dates_and_is_looked_up_soon(monitor):
    after = Sources()
    await monitor.reconfigure(a_config(by_graph(key_vault_secret="https://ops.vault.azure.net/secrets/s")), after)
    began = now()
    assert {end.source: end.expires_at for end in monitor.expiry_of("sql")} == {Source.GRAPH: END, Source.KEY_VAULT: None}
    await asyncio.sleep(100)
    assert after.times()[0] - began <= 65


async def test_what_was_known_of_another_application_is_forgotten(monitor, recorded):
    await monitor.reconfigure(a_config(by_graph(client_id=OTHER)), Sources())
    assert monitor.expiry_of("sql")[0].expires_at is None
    assert recorded.forgotten == [("sql", Source.GRAPH)]


async def test_what_a_source_said_that_is_no_longer_asked_is_forgotten(monitor, recorded):
    await monitor.reconfigure(a_config(a_credential("sql")), Sources())
    assert monitor.expiry_of("sql") == ()
    assert recorded.forgotten == [("sql", Source.GRAPH)]


async def test_a_credential_that_is_used_no_more_is_asked_about_no_more(monitor):
    after = Sources()
    await monitor.reconfigure(a_config(by_graph("other")), after)
    await asyncio.sleep(100)
    assert {name for _, name, _ in after.lookups} == {"other"}


async def test_whoever_was_asked_before_is_let_go(monitor, sources):
    await monitor.reconfigure(a_config(by_graph()), Sources())
    assert sources.closed
