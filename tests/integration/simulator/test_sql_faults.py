"""Faults, restarts and the registry of simulated SQL Servers, through python-tds."""

import asyncio
from dataclasses import replace

import pytds
import pytest

from exporter.simulator.build import build_environment
from exporter.simulator.environment import DEFINITIONS, SECURITY
from exporter.simulator.faults import FaultScope, Options, UnknownNameError
from exporter.simulator.sql_answers import ROOT, section_lines
from exporter.simulator.sql_servers import SqlServers
from exporter.sqlserver import script
from exporter.sqlserver.document import read_documents
from exporter.sqlserver.instance import instance_of
from exporter.sqlserver.script import proof_script
from tests.support.simulated_sql import FIRST, NEW, OLD, batches, client, configuration, script_output

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


async def test_refused_login_is_message_18456_until_the_fault_ends(servers):
    set_fault(servers, "sql_login_refused")
    with pytest.raises(pytds.OperationalError, match="Login failed"):
        await run(servers, "SELECT 1")
    servers.state.clear()
    assert await run(servers, "SELECT 1") == [(1,)]


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


async def test_missing_security_right_hides_encryption(servers):
    set_fault(servers, "sql_right_missing", right=SECURITY)
    assert list((await read(servers)).errors) == ["encryption"]


async def test_line_of_the_error_log_has_its_code_and_time(servers):
    set_fault(servers, "sql_errors_logged")
    batch = dict(proof_script())["errors"]
    lines = await run(servers, batch)
    assert '{"code":"3303","lines":1,"first_utc":' in "".join(line.strip("|") for (line,) in lines)


async def test_section_without_its_rows_is_damaged(servers):
    set_fault(servers, "sql_section_damaged", view="keys")
    assert await run(servers, dict(script.batches())["keys"]) == [(line,) for line in section_lines("keys", None)]
    found = await read(servers)
    assert (found.keys, list(found.errors)) == ((), ["keys"])


async def test_missing_view_is_message_208(servers):
    set_fault(servers, "sql_view_missing", view="availability_groups")
    found = await read(servers)
    assert set(found.errors) == {"databases", "replicas"}
    assert "message 208: Invalid object name 'sys.availability_groups'." in found.errors["replicas"]


async def test_sql_server_2014_knows_no_json(servers):
    set_fault(servers, "sql_2014")
    with pytest.raises(pytds.Error, match="Incorrect syntax near 'JSON'"):
        await run(servers, batches()[0])


async def test_restart_with_a_broken_vault_side_leaves_databases_closed(servers):
    servers.state.set("key_disabled", FaultScope.VAULT, HOST)
    assert [one.state for one in (await read(servers)).databases] == ["ONLINE"]

    servers.restart(FIRST)
    closed = await read(servers)
    assert [(one.state, one.thumbprint) for one in closed.databases] == [("RECOVERY_PENDING", "")]
    assert [one.thumbprint for one in closed.keys] == [SALES]

    servers.state.clear()
    servers.restart(FIRST)
    assert [(one.state, one.thumbprint) for one in (await read(servers)).databases] == [("ONLINE", SALES)]


@pytest.mark.parametrize(
    ("fault", "scope", "name", "opens"),
    [
        ("key_disabled", FaultScope.VAULT, HOST, False),
        ("permission_removed", FaultScope.VAULT, HOST, False),
        ("firewall", FaultScope.VAULT, HOST, False),
        ("unresolvable", FaultScope.VAULT, HOST, False),
        ("tls_expired", FaultScope.VAULT, HOST, False),
        ("throttled", FaultScope.VAULT, HOST, False),
        ("secret_expired", FaultScope.APPLICATION, "tde", False),
        ("silent", FaultScope.AUTHORITY, "login.microsoftonline.com", False),
        ("key_expired", FaultScope.VAULT, HOST, True),
        ("delayed", FaultScope.VAULT, HOST, True),
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


async def test_moved_databases_have_the_thumbprint_of_another_version(servers):
    set_fault(servers, "sql_databases_moved")
    (database,) = (await read(servers)).databases
    found = await read(servers)
    assert database.thumbprint not in {SALES, CLAIMS}
    assert {one.thumbprint for one in found.keys} == {SALES, database.thumbprint}

    servers.state.clear()
    assert [one.thumbprint for one in (await read(servers)).databases] == [SALES]


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


async def test_added_database_uses_a_key_of_no_target(servers):
    set_fault(servers, "sql_database_added")
    found = await read(servers)
    assert [one.name for one in found.databases] == ["not-in-configuration", "sales"]
    assert len({one.thumbprint for one in found.databases}) == 2


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


async def test_unknown_server_cannot_be_restarted(servers):
    with pytest.raises(UnknownNameError, match="there is no sql 'N9'"):
        servers.restart("N9")


async def test_same_configuration_makes_the_same_servers(tmp_path):
    config = configuration(tmp_path)
    first, second = (build_environment(config).sql_servers for _ in range(2))
    same = [replace(one, started=0.0, altered=0.0) for one in first.values()]
    assert same == [replace(one, started=0.0, altered=0.0) for one in second.values()]


async def test_silent_server_does_not_stop_the_others(tmp_path):
    async with SqlServers(build_environment(configuration(tmp_path))) as servers:
        set_fault(servers, "sql_silent")
        reader, writer = await asyncio.open_connection("127.0.0.1", servers.ports[FIRST])
        assert await run(servers, "SELECT 1", "N3") == [(1,)]
        writer.close()
        await writer.wait_closed()
        assert reader is not None
