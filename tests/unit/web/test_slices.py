"""Pages of a large fleet let other tasks run."""

import pytest

from exporter.config.settings import Module
from exporter.runtime.loop import MOST_AT_ONCE
from exporter.web import api, app
from tests.support.sql_readings import a_reading
from tests.support.turns import MOST_CALLS, SECONDS_PER_CALL, busy_turns, counted_calls
from tests.support.web_factories import config, good, target
from tests.support.web_fleets import all_silent, firewall_change, refusing_vaults, three_causes
from tests.support.web_server import Service, get, serving

NOW = 1767323050.0
TARGETS = 2000
BUSY_TURN = 0.035  # seconds of all other tasks, as with 5,000 targets every minute
MOST_TURNS = 40


@pytest.fixture(scope="module", params=[three_causes, all_silent, firewall_change, refusing_vaults])
def service(request):
    return request.param(TARGETS, NOW)


@pytest.fixture(scope="module")
def large_key():
    """A key of a hundred targets, each with a hundred SQL Servers; those of the first three are read."""
    hosts = {f"t{number}": [f"h{number}-{each}" for each in range(100)] for number in range(100)}
    targets = [
        target(name, thumbprint="0x2C56", instances=tuple({"sql_instance": "SQLPRD01", "host": host} for host in named))
        for name, named in hosts.items()
    ]
    service = Service(config(*targets))
    service.readings = [a_reading(address=host, host=host) for name in ("t0", "t1", "t2") for host in hosts[name]]
    service.add_reports(*(good(each.name, started_at=NOW - 60) for each in targets))
    return service


@pytest.mark.parametrize("path", ["/targets/t0/audit", "/api/v1/targets/t0/audit"])
async def test_no_part_of_an_audit_holds_the_event_loop(monkeypatch, large_key, path):
    monkeypatch.setattr(api.time, "time", lambda: NOW)
    async with serving(large_key) as session, counted_calls() as found:
        status, _, text = await get(session, path)
    assert status == 200
    assert "10,000 SQL Servers" in text or '"sql_servers": 10000' in text
    assert len(text) < 200_000
    assert max(found) < MOST_CALLS


async def test_no_part_of_the_configuration_holds_the_event_loop():
    hosts = {f"contoso-v{number:04}.vault.azure.net:443": "10.0.0.4:8443" for number in range(5 * TARGETS)}
    large = config(target(), modules={"default": Module(name="default", connect_to=hosts)})
    async with serving(Service(large)) as session, counted_calls() as found:
        status, _, text = await get(session, "/config")
    assert (status, text.count("10.0.0.4:8443")) == (200, len(hosts))
    assert max(found) < MOST_CALLS


@pytest.mark.parametrize(
    "path", ["/", "/?causes=all&label=env", "/targets", "/changes", "/explain", "/api/v1/targets", "/calendar.ics"]
)
async def test_no_part_of_a_page_holds_the_event_loop(monkeypatch, service, path):
    monkeypatch.setattr(app.time, "time", lambda: NOW)
    async with serving(service) as session:
        await get(session, "/explain")  # made once
        async with counted_calls() as found:
            status, _, _ = await get(session, path)
    assert status == 200
    assert max(found) < MOST_CALLS


@pytest.mark.parametrize("path", ["/", "/targets", "/changes", "/calendar.ics"])
@pytest.mark.parametrize(("turn", "turns"), [(BUSY_TURN, MOST_TURNS), (3 * BUSY_TURN, MOST_TURNS / 3)])
async def test_a_page_waits_for_few_turns_of_a_busy_loop(monkeypatch, service, path, turn, turns):
    async with serving(service) as session:
        await get(session, "/explain")
        with busy_turns(monkeypatch, turn) as slices:
            status, _, _ = await get(session, path)
    assert status == 200
    assert len(slices) < turns
    assert max(slices) < max(MOST_AT_ONCE, turn / 3) / SECONDS_PER_CALL + MOST_CALLS
