"""A reload keeps what is known of SQL Servers, and forgets the removed ones."""

import asyncio
import random

import pytest

from exporter.config.settings import SecretSource
from tests.support.factories import a_credential
from tests.support.sql_monitors import INTERVAL, a_config, a_server, failed, now, reading_of, restored_at_each_step, servers_of

OTHER = SecretSource(env="SQL_PASSWORD")


async def test_unchanged_server_keeps_its_reading_and_time(start, reader):
    monitor = await start(a_server(), a_server("n2"))
    await asyncio.sleep(0.1 * INTERVAL)
    before = reading_of(monitor, "n1")
    await monitor.reconfigure(a_config(a_server(), a_server("n3")))
    assert reading_of(monitor, "n1") is before
    await asyncio.sleep(0.8 * INTERVAL)
    assert len(reader.times()) == 1
    await asyncio.sleep(0.2 * INTERVAL)
    assert len(reader.times()) == 2


async def test_running_reading_of_an_unchanged_server_continues(start, reader):
    reader.takes = 100.0
    monitor = await start(a_server())
    await asyncio.sleep(50.0)
    await monitor.reconfigure(a_config(a_server(), a_server("n2")))
    await asyncio.sleep(60.0)
    assert reader.cancelled == []
    assert reading_of(monitor, "n1").document is not None


async def test_removed_server_is_forgotten(start, reader, recorded):
    monitor = await start(a_server(), a_server("n2"))
    await asyncio.sleep(0.5 * INTERVAL)
    await monitor.reconfigure(a_config(a_server("n2")))
    assert recorded.forgotten == ["n1"]
    assert reading_of(monitor, "n1") is None
    await asyncio.sleep(3 * INTERVAL)
    assert len(reader.times()) == 1


@pytest.mark.parametrize("change", [{"user": "other"}, {"password": OTHER}, {"certificate_sha256": "a" * 64}])
async def test_changed_server_is_read_soon_and_keeps_its_rows(start, reader, change):
    monitor = await start(a_server())
    await asyncio.sleep(0.5 * INTERVAL)
    await monitor.reconfigure(a_config(a_server(**change)))
    assert reading_of(monitor, "n1").document.sections["keys"]
    await asyncio.sleep(2.0)
    assert len(reader.times()) == 2
    assert reader.states[-1].server == a_server(**change)


async def test_changed_label_is_reported_at_once(start, recorded):
    monitor = await start(a_server())
    await asyncio.sleep(0.5 * INTERVAL)
    await monitor.reconfigure(a_config(a_server(host="node-a")))
    assert (recorded.readings[-1].sql_instance, recorded.readings[-1].host) == ("SQLPRD01", "node-a")


async def test_error_during_a_reload_stops_no_readings(start, reader, recorded):
    monitor = await start(a_server())
    await asyncio.sleep(0.5 * INTERVAL)
    recorded.preparations = [ZeroDivisionError()]
    await monitor.reconfigure(a_config(a_server(host="node-a"), a_server("n2")))
    await asyncio.sleep(0.5 * INTERVAL)
    assert [type(error) for error in recorded.errors] == [ZeroDivisionError]
    assert (len(reader.times("n1")), len(reader.times("n2"))) == (2, 1)


async def test_running_reading_of_a_changed_server_is_dropped(start, reader, recorded):
    reader.takes = 100.0
    monitor = await start(a_server())
    await asyncio.sleep(50.0)
    recorded.readings.clear()
    await monitor.reconfigure(a_config(a_server(user="other")))
    await asyncio.sleep(90.0)
    assert reader.cancelled == ["n1"]
    assert recorded.readings == []
    assert reading_of(monitor, "n1").document is None


async def test_changed_credential_of_entra_reads_again(start, reader, recorded):
    server = a_server(user=None, password=None, entra_credential="sql")
    monitor = await start(server)
    await asyncio.sleep(0.5 * INTERVAL)
    await monitor.reconfigure(a_config(server, credentials=[a_credential(client_id="another")]))
    await asyncio.sleep(2.0)
    assert len(reader.times()) == 2
    assert reader.states[-1].credential.client_id == "another"
    assert recorded.errors == []


async def test_shorter_interval_counts_for_waiting_readings(start, reader):
    monitor = await start(a_server(), interval=86400.0)
    await asyncio.sleep(600.0)
    await monitor.reconfigure(a_config(a_server(), interval=60.0))
    began = now()
    await asyncio.sleep(600.0)
    times = reader.times()
    assert times[1] - began <= 60.0
    assert len(times) == 11


async def test_added_server_is_known_from_the_state_directory(start):
    first = await start(a_server())
    await asyncio.sleep(0.5 * INTERVAL)
    known = reading_of(first, "n1")
    second = await start(a_server("n2"))
    await second.reconfigure(a_config(a_server(), a_server("n2")))
    assert reading_of(second, "n1") == known


async def test_readings_of_a_reload_are_spread_over_the_interval(start, reader):
    rng, reader.takes = random.Random(7), 0.0  # noqa: S311 - a spread
    monitor = await start(draw=rng.random)
    await monitor.reconfigure(a_config(*servers_of(300)))
    await asyncio.sleep(INTERVAL / 5)
    assert 30 < len(reader.readings) < 90


async def test_reload_yields_to_others_after_each_added_server(start, recorded):
    servers = servers_of(5)
    first = await start(*servers)
    await asyncio.sleep(1.5 * INTERVAL)
    await first.aclose()
    monitor = await start()
    recorded.readings.clear()
    assert await restored_at_each_step(monitor.reconfigure(a_config(*servers)), recorded) == [1, 2, 3, 4, 5]


async def test_lockout_lives_over_a_reload(start, reader):
    reader.answers["n1"] = [failed("the login was refused", refused=18456), None]
    monitor = await start(a_server())
    await asyncio.sleep(2.0)
    await monitor.reconfigure(a_config(a_server(host="node-a")))
    await asyncio.sleep(2.0)
    assert reader.states[-1].lockout is not None
    assert reading_of(monitor, "n1").refused


async def test_readings_have_the_order_of_the_configuration(start):
    monitor = await start(a_server(), a_server("n2"))
    await monitor.reconfigure(a_config(a_server("n3"), a_server("n2"), a_server()))
    assert [reading.address for reading in monitor.readings()] == ["n3", "n2", "n1"]
