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
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from exporter.clients.http.network import split_url
from exporter.doctor.evidence import Endpoint
from exporter.doctor.host_rules import (
    DLL,
    FOLDER,
    ConnectorFile,
    ConnectorKey,
    HostFacts,
    HostInstance,
    ProxySettings,
    RegistryEntry,
    RuntimeLibrary,
    TlsSettings,
    Unreadable,
    Version,
    read_connection,
    read_values,
    time_text,
    with_values,
)
from exporter.knowledge.code_row import LOG, REGISTRY_KEY
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
_STATES: Final = {1: "stopped", 2: "starting", 3: "stopping", 4: "running", 5: "continuing", 6: "pausing", 7: "paused"}
_MOST_ENTRIES, _MOST_EVENTS = 500, 20


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
    sid, major = known_sid(account) or "", re.match(r"MSSQL(\d+)", identifier)
    with suppress(OSError):
        sid = sid or windows.sid_of(account.removeprefix(".\\"))
    return HostInstance(
        name=name,
        account=account,
        state=_state(windows, service),
        major=int(major[1]) if major else None,
        clustered=windows.registry.exists(rf"{_SQL_SERVER}\{identifier}\Cluster"),
        sid=sid,
        sids=token_sids(sid, service, with_service_sid=about.get("ServiceSidType") in (1, 3)),
    )


def _state(windows: Windows, service: str) -> str:
    found = None
    with suppress(OSError):
        found = windows.service_state(service)
    return _STATES.get(found.state if found else 0, "in an unknown state")


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
    registered = [each for view in (r"SOFTWARE", r"SOFTWARE\WOW6432Node") for each in _registered_runtimes(windows, view)]
    system = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32")
    files = [
        RuntimeLibrary(name, (major,), registered=False)
        for name, major in (("vcruntime140.dll", 14), ("msvcr120.dll", 12))
        if windows.file_version(system / name) is not None
    ]
    return (*registered, *files)


def _registered_runtimes(windows: Windows, view: str) -> Iterator[RuntimeLibrary]:
    """Yield the runtimes of programs with 64 or with 32 bits."""
    for number in ("14.0", "12.0"):
        values = windows.values(rf"{view}\Microsoft\VisualStudio\{number}\VC\Runtimes\x64")
        if values.get("Installed") == 1:
            yield RuntimeLibrary("Visual C++ runtime for x64", _version(values.get("Version") or number))
    path = rf"{view}\Microsoft\Windows\CurrentVersion\Uninstall"
    for name in windows.registry.keys(path) if windows.registry.exists(path) else ():
        values = windows.values(rf"{path}\{name}")
        title = str(values.get("DisplayName", ""))
        if re.search(r"Visual C\+\+.*x64", title, re.IGNORECASE):
            yield RuntimeLibrary(title, _version(values.get("DisplayVersion", "")))


def _version(text: object) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", str(text)))


def connector_key(windows: Windows) -> ConnectorKey:
    """Return the connector's registry key with those below, and who is named in their access lists."""
    if not windows.registry.exists(REGISTRY_KEY):
        return ConnectorKey(entries=())
    entries = tuple(
        RegistryEntry(
            path=path.removeprefix(REGISTRY_KEY).removeprefix("\\"),
            rights=read_access_list(windows.registry.descriptor(path)),
            key_uri=str(windows.registry.values(path).get("KeyUri", "")),
        )
        for path in windows.registry.tree(REGISTRY_KEY, _MOST_ENTRIES)
    )
    sids = {sid for entry in entries for sid in holders(entry.rights or ())} | {ADMINISTRATORS}
    groups = {sid: name for sid in sids for name, may_be_group in [windows.name_of(sid)] if may_be_group}
    return ConnectorKey(entries=entries, groups=groups, members={sid: windows.members(name) for sid, name in groups.items()})


def account_proxies(windows: Windows, found: Iterable[HostInstance]) -> dict[str, ProxySettings | None]:
    """Return WinINet's proxy of each service account, None if its registry is not loaded. A policy can give all that of the machine."""
    if windows.values(_POLICY).get("ProxySettingsPerUser") == 0:
        return {instance.account: _wininet(windows, "", None) for instance in found}
    return {
        account: _wininet(windows, f"{sid}\\", USERS) if sid and windows.registry.exists(sid, USERS) else None
        for account, sid in {instance.account: instance.sid for instance in found}.items()
    }


def _wininet(windows: Windows, above: str, root: str | None) -> ProxySettings:
    """Return the settings of a policy, else the account's own ones."""
    return read_values(windows.values(above + _POLICY, root)) or with_values(
        _connection(windows.values(rf"{above}{_INTERNET}\Connections", root), "DefaultConnectionSettings"),
        windows.values(above + _INTERNET, root),
    )


def _connection(values: Mapping[str, object], name: str) -> ProxySettings:
    data = values.get(name)
    return read_connection(data) if isinstance(data, bytes) else ProxySettings()


def tls_settings(windows: Windows, found: Iterable[HostInstance]) -> TlsSettings:
    """Return the settings of TLS 1.2, cipher suites and FIPS, and SecureProtocols of each account."""
    client = windows.values(r"SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client")
    suites = windows.values(r"SOFTWARE\Policies\Microsoft\Cryptography\Configuration\SSL\00010002").get("Functions")
    protocols = {
        each.account: windows.values(rf"{each.sid}\{_INTERNET}", USERS).get("SecureProtocols") for each in found if each.sid
    }
    return TlsSettings(
        enabled=_number(client.get("Enabled")),
        disabled_by_default=_number(client.get("DisabledByDefault")),
        suites=None if suites is None else ",".join(suites) if isinstance(suites, list) else str(suites),
        fips=windows.values(r"SYSTEM\CurrentControlSet\Control\Lsa\FipsAlgorithmPolicy").get("Enabled") == 1,
        protocols={account: _number(value) for account, value in protocols.items()},
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def time_service(windows: Windows) -> str:
    """Return the state of Windows Time and its settings, as text."""
    values = windows.values(rf"{_SERVICES}\W32Time\Parameters")
    return time_text(_state(windows, "W32Time"), str(values.get("Type", "")), str(values.get("NtpServer", "")))


# All look-ups at once.

_log = logging.getLogger(__name__)

_THREADS: Final = 10
_SECONDS: Final = 10.0  # of each look-up


LookUpHost = Callable[[str, Mapping[str, Version]], Awaitable[HostFacts]]


async def facts_of_host(
    look_up: LookUpHost | None, vault: Endpoint, readings: Iterable[SqlServerReading] | None
) -> HostFacts | None:
    """Return the facts of this host for a vault; None without such a function. A redirected vault gets no request of Windows."""
    if look_up is None:
        return None
    own, loaded = computer_name().partition(".")[0], dict[str, Version]()
    for reading in readings or ():
        instance = known_instance(reading)
        if instance is not None and own in {node.partition(".")[0] for node in instance.nodes}:
            versions = {provider.name: version_number(provider.file_version) for provider in instance.providers}
            paths = ((str(row.get("dll_path", "")), versions.get(str(row.get("name", "")))) for row in rows(reading, "providers"))
            loaded |= {path: version for path, version in paths if path and version is not None}
    return await look_up("" if vault.redirected else vault.host, loaded)


async def look_up_host(vault: str, loaded: Mapping[str, Version], *, windows: Windows | None = None) -> HostFacts:
    """Make all look-ups within twice ten seconds: the instances, then everything else at the same time.

    `vault` is a host name with its port unless that is 443; empty for no request. `loaded` has each path of a DLL that a SQL Server
    of this host names, with the version that it has loaded.
    """
    calls, pool = windows or Windows(), DaemonThreadPool(_THREADS, name="ekm-host")
    try:
        listed = await _read(pool, calls, instances)
        found = () if isinstance(listed, Unreadable) else listed
        look_ups: dict[str, Callable[[Windows], object]] = {
            "account": lambda calls: calls.own_account(),
            "files": partial(connector_files, loaded=loaded),
            "runtimes": runtime_libraries,
            "key": connector_key,
            "cluster_node": lambda calls: calls.registry.exists("Cluster"),
            "tls": partial(tls_settings, found=found),
            "response": partial(_response, vault=vault),
            "proxies": partial(account_proxies, found=found),
            "winhttp": lambda calls: _connection(calls.values(rf"{_INTERNET}\Connections"), "WinHttpSettings"),
            "time_service": time_service,
            "events": lambda calls: calls.newest_events(
                "Application", "*[System[Provider[@Name='SQL Server Connector for Microsoft Azure Key Vault']]]", _MOST_EVENTS
            ),
            "log_level": lambda calls: _number(calls.values(LOG).get("Level")) or 0,
        }
        values = await asyncio.gather(*(_read(pool, calls, look_up) for look_up in look_ups.values()))
        return HostFacts(instances=listed, **dict(zip(look_ups, values, strict=True)))
    finally:
        pool.close()


async def _read(pool: DaemonThreadPool, windows: Windows, look_up: Callable[[Windows], Any]) -> Any:
    """Return the result of a look-up in a thread, or why there is none."""
    try:
        async with asyncio.timeout(_SECONDS):
            return await pool.run(look_up, windows)
    except TimeoutError:
        return Unreadable(f"no result within {_SECONDS:.0f} s")
    except OSError as error:
        number = getattr(error, "winerror", None)
        is_denied = isinstance(error, PermissionError) or number == ACCESS_DENIED
        return Unreadable("" if is_denied else f"Windows error {error.errno if number is None else number}", denied=is_denied)
    except ValueError as error:
        return Unreadable(str(error))
    except Exception as error:  # noqa: BLE001 - one failing look-up never stops the others
        _log.exception("look-up failed")
        return Unreadable(f"internal error {type(error).__name__}")


def _response(windows: Windows, vault: str) -> WindowsResponse | None:
    """Request the vault's health page, as `doctor` does itself; None without a vault."""
    if not vault:
        return None
    host, port = split_url(vault)
    return windows.request(host, port, "/healthstatus", _SECONDS - 1)
