"""Reads the facts of a SQL Server host on Windows: each look-up in a thread until its deadline.

A look-up blocks and raises OSError and ValueError; a missing key or value is no error where Windows then has a default. One that
fails is `Unreadable`; the others go on. Nothing on the host is changed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple

from exporter.clients.http.network import split_url
from exporter.core.connector import LOG, REGISTRY_KEY
from exporter.doctor.evidence import Endpoint
from exporter.doctor.host_rules import (
    DLL,
    FOLDER,
    AccountProxy,
    ConnectorFile,
    ConnectorKey,
    HostFacts,
    HostInstance,
    ProxySettings,
    RegistryEntry,
    RuntimeLibrary,
    TimeService,
    TlsSettings,
    Unreadable,
    Version,
    read_connection,
    read_values,
    with_values,
)
from exporter.runtime.process import computer_name
from exporter.runtime.tasks import DaemonThreadPool
from exporter.sqlserver.instance import version_number
from exporter.sqlserver.reading import SqlServerReading, known_instance, rows
from exporter.windows.accounts import account_sid, members, name_of, own_account
from exporter.windows.api import ACCESS_DENIED, USERS, RegistryReader, file_version, link_time, request_by_windows
from exporter.windows.event_log import newest_events
from exporter.windows.rules import ADMINISTRATORS, ServiceState, WindowsResponse, holders, known_sid, read_access_list, token_sids
from exporter.windows.service import READ, ServiceManager

_SQL_SERVER: Final = r"SOFTWARE\Microsoft\Microsoft SQL Server"
_SERVICES: Final = r"SYSTEM\CurrentControlSet\Services"
_DEFAULT: Final = "MSSQLSERVER"  # the instance without a name, and its service
_INTERNET: Final = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings"
_POLICY: Final = r"SOFTWARE\Policies\Microsoft\Windows\CurrentVersion\Internet Settings"
_TLS_CLIENT: Final = r"SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client"
_SUITES: Final = r"SOFTWARE\Policies\Microsoft\Cryptography\Configuration\SSL\00010002"
_FIPS: Final = r"SYSTEM\CurrentControlSet\Control\Lsa\FipsAlgorithmPolicy"
_VIEWS: Final = (r"SOFTWARE", r"SOFTWARE\WOW6432Node")  # programs with 64 and with 32 bits
_RUNTIME_FILES: Final = {"vcruntime140.dll": 14, "msvcr120.dll": 12}
_RUNTIME_NAME: Final = re.compile(r"Visual C\+\+.*x64", re.IGNORECASE)
_STATES: Final = {1: "stopped", 2: "starting", 3: "stopping", 4: "running", 5: "continuing", 6: "pausing", 7: "paused"}
_UNKNOWN_STATE: Final = "in an unknown state"
_MOST_ENTRIES, _MOST_EVENTS = 500, 20
_EVENTS: Final = "*[System[Provider[@Name='SQL Server Connector for Microsoft Azure Key Vault']]]"


def _service_state(name: str) -> ServiceState | None:
    with ServiceManager(READ) as services:
        return services.state(name)


@dataclass(frozen=True, slots=True)
class Windows:
    """The functions of Windows that the look-ups call."""

    registry: RegistryReader = field(default_factory=RegistryReader)
    sid_of: Callable[[str], str] = account_sid
    name_of: Callable[[str], tuple[str, bool]] = name_of
    members: Callable[[str], tuple[str, ...]] = members
    own_account: Callable[[], str] = own_account
    service_state: Callable[[str], ServiceState | None] = _service_state
    file_version: Callable[[Path], Version | None] = file_version
    link_time: Callable[[Path], float | None] = link_time
    newest_events: Callable[[str, str, int], tuple[str, ...]] = newest_events
    request: Callable[..., WindowsResponse] = request_by_windows

    def values(self, path: str, root: str | None = None) -> Mapping[str, object]:
        """Return the values of a key; none if it is missing. Raises OSError."""
        try:
            return self.registry.values(path) if root is None else self.registry.values(path, root)
        except FileNotFoundError:
            return {}


def instances(windows: Windows) -> tuple[HostInstance, ...]:
    """Return the instances of SQL Server, with the accounts of their services."""
    found = windows.values(rf"{_SQL_SERVER}\Instance Names\SQL")
    return tuple(_instance(windows, name, str(identifier)) for name, identifier in sorted(found.items()))


def _instance(windows: Windows, name: str, identifier: str) -> HostInstance:
    service = _DEFAULT if name.upper() == _DEFAULT else f"MSSQL${name}"
    about = windows.values(rf"{_SERVICES}\{service}")
    account = str(about.get("ObjectName", ""))
    sid = known_sid(account) or _sid(windows, account)
    major = re.match(r"MSSQL(\d+)", identifier)
    return HostInstance(
        name=name,
        account=account,
        state=_state(windows, service),
        major=int(major[1]) if major else None,
        clustered=windows.registry.exists(rf"{_SQL_SERVER}\{identifier}\Cluster"),
        sid=sid,
        sids=token_sids(sid, service, with_service_sid=about.get("ServiceSidType") in (1, 3)),
    )


def _sid(windows: Windows, account: str) -> str:
    try:
        return windows.sid_of(account.removeprefix(".\\"))
    except OSError:
        return ""


def _state(windows: Windows, service: str) -> str:
    try:
        found = windows.service_state(service)
    except OSError:
        found = None
    return _STATES.get(found.state, _UNKNOWN_STATE) if found else _UNKNOWN_STATE


def connector_files(windows: Windows, loaded: Mapping[str, Version]) -> tuple[ConnectorFile, ...]:
    """Return the DLL in the connector's folder, and those at the paths that SQL Server names, by what it has loaded."""
    folders = {os.environ.get(name, "") for name in ("ProgramFiles", "ProgramW6432")} - {""}
    paths = {path.casefold(): path for folder in sorted(folders) for path in [str(Path(folder, FOLDER, DLL))]}
    named = {path.casefold(): path for path in loaded}
    return tuple(
        ConnectorFile(
            path=path,
            version=(version := windows.file_version(Path(path))),
            linked=None if version is None else windows.link_time(Path(path)),
            of_sql_server=key in named,
            loaded=loaded.get(path, ()),
        )
        for key, path in (paths | named).items()
    )


def runtime_libraries(windows: Windows) -> tuple[RuntimeLibrary, ...]:
    """Return the Visual C++ runtimes for x64: those registered in one of two ways, and the DLLs of Windows' folder."""
    found = [each for view in _VIEWS for each in (*_runtimes(windows, view), *_programs(windows, view))]
    system = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32")
    files = [
        RuntimeLibrary(name, (major,), registered=False)
        for name, major in _RUNTIME_FILES.items()
        if windows.file_version(system / name) is not None
    ]
    return (*found, *files)


def _runtimes(windows: Windows, view: str) -> Iterator[RuntimeLibrary]:
    for number in ("14.0", "12.0"):
        values = windows.values(rf"{view}\Microsoft\VisualStudio\{number}\VC\Runtimes\x64")
        if values.get("Installed") == 1:
            yield RuntimeLibrary("Visual C++ runtime for x64", _version(str(values.get("Version") or number)))


def _programs(windows: Windows, view: str) -> Iterator[RuntimeLibrary]:
    path = rf"{view}\Microsoft\Windows\CurrentVersion\Uninstall"
    for name in windows.registry.keys(path) if windows.registry.exists(path) else ():
        values = windows.values(rf"{path}\{name}")
        title = str(values.get("DisplayName", ""))
        if _RUNTIME_NAME.search(title):
            yield RuntimeLibrary(title, _version(str(values.get("DisplayVersion", ""))))


def _version(text: str) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def connector_key(windows: Windows) -> ConnectorKey:
    """Return the connector's registry key with those below, and who is named in their access lists."""
    if not windows.registry.exists(REGISTRY_KEY):
        return ConnectorKey(entries=())
    entries = tuple(_entry(windows, path) for path in windows.registry.tree(REGISTRY_KEY, _MOST_ENTRIES))
    sids = {sid for entry in entries for sid in holders(entry.rights or ())} | {ADMINISTRATORS}
    groups = {sid: name for sid in sids for name, may_be_group in [windows.name_of(sid)] if may_be_group}
    return ConnectorKey(entries=entries, groups=groups, members={sid: windows.members(name) for sid, name in groups.items()})


def _entry(windows: Windows, path: str) -> RegistryEntry:
    return RegistryEntry(
        path=path.removeprefix(REGISTRY_KEY).removeprefix("\\"),
        rights=read_access_list(windows.registry.descriptor(path)),
        key_uri=str(windows.registry.values(path).get("KeyUri", "")),
    )


def account_proxies(windows: Windows, found: Iterable[HostInstance]) -> tuple[AccountProxy, ...]:
    """Return WinINet's proxy of each service account. A policy can give all accounts that of the machine."""
    shared = windows.values(_POLICY).get("ProxySettingsPerUser") == 0
    accounts = {instance.account: instance.sid for instance in found}
    return tuple(AccountProxy(account, _proxy_of(windows, sid, shared=shared)) for account, sid in accounts.items())


def _proxy_of(windows: Windows, sid: str, *, shared: bool) -> ProxySettings | None:
    if shared:
        return _wininet(windows, "", None)
    return _wininet(windows, f"{sid}\\", USERS) if sid and windows.registry.exists(sid, USERS) else None


def _wininet(windows: Windows, above: str, root: str | None) -> ProxySettings:
    """Return the settings of a policy, else the account's own ones."""
    policy = read_values(windows.values(above + _POLICY, root))
    if policy is not None:
        return policy
    connection = _connection(windows.values(rf"{above}{_INTERNET}\Connections", root), "DefaultConnectionSettings")
    return with_values(connection, windows.values(above + _INTERNET, root))


def winhttp_proxy(windows: Windows) -> ProxySettings:
    """Return WinHTTP's proxy, which all accounts share."""
    return _connection(windows.values(rf"{_INTERNET}\Connections"), "WinHttpSettings")


def _connection(values: Mapping[str, object], name: str) -> ProxySettings:
    data = values.get(name)
    return read_connection(data) if isinstance(data, bytes) else ProxySettings()


def tls_settings(windows: Windows, found: Iterable[HostInstance]) -> TlsSettings:
    """Return the settings of TLS 1.2, cipher suites and FIPS, and SecureProtocols of each account."""
    client, suites = windows.values(_TLS_CLIENT), windows.values(_SUITES).get("Functions")
    protocols = {
        each.account: windows.values(rf"{each.sid}\{_INTERNET}", USERS).get("SecureProtocols") for each in found if each.sid
    }
    return TlsSettings(
        enabled=_number(client.get("Enabled")),
        disabled_by_default=_number(client.get("DisabledByDefault")),
        suites=None if suites is None else ",".join(suites) if isinstance(suites, list) else str(suites),
        fips=windows.values(_FIPS).get("Enabled") == 1,
        protocols={account: _number(value) for account, value in protocols.items()},
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def is_cluster_node(windows: Windows) -> bool:
    """Return whether this host is a node of a failover cluster."""
    return windows.registry.exists("Cluster")


def time_service(windows: Windows) -> TimeService:
    """Return the state of Windows Time and its settings."""
    values = windows.values(rf"{_SERVICES}\W32Time\Parameters")
    return TimeService(_state(windows, "W32Time"), str(values.get("Type", "")), str(values.get("NtpServer", "")))


def connector_events(windows: Windows) -> tuple[str, ...]:
    """Return the connector's last events as XML, the newest first."""
    return windows.newest_events("Application", _EVENTS, _MOST_EVENTS)


def log_level(windows: Windows) -> int:
    """Return which events the connector writes."""
    return _number(windows.values(LOG).get("Level")) or 0


# All look-ups at once.

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")
_THREADS: Final = 10
_SECONDS: Final = 10.0  # of each look-up


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRequest:
    """What is to be looked up for a target.

    `vault` is a host name with its port unless that is 443; empty for no request. `loaded` has each path of a DLL that a SQL Server
    of this host names, with the version that it has loaded.
    """

    vault: str = ""
    loaded: Mapping[str, Version] = field(default_factory=dict)


def _host_request(vault: Endpoint, readings: Iterable[SqlServerReading]) -> HostRequest:
    """Return the request for a vault, with the paths that the SQL Servers of this host name. A redirected vault gets no request."""
    own, loaded = computer_name().partition(".")[0], dict[str, Version]()
    for reading in readings:
        instance = known_instance(reading)
        if instance is not None and own in {node.partition(".")[0] for node in instance.nodes}:
            versions = {provider.name: version_number(provider.file_version) for provider in instance.providers}
            for row in rows(reading, "providers"):
                name, path = str(row.get("name", "")), str(row.get("dll_path", ""))
                if path and name in versions:
                    loaded[path] = versions[name]
    return HostRequest(vault="" if vault.redirected else vault.host, loaded=loaded)


LookUpHost = Callable[[HostRequest], Awaitable[HostFacts]]


async def facts_of_host(
    look_up: LookUpHost | None, vault: Endpoint, readings: Iterable[SqlServerReading] | None
) -> HostFacts | None:
    """Return the facts of this host for a vault; None without such a function."""
    return None if look_up is None else await look_up(_host_request(vault, readings or ()))


class _Reader:
    """Makes look-ups, each in a thread until its deadline."""

    def __init__(self, pool: DaemonThreadPool, windows: Windows) -> None:
        self._pool, self._windows = pool, windows

    async def _read(self, function: Callable[[Windows, *_Args], _T], *arguments: *_Args) -> _T | Unreadable:
        """Return the result, or why there is none."""
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._pool.run(function, self._windows, *arguments)
        except TimeoutError:
            return Unreadable(f"no result within {_SECONDS:.0f} s")
        except OSError as error:
            return _unreadable(error)
        except ValueError as error:
            return Unreadable(str(error))
        except Exception as error:  # noqa: BLE001 - one failing look-up never stops the others
            _log.exception("look-up failed")
            return Unreadable(f"internal error {type(error).__name__}")

    def start(self, function: Callable[[Windows, *_Args], _T], *arguments: *_Args) -> asyncio.Task[_T | Unreadable]:
        return asyncio.ensure_future(self._read(function, *arguments))


def _unreadable(error: OSError) -> Unreadable:
    number = getattr(error, "winerror", None)
    if isinstance(error, PermissionError) or number == ACCESS_DENIED:
        return Unreadable(denied=True)
    return Unreadable(f"Windows error {error.errno if number is None else number}")


async def look_up_host(request: HostRequest, *, windows: Windows | None = None) -> HostFacts:
    """Make all look-ups within twice ten seconds: the instances, then everything else at the same time."""
    pool = DaemonThreadPool(_THREADS, name="ekm-host")
    reader = _Reader(pool, windows or Windows())
    try:
        return await _facts(reader, request)
    finally:
        pool.close()


async def _facts(reader: _Reader, request: HostRequest) -> HostFacts:
    listed = await reader.start(instances)
    found = () if isinstance(listed, Unreadable) else listed
    account = reader.start(lambda windows: windows.own_account())
    files = reader.start(connector_files, request.loaded)
    runtimes = reader.start(runtime_libraries)
    key = reader.start(connector_key)
    cluster_node = reader.start(is_cluster_node)
    tls = reader.start(tls_settings, found)
    response = reader.start(_response, request.vault)
    proxies = reader.start(account_proxies, found)
    winhttp = reader.start(winhttp_proxy)
    clock = reader.start(time_service)
    events = reader.start(connector_events)
    level = reader.start(log_level)
    return HostFacts(
        account=await account,
        instances=listed,
        files=await files,
        runtimes=await runtimes,
        key=await key,
        cluster_node=await cluster_node,
        tls=await tls,
        response=await response,
        proxies=await proxies,
        winhttp=await winhttp,
        time_service=await clock,
        events=await events,
        log_level=await level,
    )


def _response(windows: Windows, vault: str) -> WindowsResponse | None:
    """Request the vault's health page, as `doctor` does itself; None without a vault."""
    if not vault:
        return None
    host, port = split_url(vault)
    return windows.request(host, port, "/healthstatus", _SECONDS - 1)
