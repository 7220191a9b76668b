"""The running exporter reads simulated SQL Servers: sign-in, refusals, rights that end, restart, reload, shards, servers that hang."""

import asyncio
import contextlib
import json
import re
from functools import partial

import pytest

from exporter.cli.main import main
from exporter.clients.peers import SQL_SERVERS, ApiAccess, fetch_list
from exporter.config.settings import SecretSource, Settings, SqlServer
from exporter.simulator.build import build_environment, redirect_config
from exporter.simulator.simulator import Simulator
from exporter.sqlserver import monitor
from exporter.sqlserver.document import key_version
from exporter.web.app import create_app
from exporter.web.listener import ListenAddress, WebServer
from exporter.web.options import web_options
from tests.support.factories import with_sql_servers
from tests.support.inventory_command import InventoryCommand
from tests.support.patience import PATIENCE
from tests.support.running import a_service
from tests.support.simulated_sql import CONFIG, DEFAULT, FIRST, SECOND, configuration
from tests.support.sql_monitors import reading_of
from tests.support.values import replace
from tests.support.written import write_private

pytestmark = pytest.mark.asyncio
TENANT = "11111111-2222-3333-4444-555555555555"
WITH_TENANT = CONFIG.replace("type: connector_secret,", f"type: connector_secret, tenant_id: {TENANT},")
EVERY = 0.2  # seconds between two readings


class Fleet:
    """Simulated SQL Servers, a configuration that names them, and exporters for it."""

    def __init__(self, folder, simulator):
        self.folder, self.simulator = folder, simulator
        self.ca, self.password = folder / "ca.pem", folder / "sql-password"
        self.ca.write_bytes(simulator.ca_pem)
        write_private(self.password, simulator.sql.password)
        config = redirect_config(simulator, configuration(folder, WITH_TENANT), self.ca)
        self._config = replace(config, settings=Settings(sql_interval=EVERY))
        self._stack = contextlib.AsyncExitStack()

    def address(self, name=FIRST):
        return f"localhost,{self.simulator.sql.ports[name]}"

    def server(self, name=FIRST, **changes):
        known = {"user": "ekm", "password": SecretSource(file=self.password), "ca_file": self.ca}
        return SqlServer(address=self.address(name), **(known | changes))

    def config(self, *servers):
        return with_sql_servers(self._config, *(servers or (self.server(),)))

    @contextlib.asynccontextmanager
    async def running(self, *servers, **options):
        """Yield an exporter that keeps its state in one folder."""
        service = a_service(self.config(*servers), **({"state_dir": self.folder / "state"} | options))
        try:
            await service.start()
            yield service
        finally:
            await service.stop()

    def logins(self):
        """Count the connections from now on."""
        found, log_in = [], self.simulator.sql.refusal

        def refusal(server, login):
            found.append(login)
            return log_in(server, login)

        self.simulator.sql.refusal = refusal
        return found


@pytest.fixture
async def fleet(tmp_path):
    async with Simulator(build_environment(configuration(tmp_path, WITH_TENANT)), sql_port=0) as simulator:
        yield Fleet(tmp_path, simulator)


async def until(condition):
    """Wait for a condition, and return its value."""
    async with asyncio.timeout(PATIENCE):
        while not (value := condition()):  # noqa: ASYNC110 - other threads
            await asyncio.sleep(0.02)
    return value


async def known(service, address, condition=lambda _: True):
    """Wait until the reading of a server fulfils the condition, and return the reading."""
    found = partial(reading_of, service.sql_servers, address)
    return await until(lambda: reading if (reading := found()).attempted_at and condition(reading) else None)


def failed(reading):
    return reading.failure != ""


def fine(reading):
    return reading.failure == "" and bool(reading.document.sections)


async def test_servers_of_the_configuration_are_read(fleet):
    async with fleet.running(fleet.server(), fleet.server(DEFAULT, host="node-a")) as service:
        first = await known(service, fleet.address(), fine)
        assert (first.sql_instance, first.host) == ("SQLPRD01", "n1")
        assert first.document.sections["keys"]
        assert first.read_at["keys"] == first.attempted_at
        other = await known(service, fleet.address(DEFAULT), fine)
        assert other.host == "node-a"
        assert [reading.address for reading in service.sql_readings()] == [fleet.address(), fleet.address(DEFAULT)]
        await known(service, fleet.address(), lambda reading: reading.attempted_at > first.attempted_at)


async def test_inventory_and_gate_of_an_exporter_have_its_servers(fleet, tmp_path, capsys):
    names = FIRST, SECOND, DEFAULT
    written = {}
    async with fleet.running(*map(fleet.server, names)) as service:
        for name in names:
            await known(service, fleet.address(name), fine)
        async with WebServer(create_app(service, web_options()), [ListenAddress("127.0.0.1", 0)]) as server:
            login = "--sql.user", "ekm", "--sql.password.file", fleet.password, "--sql.ca.file", fleet.ca
            servers = [word for name in names for word in ("--server", fleet.address(name))]
            for way, flags in {"url": ("--url", server.urls[0]), "servers": (*servers, *login)}.items():
                (tmp_path / way).mkdir()
                command = InventoryCommand(tmp_path / way, capsys)
                output = await command.connect(*flags)
                assert "3 instances read, 0 failures; 2 targets" in output
                written[way] = {file.name: without_times(file.read_text()) for file in command.out.iterdir()}
            await asyncio.to_thread(
                main, ["gate", "--all", "--json", "--url", server.urls[0], "--inventory", str(tmp_path / "none")]
            )
            gate = json.loads(capsys.readouterr().out)
            listed = await fetch_list(ApiAccess(url=f"{server.urls[0]}/", timeout=PATIENCE), SQL_SERVERS)
    assert b"SalesKey" in listed
    assert fleet.simulator.sql.password.encode() not in listed
    assert written["url"] == written["servers"]
    assert {*written["url"]} == {"contoso-claims.yml", "contoso-sales.yml", "inventory.json"}
    assert {one["source"] for one in gate["readings"]} == {f"read by the exporter at {gate['exporters'][0]['url']}"}
    assert {one["instance"] for one in gate["proofs"] if one["proven_by"]} == {*gate["instances"]}
    assert len(gate["instances"]) == len(names)
    assert "inventory_missing" not in {one["condition"] for one in gate["reasons"]}


def without_times(text):
    return re.sub(r"20\d\d-\d\d-\d\dT[0-9:.]+", "TIME", text)


async def scraped(service):
    return b"".join([piece async for piece in service.recorder.scrape(openmetrics=False)]).decode()


async def shown(service, text):
    """Wait for a text in the exposition: a thread makes the series after the reading."""
    async with asyncio.timeout(PATIENCE):
        while text not in await scraped(service):  # noqa: ASYNC110 - another thread
            await asyncio.sleep(0.02)


async def test_series_of_a_server_come_and_go(fleet):
    series = 'mssql_ekm_read_success{host="n1",sql_instance="SQLPRD01"}'
    async with fleet.running() as service:
        await shown(service, f"{series} 1")
        fleet.simulator.set_fault("sql_login_refused", sql=FIRST)
        await shown(service, f"{series} 0")
        await service.apply(with_sql_servers(fleet.config()))
        assert series not in await scraped(service)


def differing(service):
    """Return kind and target of each difference of a running exporter."""
    return [(each.kind, each.subject) for each in service.sql_differences()]


async def test_moved_databases_differ_until_the_pin_is_corrected(fleet):
    async with fleet.running() as service:
        await known(service, fleet.address(), fine)
        assert differing(service) == []
        fleet.simulator.set_fault("sql_databases_moved", sql=FIRST)
        await until(lambda: differing(service) == [("other_version", "sales")])
        (found,) = service.sql_differences()
        labels = f'",host="n1",key_uri="{found.key_uri}",kind="other_version",sql_instance="SQLPRD01",target="sales"'
        assert labels in await scraped(service)
        config = fleet.config()
        version, sales = key_version(found.key_uri), config.targets["sales"]
        pinned = replace(sales, key_name=version.name, key_version=version.version, thumbprint=found.thumbprint)
        await service.apply(replace(config, targets={**config.targets, "sales": pinned}))
        assert differing(service) == []
        assert "mssql_ekm_difference_databases{" not in await scraped(service)
        await service.apply(config)
        assert differing(service) == [("other_version", "sales")]
        fleet.simulator.clear()
        await until(lambda: differing(service) == [])
        fleet.simulator.set_fault("sql_database_added", sql=FIRST)
        await until(lambda: differing(service) == [("key_not_probed", "")])
        await service.apply(with_sql_servers(fleet.config()))
        assert differing(service) == []


async def test_refused_login_is_tried_once_over_reload_and_restart(fleet, caplog):
    logins = fleet.logins()
    write_private(fleet.password, "wrong-password")
    async with fleet.running() as service:
        reading = await known(service, fleet.address(), lambda reading: reading.refused)
        assert "18456" in reading.failure
        await service.apply(fleet.config(fleet.server(host="n1")))
        await asyncio.sleep(3 * EVERY)  # nothing happens
    async with fleet.running() as service:
        assert reading_of(service.sql_servers, fleet.address()).refused
        await asyncio.sleep(3 * EVERY)  # nothing happens
    assert len(logins) == 1
    assert "wrong-password" not in caplog.text
    for file in (fleet.folder / "state").iterdir():
        assert "wrong-password" not in file.read_text()


async def test_last_reading_is_known_after_a_restart(fleet):
    async with fleet.running() as service:
        before = await known(service, fleet.address(), fine)
    fleet.simulator.set_fault("sql_silent", sql=FIRST)
    async with fleet.running() as service:
        after = reading_of(service.sql_servers, fleet.address())
        assert after.document.sections == before.document.sections
        assert after.read_at.keys() == before.read_at.keys()
    assert fleet.simulator.sql.password not in "".join(file.read_text() for file in (fleet.folder / "state").iterdir())


async def test_reload_forgets_a_removed_server_and_keeps_another(fleet):
    async with fleet.running(fleet.server(), fleet.server(DEFAULT)) as service:
        for name in (FIRST, DEFAULT):
            await known(service, fleet.address(name), fine)
        await service.apply(fleet.config(fleet.server(DEFAULT)))
        assert reading_of(service.sql_servers, fleet.address()) is None
        assert fine(reading_of(service.sql_servers, fleet.address(DEFAULT)))
    names = [json.loads(file.read_text())["name"] for file in (fleet.folder / "state").glob("sql_server-*.json")]
    assert names == [fleet.address(DEFAULT)]


async def test_token_of_entra_signs_in(fleet):
    logins = fleet.logins()
    server = fleet.server(user=None, password=None, entra_credential="tde")
    async with fleet.running(server) as service:
        await known(service, fleet.address(), fine)
    assert all(login.token and not login.password for login in logins)


async def test_token_is_sent_to_no_unverified_server(fleet):
    logins = fleet.logins()
    server = fleet.server(user=None, password=None, entra_credential="tde", ca_file=None)
    async with fleet.running(server) as service:
        reading = await known(service, fleet.address(), failed)
    assert "the certificate's issuer is not trusted" in reading.failure
    assert logins == []


async def test_stop_does_not_wait_for_a_server_that_hangs(fleet, monkeypatch):
    monkeypatch.setattr(monitor, "ServerReader", partial(monitor.ServerReader, seconds=PATIENCE))
    fleet.simulator.set_fault("sql_silent", sql=FIRST)
    async with asyncio.timeout(PATIENCE / 2), fleet.running():
        await until(lambda: fleet.simulator.sql._sessions)


async def test_exporter_without_a_scheduler_reads_none(fleet):
    logins = fleet.logins()
    async with fleet.running(scheduler=False) as service:
        await asyncio.sleep(3 * EVERY)  # nothing happens
        assert service.sql_servers.readings() == ()
    assert logins == []
