"""Times of readings, effects of failures and of servers that hang, log lines, restarts, and reloads, which keep what is known."""

import asyncio
import logging
import random
from collections import Counter
from itertools import pairwise

import pytest

from exporter.config.settings import SecretSource
from exporter.sqlserver.monitor import BUSY_SECONDS, CONCURRENT_READINGS, LOCKED_SECONDS, STATEMENT_SECONDS
from exporter.sqlserver.tds import WHOLE
from tests.support.factories import a_credential
from tests.support.sql_monitors import (
    INTERVAL,
    WALL,
    a_config,
    a_document,
    a_server,
    failed,
    now,
    reading_of,
    restored_at_each_step,
    servers_of,
)

HOUR = 3600.0
HANG = (WHOLE + 2) * STATEMENT_SECONDS  # when a thread is abandoned


def gaps(times):
    return [round(later - earlier) for earlier, later in pairwise(times)]


async def test_server_is_read_soon_and_at_every_interval(start, reader, recorded):
    monitor = await start(a_server())
    began = now()
    await asyncio.sleep(3 * INTERVAL)
    times = reader.times()
    assert times[0] - began <= 1.0
    assert set(gaps(times)) == {300}
    assert reading_of(monitor, "n1") == recorded.readings[-1] == monitor.readings()[0]
    assert recorded.readings[-1].attempted_at == WALL + times[-1]


async def test_names_of_two_servers_hide_neither(start, reader, recorded, caplog):
    answers = {"10.0.0.5": a_document(address="10.0.0.5"), "n1": a_document(address="n1"), "n2": a_document("N2", address="n2")}
    reader.answers = {address: [answer] for address, answer in answers.items()}
    monitor = await start(*map(a_server, answers), wait=2 * INTERVAL)
    assert [(each.address, each.contested) for each in monitor.readings()] == [("10.0.0.5", True), ("n1", False), ("n2", False)]
    shown = {each.address: each.contested for each in recorded.readings}
    assert shown == {"10.0.0.5": True, "n1": False, "n2": False}
    logged = [record for record in caplog.records if record.getMessage() == "SQL Servers have the same names"]
    assert [record.fields["server"] for record in logged] == ["10.0.0.5"]
    assert logged[0].fields["problem"].startswith("10.0.0.5 (answers as SQLPRD01 on n1), and so does another address")

    await monitor.reconfigure(a_config(a_server("10.0.0.5"), a_server("n2")))
    assert [each.contested for each in monitor.readings()] == [False, False]
    assert not recorded.readings[-1].contested


async def test_first_readings_are_spread_over_the_interval(start, reader):
    rng = random.Random(7)  # noqa: S311 - a spread
    reader.takes = 0.0
    await start(*servers_of(300), draw=rng.random)
    began = now()
    await asyncio.sleep(INTERVAL)
    by_minute = Counter(int((at - began) // 60) for at, _ in reader.readings[:300])
    assert set(by_minute) == {0, 1, 2, 3, 4}
    assert max(by_minute.values()) < 90
    assert len({address for _, address in reader.readings[:300]}) > 285


async def test_intervals_have_jitter(start, reader):
    rng = random.Random(7)  # noqa: S311 - a spread
    await start(a_server(), draw=rng.random, wait=50 * INTERVAL)
    found = gaps(reader.times())
    assert min(found) >= 270
    assert max(found) <= 331
    assert len(set(found)) > 10


async def test_at_most_eight_servers_are_read_at_once(start, reader):
    reader.takes = 20.0
    await start(*servers_of(100), draw=lambda: 0.0, wait=HOUR)
    assert reader.most == CONCURRENT_READINGS == 8


async def test_thirty_hanging_of_300_do_not_stop_the_rest(start, reader, recorded):
    rng = random.Random(7)  # noqa: S311 - a spread
    hanging = {f"n{number}" for number in range(0, 300, 10)}
    reader.answers = {address: [HANG] for address in hanging}
    monitor = await start(*servers_of(300), draw=rng.random, wait=HOUR)
    reader.readings.clear()
    await asyncio.sleep(HOUR)
    assert recorded.errors == []
    assert {reading.address for reading in monitor.readings() if reading.failure} == hanging
    healthy = {reading.address for reading in monitor.readings()} - hanging
    assert max(gap for address in healthy for gap in gaps(reader.times(address))) <= 331
    assert all(len(reader.times(address)) >= 10 for address in healthy)


async def test_server_with_an_abandoned_thread_waits_for_it(start, reader):
    reader.busy.add("n1")
    await start(a_server(), a_server("n2"), wait=INTERVAL)
    assert reader.times() == []
    assert reader.times("n2")
    reader.busy.clear()
    await asyncio.sleep(BUSY_SECONDS)
    assert len(reader.times()) == 1


async def test_failure_keeps_the_rows_and_is_logged_once(start, reader, recorded, caplog):
    caplog.set_level(logging.INFO)
    reader.answers["n1"] = [a_document(), failed(), failed(), a_document()]
    monitor = await start(a_server(), wait=2.5 * INTERVAL)
    reading = reading_of(monitor, "n1")
    assert reading.failure == "does not answer"
    assert reading.document.sections["keys"]
    assert reading.read_at["keys"] == recorded.readings[0].attempted_at < reading.attempted_at
    await asyncio.sleep(2 * INTERVAL)
    assert reading_of(monitor, "n1").failure == ""
    assert [(record.levelname, record.getMessage(), record.fields) for record in caplog.records] == [
        ("WARNING", "SQL Server not read", {"server": "n1", "problem": "does not answer"}),
        ("INFO", "SQL Server read again", {"server": "n1"}),
    ]


async def test_internal_error_is_reported_and_the_next_reading_follows(start, reader, recorded):
    reader.answers["n1"] = [ZeroDivisionError(), a_document()]
    monitor = await start(a_server(), wait=1.5 * INTERVAL)
    assert [type(error) for error in recorded.errors] == [ZeroDivisionError]
    assert reading_of(monitor, "n1").document.sections


async def test_secret_of_a_locked_server_is_checked_each_minute(start, reader, recorded):
    reader.answers["n1"] = [failed("the login was refused", refused=18456), None]
    monitor = await start(a_server(), wait=2 * INTERVAL)
    assert set(gaps(reader.times())[1:]) == {LOCKED_SECONDS}
    assert reading_of(monitor, "n1").refused
    assert len(recorded.readings) == 1
    assert reader.states[-1].lockout.account == "ekm"


async def test_reading_and_lockout_are_known_after_a_restart(start, reader, recorded):
    reader.answers["n1"] = [a_document(), failed("the login was refused", refused=18456), None]
    before = await start(a_server(), wait=1.5 * INTERVAL)
    await before.aclose()
    recorded.readings.clear()
    after = await start(a_server())
    assert reading_of(after, "n1") == reading_of(before, "n1") == recorded.readings[0]
    await asyncio.sleep(INTERVAL)
    assert reader.states[-1].lockout == reader.states[-2].lockout is not None


async def test_restart_yields_to_others_after_each_server(start, recorded):
    servers = servers_of(5)
    monitor = await start(*servers, wait=1.5 * INTERVAL)
    await monitor.aclose()
    recorded.readings.clear()
    assert await restored_at_each_step(start(*servers), recorded) == [1, 2, 3, 4, 5]


async def test_rows_are_parsed_and_rendered_on_threads(start, reader, recorded):
    before = await start(a_server(), wait=0.5 * INTERVAL)
    await before.aclose()
    await (await start(a_server())).reconfigure(a_config(a_server(host="node-a")))
    assert reader.computed == ["_compare", "restored", "_compare", "_compare"]
    assert len(recorded.readings) == 3


async def test_damaged_document_is_ignored_and_reported(start, recorded, caplog):
    recorded.documents["n1"] = {"read_at": {}}
    monitor = await start(a_server())
    assert not reading_of(monitor, "n1").document.sections
    (record,) = caplog.records
    assert record.fields == {"problem": "the stored reading of n1 is damaged (KeyError) and is ignored"}


async def test_reading_that_a_reload_outdates_is_prepared_again(start, reader, recorded):
    recorded.preparations = [lambda: False, lambda: False]
    await start(a_server(), wait=0.5 * INTERVAL)
    assert reader.computed == ["_compare"] * 3
    assert len(recorded.readings) == 1


async def test_error_with_a_stored_reading_stops_no_readings(start, reader, recorded):
    before = await start(a_server(), wait=0.5 * INTERVAL)
    await before.aclose()
    recorded.preparations = [ZeroDivisionError()]
    await start(a_server(), a_server("n2"), wait=0.5 * INTERVAL)
    assert [type(error) for error in recorded.errors] == [ZeroDivisionError]
    assert (len(reader.times("n1")), len(reader.times("n2"))) == (2, 1)


async def test_stop_waits_for_no_server(start, reader):
    reader.takes = HOUR
    monitor = await start(a_server(), wait=2.0)
    began = now()
    await monitor.aclose()
    assert now() == began
    assert reader.cancelled == ["n1"]
    assert reader.closed


OTHER = SecretSource(env="SQL_PASSWORD")


async def test_unchanged_server_keeps_its_reading_and_time(start, reader):
    monitor = await start(a_server(), a_server("n2"), wait=0.1 * INTERVAL)
    before = reading_of(monitor, "n1")
    await monitor.reconfigure(a_config(a_server(), a_server("n3")))
    assert reading_of(monitor, "n1") is before
    await asyncio.sleep(0.8 * INTERVAL)
    assert len(reader.times()) == 1
    await asyncio.sleep(0.2 * INTERVAL)
    assert len(reader.times()) == 2


async def test_running_reading_of_an_unchanged_server_continues(start, reader):
    reader.takes = 100.0
    monitor = await start(a_server(), wait=50.0)
    await monitor.reconfigure(a_config(a_server(), a_server("n2")))
    await asyncio.sleep(60.0)
    assert reader.cancelled == []
    assert reading_of(monitor, "n1").document.sections


async def test_removed_server_is_forgotten(start, reader, recorded):
    monitor = await start(a_server(), a_server("n2"), wait=0.5 * INTERVAL)
    await monitor.reconfigure(a_config(a_server("n2")))
    assert recorded.forgotten == ["n1"]
    assert reading_of(monitor, "n1") is None
    await asyncio.sleep(3 * INTERVAL)
    assert len(reader.times()) == 1


@pytest.mark.parametrize("change", [{"user": "other"}, {"password": OTHER}, {"certificate_sha256": "a" * 64}])
async def test_changed_server_is_read_soon_and_keeps_its_rows(start, reader, change):
    monitor = await start(a_server(), wait=0.5 * INTERVAL)
    await monitor.reconfigure(a_config(a_server(**change)))
    assert reading_of(monitor, "n1").document.sections["keys"]
    await asyncio.sleep(2.0)
    assert len(reader.times()) == 2
    assert reader.states[-1].server == a_server(**change)


async def test_changed_label_is_reported_at_once(start, recorded):
    monitor = await start(a_server(), wait=0.5 * INTERVAL)
    await monitor.reconfigure(a_config(a_server(host="node-a")))
    assert (recorded.readings[-1].sql_instance, recorded.readings[-1].host) == ("SQLPRD01", "node-a")


async def test_error_during_a_reload_stops_no_readings(start, reader, recorded):
    monitor = await start(a_server(), wait=0.5 * INTERVAL)
    recorded.preparations = [ZeroDivisionError()]
    await monitor.reconfigure(a_config(a_server(host="node-a"), a_server("n2")))
    await asyncio.sleep(0.5 * INTERVAL)
    assert [type(error) for error in recorded.errors] == [ZeroDivisionError]
    assert (len(reader.times("n1")), len(reader.times("n2"))) == (2, 1)


async def test_running_reading_of_a_changed_server_is_dropped(start, reader, recorded):
    reader.takes = 100.0
    monitor = await start(a_server(), wait=50.0)
    recorded.readings.clear()
    await monitor.reconfigure(a_config(a_server(user="other")))
    await asyncio.sleep(90.0)
    assert reader.cancelled == ["n1"]
    assert recorded.readings == []
    assert not reading_of(monitor, "n1").document.sections


async def test_changed_credential_of_entra_reads_again(start, reader, recorded):
    server = a_server(user=None, password=None, entra_credential="sql")
    monitor = await start(server, wait=0.5 * INTERVAL)
    await monitor.reconfigure(a_config(server, credentials=[a_credential(client_id="another")]))
    await asyncio.sleep(2.0)
    assert len(reader.times()) == 2
    assert reader.states[-1].credential.client_id == "another"
    assert recorded.errors == []


async def test_shorter_interval_counts_for_waiting_readings(start, reader):
    monitor = await start(a_server(), interval=86400.0, wait=600.0)
    await monitor.reconfigure(a_config(a_server(), interval=60.0))
    began = now()
    await asyncio.sleep(600.0)
    times = reader.times()
    assert times[1] - began <= 60.0
    assert len(times) == 11


async def test_added_server_is_known_from_the_state_directory(start):
    first = await start(a_server(), wait=0.5 * INTERVAL)
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
    first = await start(*servers, wait=1.5 * INTERVAL)
    await first.aclose()
    monitor = await start()
    recorded.readings.clear()
    assert await restored_at_each_step(monitor.reconfigure(a_config(*servers)), recorded) == [1, 2, 3, 4, 5]


async def test_lockout_lives_over_a_reload(start, reader):
    reader.answers["n1"] = [failed("the login was refused", refused=18456), None]
    monitor = await start(a_server(), wait=2.0)
    await monitor.reconfigure(a_config(a_server(host="node-a")))
    await asyncio.sleep(2.0)
    assert reader.states[-1].lockout is not None
    assert reading_of(monitor, "n1").refused


async def test_readings_have_the_order_of_the_configuration(start):
    monitor = await start(a_server(), a_server("n2"))
    await monitor.reconfigure(a_config(a_server("n3"), a_server("n2"), a_server()))
    assert [reading.address for reading in monitor.readings()] == ["n3", "n2", "n1"]
