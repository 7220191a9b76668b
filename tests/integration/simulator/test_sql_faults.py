"""Faults, restarts and the registry of simulated SQL Servers, through python-tds."""

import asyncio

import pytds
import pytest

from exporter.simulator.build import build_environment
from exporter.simulator.environment import DEFINITIONS
from exporter.simulator.faults import FaultScope, Options
from exporter.simulator.sql_answers import ROOT
from exporter.sqlserver.document import read_documents
from exporter.sqlserver.instance import instance_of
from tests.support.simulated_sql import FIRST, NEW, OLD, batches, client, configuration, script_output
from tests.support.values import replace

pytestmark = pytest.mark.asyncio
SALES, CLAIMS = "0x" + "A1" * 20, "0x" + "C3" * 20
HOST = "contoso-sales.vault.azure.net"


async def read(servers, name=FIRST):
    """Return what the inventory makes of the script's output."""

    def work():
        with client(servers, name) as cursor:
            return script_output(cursor)

    (document,) = read_documents(await asyncio.to_thread(work))
    return instance_of(document)


async def run(servers, statement, name=FIRST):
    def work():
        with client(servers, name) as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    return await asyncio.to_thread(work)


def set_fault(servers, fault, **options):
    servers.state.set(fault, FaultScope.SQL, FIRST, Options(**options))


async def test_missing_state_right_fails_its_sections_alone(servers):
    set_fault(servers, "sql_right_missing")
    found = await read(servers)
    assert list(found.errors) == ["modules"]
    assert found.started_utc  # tempdb shows it to every login
    assert "VIEW SERVER PERFORMANCE STATE permission was denied on object 'server'" in found.errors["modules"]


async def test_missing_definitions_count_as_unread(servers):
    set_fault(servers, "sql_right_missing", right=DEFINITIONS)
    found = await read(servers)
    assert set(found.errors) == {"credentials", "keys", "logins", "replicas"}
    assert (found.keys, found.credentials, found.replicas) == ((), (), ())
    assert [one.thumbprint for one in found.databases] == [SALES]


async def test_missing_view_is_message_208(servers):
    set_fault(servers, "sql_view_missing", view="availability_groups")
    found = await read(servers)
    assert set(found.errors) == {"databases", "replicas"}
    assert "message 208: Invalid object name 'sys.availability_groups'." in found.errors["replicas"]


async def test_sql_server_2014_knows_no_json(servers):
    set_fault(servers, "sql_2014")
    with pytest.raises(pytds.Error, match="Incorrect syntax near 'JSON'"):
        await run(servers, batches()[0])


@pytest.mark.parametrize(
    ("fault", "scope", "name", "opens"),
    [
        ("key_disabled", FaultScope.VAULT, HOST, False),
        ("unresolvable", FaultScope.VAULT, HOST, False),
        ("secret_expired", FaultScope.APPLICATION, "tde", False),
        ("silent", FaultScope.AUTHORITY, "login.microsoftonline.com", False),
        ("key_expired", FaultScope.VAULT, HOST, True),
        ("key_rotated", FaultScope.VAULT, HOST, True),
        ("firewall", FaultScope.VAULT, "contoso-claims", True),
        ("graph_permission_removed", FaultScope.APPLICATION, "tde", True),
    ],
)
async def test_restart_depends_on_what_an_unwrap_needs(servers, fault, scope, name, opens):
    servers.state.set(fault, scope, name)
    assert [one.state == 0 for one in servers.restart(FIRST).databases] == [opens]


async def test_fault_of_another_key_version_does_not_stop_a_restart(servers):
    def rotate(vault):
        key = vault.keys["saleskey"]
        newest = replace(key.versions[0], version=NEW)
        return replace(vault, keys={"saleskey": replace(key, versions=(*key.versions, newest))})

    servers.state.change_vault(HOST, rotate)
    servers.state.set("vault_forbidden", FaultScope.VAULT, HOST, Options(version=NEW))
    assert [one.state for one in servers.restart(FIRST).databases] == [0]
    servers.state.set("vault_forbidden", FaultScope.VAULT, HOST, Options(version=OLD))
    assert [one.state for one in servers.restart(FIRST).databases] == [3]


async def test_databases_move_to_the_newest_version_of_the_vault(servers):
    def rotate(vault):
        key = vault.keys["saleskey"]
        newest = replace(key.versions[0], version=NEW, material=key.versions[0].material + 1)
        return replace(vault, keys={**vault.keys, "saleskey": replace(key, versions=(*key.versions, newest))})

    servers.state.change_vault(HOST, rotate)
    set_fault(servers, "sql_databases_moved")
    found = await read(servers)
    (database,) = found.databases
    uris = await run(servers, f"EXEC master.dbo.xp_regread N'HKEY_LOCAL_MACHINE', N'{path(database.thumbprint)}', N'KeyUri';")
    assert uris == [("KeyUri", f"https://{HOST}/keys/SalesKey/{NEW}")]
    assert len({one.public_key for one in found.keys}) == 2


def path(thumbprint=""):
    return f"{ROOT}\\https://{HOST}\\{thumbprint}"


async def test_registry_is_read_key_by_key(servers):
    enumerated = "EXEC master.dbo.xp_regenumkeys N'HKEY_LOCAL_MACHINE', N'{}';"
    assert await run(servers, enumerated.format(ROOT)) == [(f"https://{HOST}",)]
    assert await run(servers, enumerated.format(path())) == [(SALES,)]
    value = f"EXEC master.dbo.xp_instance_regread N'HKEY_LOCAL_MACHINE', N'{path(SALES)}', N'KeyUri'"
    assert await run(servers, value) == [("KeyUri", f"https://{HOST}/keys/SalesKey/{OLD}")]


async def test_missing_registry_key_is_an_information_message(servers):
    assert await run(servers, f"EXEC master.dbo.xp_regread N'HKEY_LOCAL_MACHINE', N'{path('0x00')}', N'KeyUri'") == []


async def test_registry_that_may_not_be_read_is_message_229(servers):
    set_fault(servers, "sql_registry_refused")
    with pytest.raises(pytds.Error, match="EXECUTE permission was denied on the object 'xp_regenumkeys'"):
        await run(servers, f"EXEC master.dbo.xp_regenumkeys N'HKEY_LOCAL_MACHINE', N'{ROOT}';")


async def test_same_configuration_makes_the_same_servers(tmp_path):
    config = configuration(tmp_path)
    first, second = (build_environment(config).sql_servers for _ in range(2))
    same = [replace(one, started=0.0, altered=0.0) for one in first.values()]
    assert same == [replace(one, started=0.0, altered=0.0) for one in second.values()]
