"""Many simulated SQL Servers in one process, their derivation, and the commands around them."""

import asyncio
import contextlib
import json
import urllib.error
import urllib.request

import pytds
import pytest

from exporter.core.values import Generation
from exporter.simulator.build import build_environment, server_name, simulated_sql_servers
from exporter.simulator.simulator import Simulator
from exporter.simulator.sql_servers import SqlServers
from exporter.sqlserver.document import read_documents
from exporter.sqlserver.instance import instance_of
from tests.support.simulated_sql import DEFAULT, FIRST, OLD, SECOND, client, configuration, script_output
from tests.support.simulator_client import Client

pytestmark = pytest.mark.asyncio
SQL_RESOURCE = "https://database.windows.net/"


@pytest.mark.parametrize(
    ("instance", "name"),
    [
        ({"sql_instance": "SQLPRD01", "host": "n1"}, "N1\\SQLPRD01"),
        ({"sql_instance": "SQLPRD01", "host": "n1.contoso.local"}, "N1\\SQLPRD01"),
        ({"sql_instance": "n1", "host": "n1"}, "N1"),
        ({"sql_instance": "MSSQLSERVER", "host": "n1"}, "N1"),
        ({"sql_instance": "SQLPRD01"}, "SQLPRD01"),
    ],
)
async def test_server_name_comes_from_host_and_instance(instance, name):
    assert server_name(instance) == name


MIXED = f"""
credentials:
  tde: {{type: connector_secret, secret_file: tde.txt}}
  host: {{type: managed_identity}}
target_defaults: {{instances: [{{sql_instance: n1, host: n1}}]}}
targets:
  - {{name: one, vault: contoso-one, key: Key/{OLD}, credential: tde, connector_generation: classic}}
  - {{name: two, vault: contoso-two, key: Other/{OLD}, credential: tde}}
  - {{name: hsm, vault: contoso-hsm.managedhsm.azure.net, key: Third/{OLD}, credential: host}}
"""


async def test_credentials_of_a_server_belong_to_one_vault_each(tmp_path):
    (server,) = build_environment(configuration(tmp_path, MIXED)).sql_servers.values()
    assert server.credentials == {
        "tde": "contoso-one",
        "tde-contoso-two": "contoso-two",
        "contoso-hsm.managedhsm.azure.net": "Managed Identity",
    }


@pytest.mark.parametrize("generation", Generation)
async def test_inventory_finds_the_generation_of_the_connector(tmp_path, generation):
    text = MIXED.replace("connector_generation: classic", f"connector_generation: {generation}")

    def read(servers):
        with client(servers, "N1") as cursor:
            return instance_of(read_documents(script_output(cursor))[0])

    async with SqlServers(build_environment(configuration(tmp_path, text))) as servers:
        found = await asyncio.to_thread(read, servers)
    assert [provider.generation for provider in found.providers] == [generation]


@contextlib.asynccontextmanager
async def simulator_of(config):
    async with Simulator(build_environment(config), sql_port=0, sql_password="marked-password") as simulator:
        yield simulator


def send(url, document=None):
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
        return json.loads(answer.read())


async def test_management_port_lists_and_restarts_servers(tmp_path):
    async with simulator_of(configuration(tmp_path)) as simulator:
        state = await asyncio.to_thread(send, f"{simulator.management_url}/sim/state")
        address = simulator.sql.addresses[FIRST]
        assert state["sql_servers"][0] == {"sql": FIRST, "address": address, "databases": {"sales": "ONLINE"}}
        assert "marked-password" not in json.dumps(state)

        simulator.apply("unwrap_forbidden", vault="contoso-sales")
        answer = await asyncio.to_thread(send, f"{simulator.management_url}/sim/restart", {"sql": FIRST.lower()})
    assert answer == {"sql": FIRST, "databases": {"sales": "RECOVERY_PENDING"}}


async def test_management_port_changes_the_day_of_one_server_or_of_all(tmp_path):
    async with simulator_of(configuration(tmp_path)) as simulator:
        address = f"{simulator.management_url}/sim/day"
        (changed,) = (await asyncio.to_thread(send, address, {"sql": FIRST.lower(), "every": 10, "trace_flag": True}))["days"]
        days = {day["sql"]: day for day in (await asyncio.to_thread(send, address))["days"]}
        every_day = (await asyncio.to_thread(send, address, {"speed": 60}))["days"]
    assert (changed["sql"], changed["every"], changed["trace_flag"]) == (FIRST, 10, True)
    assert days[FIRST].keys() == changed.keys()
    assert {name: day["every"] for name, day in days.items()} == {FIRST: 10, SECOND: 900, DEFAULT: 900}
    assert days[FIRST]["databases"]["sales"]["writes"] is True
    assert days[FIRST]["databases"]["sales"]["finished"].keys() == {"D", "L"}
    assert days[FIRST]["error_log"] == {}
    assert {day["sql"]: day["speed"] for day in every_day} == {FIRST: 60, SECOND: 60, DEFAULT: 60}


@pytest.mark.parametrize(
    ("path", "documents"),
    [
        ("restart", [[], {}, {"sql": 1}, {"sql": "N9"}, {"sql": FIRST, "more": 1}]),
        ("fault", [{"sql": FIRST, "fault": "sql_right_missing", "right": "VIEW ANYTHING"}]),
        (
            "day",
            [[], {"sql": "N9"}, {"evry": 1}, {"every": "1"}, {"every": -1}, {"every": True}, {"every": 0.001}, {"every": None}],
        ),
        ("day", [{"vlf_kb": 1.5}, {"speed": 0}, {"kb_per_second": 1e9}, {"trace_flag": 1}, {"trace_flag": None}]),
    ],
)
async def test_what_cannot_be_played_is_a_bad_request(tmp_path, path, documents):
    async with simulator_of(configuration(tmp_path)) as simulator:
        for document in documents:
            with pytest.raises(urllib.error.HTTPError, match="400") as error:
                await asyncio.to_thread(send, f"{simulator.management_url}/sim/{path}", document)
            error.value.close()


async def test_configuration_names_the_simulated_servers_alone(tmp_path):
    config = configuration(tmp_path)
    async with simulator_of(config) as simulator:
        found = simulated_sql_servers(simulator, tmp_path)
        ports = simulator.sql.ports
    assert {one.address: (one.sql_instance, one.host) for one in found.values()} == {
        f"127.0.0.1,{ports[FIRST]}": ("SQLPRD01", "n1"),
        f"127.0.0.1,{ports[SECOND]}": ("SQLPRD01", "n2"),
        f"127.0.0.1,{ports[DEFAULT]}": ("n3", "n3"),
    }
    assert {(one.user, one.password.file, one.ca_file) for one in found.values()} == {
        ("ekm", tmp_path / "sql-password", tmp_path / "ca.pem")
    }
    async with Simulator(build_environment(config)) as simulator:
        assert simulated_sql_servers(simulator, tmp_path) == {}


async def test_token_of_the_simulated_entra_signs_in(tmp_path):
    def work(servers, token):
        options = {"user": None, "password": None, "cafile": str(tmp_path / "ca.pem"), "access_token_callable": lambda: token}
        with client(servers, **options) as cursor:
            return cursor.execute_scalar("SELECT 1")

    async with simulator_of(configuration(tmp_path)) as simulator:
        (tmp_path / "ca.pem").write_bytes(simulator.ca_pem)
        assert await asyncio.to_thread(work, simulator.sql, await token_for(simulator, SQL_RESOURCE)) == 1
        for wrong in (await token_for(simulator, "https://vault.azure.net"), "marked-token"):
            with pytest.raises(pytds.OperationalError, match="token-identified principal"):
                await asyncio.to_thread(work, simulator.sql, wrong)


async def token_for(simulator, resource):
    """Return a token of the application `tde`, from the simulated Entra ID."""
    tenant, client_id = simulator.state.locate_application("tde")
    async with Client(simulator) as found:
        return await found.token(tenant=tenant, client=client_id, secret="marked-secret", resource=resource)
