"""Facts of a Windows host with SQL Server, each as read. A fact that was not read is `Unreadable`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.core.windows_host.access_list import AccessEntry
from exporter.core.windows_host.proxy_settings import ProxySettings

Version = tuple[int, ...]
SQL_SERVER_2016: Final = 13  # the major version


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A look-up without a result. `denied`: Windows refuses it to this account."""

    problem: str = ""
    denied: bool = False

    def __str__(self) -> str:
        return "cannot be read: run elevated" if self.denied else f"cannot be read: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostInstance:
    """A SQL Server instance of this host. `sids` are all that the token of its service surely has."""

    name: str
    account: str  # of the service; empty if unknown
    state: str  # of the service
    major: int | None = None  # version of SQL Server
    clustered: bool = False
    sid: str = ""  # of the account; empty if this host cannot resolve it
    sids: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.account or 'unknown account'} ({self.name}, {self.state})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorFile:
    """A DLL of the connector; `version` is None if the file does not exist, empty if it has none."""

    path: str
    version: Version | None
    of_sql_server: bool = False  # SQL Server names this path
    loaded: Version = ()  # what SQL Server has loaded from it; empty if unknown


@dataclass(frozen=True, slots=True)
class RuntimeLibrary:
    """A Visual C++ runtime for x64. `registered` is False for a DLL that no installation lists."""

    name: str
    version: Version
    registered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEntry:
    """The connector's registry key or a key below it. `rights` None: there is no list, so everyone has all rights."""

    path: str  # below the connector's key; empty for itself
    rights: tuple[AccessEntry, ...] | None
    key_uri: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorKey:
    """The connector's registry key and those below, itself first; without entries it does not exist.

    `groups` are the names of those in the access lists that may be groups, by SID; `members` are the SIDs in local groups.
    """

    entries: tuple[RegistryEntry, ...]
    groups: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccountProxy:
    """Settings of one service account; None if its registry is not loaded."""

    account: str
    settings: ProxySettings | Unreadable | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Settings of TLS; None for a value that does not exist."""

    enabled: int | None = None  # of TLS 1.2 for clients
    disabled_by_default: int | None = None
    suites: str | None = None  # the policy about cipher suites, separated by commas
    fips: bool = False
    protocols: Mapping[str, int | None] | None = None  # SecureProtocols of WinINet, by account


@dataclass(frozen=True, slots=True)
class WindowsResponse:
    """A request by WinINet: the status of its response, or the error of Windows."""

    status: int | None
    error: int = 0


@dataclass(frozen=True, slots=True)
class TimeService:
    """The service Windows Time: its state, how it finds its source, and the servers."""

    state: str
    kind: str
    servers: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """Everything that was looked up. `account` is that of this process."""

    account: str | Unreadable
    instances: tuple[HostInstance, ...] | Unreadable
    files: tuple[ConnectorFile, ...] | Unreadable
    runtimes: tuple[RuntimeLibrary, ...] | Unreadable
    key: ConnectorKey | Unreadable
    cluster_node: bool | Unreadable
    tls: TlsSettings | Unreadable
    response: WindowsResponse | Unreadable | None  # None: no request was made
    proxies: tuple[AccountProxy, ...] | Unreadable
    winhttp: ProxySettings | Unreadable
    time_service: TimeService | Unreadable
    events: tuple[str, ...] | Unreadable  # the XML of the connector's last events, the newest first
