"""What is looked up on a Windows host, with a registry and functions that the test gives."""

import asyncio
import struct
import threading
from pathlib import Path

import pytest

from exporter.doctor import host_facts
from exporter.doctor.host_facts import Windows, facts_of_host, look_up_host
from exporter.doctor.host_rules import (
    ConnectorFile,
    ConnectorKey,
    ProxySettings,
    RuntimeLibrary,
    TlsSettings,
    Unreadable,
)
from exporter.knowledge.code_row import REGISTRY_KEY
from exporter.windows.api import MACHINE, USERS, WindowsCallError, link_time
from exporter.windows.rules import ADMINISTRATORS, SYSTEM, ServiceState, WindowsResponse
from tests.support.patience import PATIENCE
from tests.support.values import replace
from tests.support.windows_facts import ACCOUNT, SID, URI, an_instance, descriptor, full
from tests.support.windows_facts import host_facts as facts
from tests.unit.doctor.test_checks_host import a_reading
from tests.unit.doctor.test_checks_vault import vault_at

SERVICE = r"SYSTEM\CurrentControlSet\Services\MSSQLSERVER"
INSTANCES = r"SOFTWARE\Microsoft\Microsoft SQL Server\Instance Names\SQL"
INTERNET = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings"
POLICY = r"SOFTWARE\Policies\Microsoft\Windows\CurrentVersion\Internet Settings"
UNINSTALL = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"
ENTRY = rf"{REGISTRY_KEY}\Azure Key Vault\vault\0A"
DOMAIN = "S-1-5-21-1-2-3-1001"


class FakeRegistry:
    """Keys with their values by root and path, as `RegistryReader` has them. Windows ignores the case of names."""

    def __init__(self, machine, users=None, denied=()):
        self._keys = {
            (root, path.lower()): values
            for root, keys in ((MACHINE, machine), (USERS, users or {}))
            for path, values in keys.items()
        }
        self._denied = {path.lower() for path in denied}

    def _check(self, path, root):
        if path.lower() in self._denied:
            raise PermissionError
        if not self._exists(path, root):
            raise FileNotFoundError

    def _exists(self, path, root):
        return any(place == root and (key + "\\").startswith(path.lower() + "\\") for place, key in self._keys)

    def exists(self, path, root=MACHINE):
        return self._exists(path, root)

    def values(self, path, root=MACHINE):
        self._check(path, root)
        return self._keys.get((root, path.lower()), {})

    def keys(self, path, root=MACHINE):
        self._check(path, root)
        below = [
            key.removeprefix(path.lower() + "\\")
            for place, key in self._keys
            if place == root and key.startswith(path.lower() + "\\")
        ]
        return tuple(dict.fromkeys(name.partition("\\")[0] for name in below))

    def tree(self, path, most):
        yield from [path, ENTRY][:most]

    def descriptor(self, path):
        self._check(path, MACHINE)
        return descriptor((0, 2, 0xF003F, SID), (0, 2, 0xF003F, SYSTEM))


def unknown_account(account):
    raise OSError(account)


def windows(machine=None, users=None, denied=(), **functions):
    given = {
        "sid_of": {"sql": DOMAIN, r"CONTOSO\sql": DOMAIN}.__getitem__,
        "name_of": {SID: (ACCOUNT, True), SYSTEM: ("SYSTEM", False), ADMINISTRATORS: ("Administrators", True)}.__getitem__,
        "members": {"Administrators": (DOMAIN,), ACCOUNT: ()}.__getitem__,
        "own_account": lambda: r"CONTOSO\dba",
        "service_state": {"MSSQLSERVER": ServiceState(4), "MSSQL$PROD": ServiceState(1), "W32Time": ServiceState(4)}.get,
        "file_version": lambda _path: None,
        "newest_events": lambda _channel, _query, _most: (),
        "request": lambda *_request: WindowsResponse(200),
    }
    return Windows(registry=FakeRegistry(machine or {}, users, denied), **given | functions)


async def looked_up(*keys, vault="", **functions):
    return await look_up_host(vault, {}, windows=windows(*keys, **functions))


SQL_SERVER = {
    INSTANCES: {"MSSQLSERVER": "MSSQL16.MSSQLSERVER", "PROD": "MSSQL12.PROD"},
    SERVICE: {"ObjectName": ACCOUNT, "ServiceSidType": 1},
    r"SYSTEM\CurrentControlSet\Services\MSSQL$PROD": {"ObjectName": r".\sql"},
    r"SOFTWARE\Microsoft\Microsoft SQL Server\MSSQL12.PROD\Cluster": {},
}


def test_instances_have_account_state_version_and_cluster():
    default, named = host_facts.instances(windows(SQL_SERVER))
    assert default == an_instance()
    assert (named.name, named.account, named.state, named.major) == ("PROD", r".\sql", "stopped", 12)
    assert (named.sid, named.clustered) == (DOMAIN, True)


def test_host_without_sql_server_has_no_instance():
    assert host_facts.instances(windows()) == ()


def unknown_state(name):
    raise OSError(name)


@pytest.mark.parametrize("state", [unknown_state, lambda _name: None, lambda _name: ServiceState(0)])
def test_account_and_state_may_be_unknown(state):
    machine = {INSTANCES: {"PROD": "odd"}, r"SYSTEM\CurrentControlSet\Services\MSSQL$PROD": {"ObjectName": r"GONE\sql"}}
    (found,) = host_facts.instances(windows(machine, sid_of=unknown_account, service_state=state))
    assert (str(found), found.sid, found.major) == (r"GONE\sql (PROD, in an unknown state)", "", None)


LINKED = 1_731_110_400


@pytest.mark.parametrize(
    ("signature", "linked", "expected"),
    [
        (b"PE\0\0", LINKED, float(LINKED)),
        (b"PE\0\0", 0, None),
        (b"PE\0\0", 2**32 - 1, None),  # a reproducible build has any number there
        (b"NE\0\0", LINKED, None),
    ],
)
def test_link_time_is_that_of_the_header(tmp_path, signature, linked, expected):
    file = tmp_path / "some.dll"
    file.write_bytes(
        b"MZ".ljust(60, b"\0") + (128).to_bytes(4, "little") + bytes(64) + signature + bytes(4) + linked.to_bytes(4, "little")
    )
    assert link_time(file) == expected
    file.write_bytes(b"MZ")
    assert link_time(file) is None
    assert link_time(tmp_path / "none.dll") is None


def test_files_are_those_of_the_folder_and_of_sql_server(monkeypatch):
    monkeypatch.setenv("ProgramFiles", "P")
    default = str(Path("P", "SQL Server Connector for Microsoft Azure Key Vault", "Microsoft.AzureKeyVaultService.EKM.dll"))
    versions = {Path(default): (15, 0, 2000, 440), Path("D:/other.dll"): None}
    calls = windows(file_version=versions.__getitem__, link_time={Path(default): 1.7e9}.__getitem__)
    assert host_facts.connector_files(calls, {}) == (ConnectorFile(path=default, version=(15, 0, 2000, 440), linked=1.7e9),)
    assert host_facts.connector_files(calls, {"D:/other.dll": ()})[1:] == (
        ConnectorFile(path="D:/other.dll", version=None, of_sql_server=True),
    )


def test_path_of_sql_server_may_differ_in_case(monkeypatch):
    monkeypatch.setenv("ProgramFiles", "P")
    path = str(Path("p", "sql server connector for microsoft azure key vault", "microsoft.azurekeyvaultservice.ekm.dll"))
    (found,) = host_facts.connector_files(windows(file_version=lambda _path: (15,)), {path: (15,)})
    assert (found.path, found.of_sql_server, found.loaded) == (path, True, (15,))


def test_runtimes_are_registered_in_two_ways_or_only_files():
    machine = {
        r"SOFTWARE\WOW6432Node\Microsoft\VisualStudio\14.0\VC\Runtimes\x64": {"Installed": 1, "Version": "v14.38.33130.00"},
        r"SOFTWARE\Microsoft\VisualStudio\12.0\VC\Runtimes\x64": {"Installed": 0},
        rf"{UNINSTALL}\a": {"DisplayName": "Microsoft Visual C++ 2013 Redistributable (x64) - 12.0.40664", "DisplayVersion": "12.0.40664.0"},
        rf"{UNINSTALL}\b": {"DisplayName": "Microsoft Visual C++ 2013 Redistributable (x86)", "DisplayVersion": "12.0"},
        rf"{UNINSTALL}\c": {},
    }  # fmt: skip
    found = host_facts.runtime_libraries(windows(machine, file_version=lambda path: () if path.name == "msvcr120.dll" else None))
    assert found == (
        RuntimeLibrary("Microsoft Visual C++ 2013 Redistributable (x64) - 12.0.40664", (12, 0, 40664, 0)),
        RuntimeLibrary("Visual C++ runtime for x64", (14, 38, 33130, 0)),
        RuntimeLibrary("msvcr120.dll", (12,), registered=False),
    )


def test_key_has_its_rights_entries_and_names():
    found = host_facts.connector_key(windows({ENTRY: {"KeyUri": URI}}))
    assert [(entry.path, entry.key_uri) for entry in found.entries] == [("", ""), (r"Azure Key Vault\vault\0A", URI)]
    assert found.entries[0].rights == (full(), full(SYSTEM))
    assert found.groups == {SID: ACCOUNT, ADMINISTRATORS: "Administrators"}
    assert found.members[ADMINISTRATORS] == (DOMAIN,)
    assert host_facts.connector_key(windows()) == ConnectorKey(entries=())


BLOB = struct.pack("<IIII", 0x46, 1, 3, 3) + b"p:1" + struct.pack("<II", 0, 0)
DETECTING = struct.pack("<IIIIII", 0x46, 1, 9, 0, 0, 0)


@pytest.mark.parametrize(
    ("machine", "users", "expected"),
    [
        ({}, {}, None),
        ({}, {SID: {}}, ProxySettings()),
        ({}, {rf"{SID}\{INTERNET}": {"ProxyEnable": 1, "ProxyServer": "p:2"}}, ProxySettings(proxy="p:2")),
        ({}, {rf"{SID}\{INTERNET}\Connections": {"DefaultConnectionSettings": BLOB}}, ProxySettings(proxy="p:1")),
        ({}, {rf"{SID}\{INTERNET}": {"ProxyEnable": 0}, rf"{SID}\{INTERNET}\Connections": {"DefaultConnectionSettings": DETECTING}}, ProxySettings(detects=True)),
        ({}, {rf"{SID}\{POLICY}": {"ProxyEnable": 0}, rf"{SID}\{INTERNET}": {"ProxyEnable": 1, "ProxyServer": "p:2"}}, ProxySettings()),
        ({POLICY: {"ProxySettingsPerUser": 0}, INTERNET: {"ProxyEnable": 1, "ProxyServer": "p:3"}}, {}, ProxySettings(proxy="p:3")),
        ({POLICY: {"ProxySettingsPerUser": 1}, INTERNET: {"ProxyEnable": 1, "ProxyServer": "p:3"}}, {}, None),
    ],
)  # fmt: skip
def test_proxy_of_an_account_comes_from_policy_values_or_connection(machine, users, expected):
    found = host_facts.account_proxies(windows(machine, users), (an_instance(), an_instance(name="SAME")))
    assert found == {ACCOUNT: expected}
    assert host_facts.account_proxies(windows(), (an_instance(sid=""),)) == {ACCOUNT: None}


def test_settings_of_tls_are_read_where_they_exist():
    suites = r"SOFTWARE\Policies\Microsoft\Cryptography\Configuration\SSL\00010002"
    machine = {
        r"SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client": {
            "Enabled": 0,
            "DisabledByDefault": 1,
        },
        r"SYSTEM\CurrentControlSet\Control\Lsa\FipsAlgorithmPolicy": {"Enabled": 1},
    }
    users = {rf"{SID}\{INTERNET}": {"SecureProtocols": 0x80}}
    found = host_facts.tls_settings(windows({**machine, suites: {"Functions": "A,B"}}, users), (an_instance(),))
    assert found == TlsSettings(enabled=0, disabled_by_default=1, suites="A,B", fips=True, protocols={ACCOUNT: 0x80})
    listed = host_facts.tls_settings(windows({suites: {"Functions": ["A", "B"]}}), (an_instance(sid=""),))
    assert listed == TlsSettings(suites="A,B", protocols={})
    assert host_facts.tls_settings(windows(), ()) == TlsSettings(protocols={})


async def test_cluster_time_events_and_proxy_of_all_accounts_are_read():
    queries = []
    machine = {
        "Cluster": {},
        r"SYSTEM\CurrentControlSet\Services\W32Time\Parameters": {"Type": "NTP", "NtpServer": "a.example,0x8"},
        rf"{REGISTRY_KEY}\Azure Key Vault\Log": {"Level": 2},
        rf"{INTERNET}\Connections": {"WinHttpSettings": BLOB},
    }
    found = await looked_up(machine, newest_events=lambda *query: queries.append(query) or ("<Event/>",))
    assert (found.cluster_node, found.log_level, found.winhttp) == (True, 2, ProxySettings(proxy="p:1"))
    assert (found.time_service, found.events) == ("is running: its source is a.example", ("<Event/>",))
    assert queries == [("Application", "*[System[Provider[@Name='SQL Server Connector for Microsoft Azure Key Vault']]]", 20)]
    absent = await looked_up()
    assert (absent.cluster_node, absent.log_level, absent.winhttp) == (False, 0, ProxySettings())


async def test_every_look_up_has_its_place():
    found = await looked_up(SQL_SERVER, vault="v.vault.azure.net:8443")
    assert not [name for name in found.__slots__ if isinstance(getattr(found, name), Unreadable)]
    assert list(found.proxies) == [ACCOUNT, r".\sql"]
    assert found.response == WindowsResponse(200)


async def test_redirected_vault_gets_no_request():
    found = await looked_up(request=None)
    assert found.response is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError(13, "denied"), Unreadable(denied=True)),
        (WindowsCallError("read the event log", 5), Unreadable(denied=True)),
        (WindowsCallError("read the event log", 15007), Unreadable("Windows error 15007")),
        (OSError(1722, "no server"), Unreadable("Windows error 1722")),
        (ValueError("no settings of a connection"), Unreadable("no settings of a connection")),
        (KeyError("x"), Unreadable("internal error KeyError")),
    ],
)
async def test_failing_look_up_stops_no_other(error, expected):
    def fail(*_query):
        raise error

    found = await looked_up(SQL_SERVER, newest_events=fail)
    assert found.events == expected
    assert len(found.instances) == 2
    assert [name for name in found.__slots__ if isinstance(getattr(found, name), Unreadable)] == ["events"]


async def test_look_up_that_hangs_ends_at_its_deadline(monkeypatch):
    monkeypatch.setattr(host_facts, "_SECONDS", 0.1)
    release = threading.Event()
    async with asyncio.timeout(PATIENCE):
        found = await looked_up(own_account=release.wait)
    release.set()
    assert found.account == Unreadable("no result within 0 s")
    assert found.instances == ()


async def test_unreadable_instances_leave_the_rest():
    found = await looked_up(SQL_SERVER, denied=[INSTANCES])
    assert found.instances == Unreadable(denied=True)
    assert found.time_service == "is running: its source is unknown"


async def requested(*readings, **vault):
    seen = []

    async def look_up(*request):
        seen.append(request)
        return facts()

    assert await facts_of_host(look_up, replace(vault_at(), **vault), readings) == facts()
    return seen[0]


async def test_paths_of_this_host_are_looked_up(monkeypatch):
    monkeypatch.setattr(host_facts, "computer_name", lambda: "n1.contoso.example")
    vault, loaded = await requested(a_reading())
    assert (vault, list(loaded.values())) == (vault_at().host, [(15, 0, 2000, 440)])
    monkeypatch.setattr(host_facts, "computer_name", lambda: "n2")
    assert await requested(a_reading(), redirected="127.0.0.1:1") == ("", {})


async def test_without_a_function_nothing_is_looked_up():
    assert await facts_of_host(None, vault_at(), None) is None
