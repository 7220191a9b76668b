"""Facts of a Windows host with SQL Server, each as read, and the rules that assess them. Pure.

A fact that was not read is `Unreadable`.
"""

from __future__ import annotations

import fnmatch
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from exporter.core import first_true
from exporter.core.values import KeyReference, parse_key
from exporter.knowledge.checks import Finding, combined, failed, passed, unknown, warned
from exporter.knowledge.checks_vault import FailureMoment
from exporter.knowledge.code_row import REGISTRY_KEY
from exporter.windows.rules import ADMINISTRATORS, SYSTEM, AccessEntry, WindowsResponse, has_full_control, holders

# Proxy settings of WinINet and WinHTTP, from the registry, and the route to one host.

_BY_PROXY, _BY_SCRIPT, _DETECTED = 2, 4, 8  # flags of a connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """How requests leave: direct if all are empty. `script` is the URL of a proxy script."""

    proxy: str = ""
    bypass: str = ""
    script: str = ""
    detects: bool = False  # searches for a script in the network (WPAD)

    def __str__(self) -> str:
        parts = (
            self.proxy and f"through {self.proxy}" + (f" except {self.bypass}" if self.bypass else ""),
            self.script and f"by the script {self.script}",
            self.detects and "automatic detection",
        )
        return ", ".join(part for part in parts if part) or "direct"

    def route(self, host: str) -> str | None:
        """Return host and port of the proxy for https, empty if the host is reached directly; None if a script decides."""
        if self.script or self.detects:
            return None
        return "" if _is_bypassed(host, self.bypass) else _https_proxy(self.proxy)


def read_connection(data: bytes) -> ProxySettings:
    """Read `DefaultConnectionSettings` of WinINet or `WinHttpSettings`. Raises ValueError if the bytes are neither.

    The layout is published nowhere: a size, a counter, flags, then texts after their lengths. WinHTTP has two texts, WinINet three.
    """
    data, texts, place = data[: 64 * 1024], list[str](), 12
    try:
        _, _, flags = struct.unpack_from("<III", data)
        while len(texts) < 2 or (len(texts) == 2 and len(data) >= place + 4):
            (length,) = struct.unpack_from("<I", data, place)
            (text,) = struct.unpack_from(f"{length}s", data, place + 4)
            texts.append(text.decode("ascii"))
            place += 4 + length
    except (struct.error, UnicodeDecodeError):
        raise ValueError("no settings of a connection") from None
    proxy, bypass, script = (*texts, "")[:3]
    return ProxySettings(
        proxy=proxy if flags & _BY_PROXY else "",
        bypass=bypass if flags & _BY_PROXY else "",
        script=script if flags & _BY_SCRIPT else "",
        detects=bool(flags & _DETECTED),
    )


def read_values(values: Mapping[str, object]) -> ProxySettings | None:
    """Read the values of the key `Internet Settings`; None if they have no setting."""
    if not any(name in values for name in ("ProxyEnable", "AutoConfigURL")):
        return None
    on = values.get("ProxyEnable") == 1
    return ProxySettings(
        proxy=str(values.get("ProxyServer", "")) if on else "",
        bypass=str(values.get("ProxyOverride", "")) if on else "",
        script=str(values.get("AutoConfigURL", "")),
    )


def with_values(connection: ProxySettings, values: Mapping[str, object]) -> ProxySettings:
    """Return the settings of an account: a proxy or script in its values, which scripts write alone, else its connection.

    Only the connection shows whether WinINet searches for a script.
    """
    found = read_values(values)
    return replace(found, detects=connection.detects) if found and (found.proxy or found.script) else connection


def _https_proxy(servers: str) -> str:
    """Return the proxy for https of a list such as `http=a:80;https=b:443`, or of one for all."""
    for server in servers.replace(" ", ";").split(";"):
        scheme, named, address = server.rpartition("=")
        if server and (not named or scheme.casefold() == "https"):
            return address.partition("://")[2] or address
    return ""


def _is_bypassed(host: str, bypass: str) -> bool:
    name = host.partition(":")[0].casefold()
    patterns = (pattern.partition("://")[2] or pattern for pattern in bypass.casefold().replace(" ", ";").split(";"))
    return any(
        (pattern == "<local>" and "." not in name) or fnmatch.filter((name, host.casefold()), pattern)
        for pattern in patterns
        if pattern
    )


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
    linked: float | None = None  # a Unix time; None if unknown
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Settings of TLS; None for a value that does not exist."""

    enabled: int | None = None  # of TLS 1.2 for clients
    disabled_by_default: int | None = None
    suites: str | None = None  # the policy about cipher suites, separated by commas
    fips: bool = False
    protocols: Mapping[str, int | None] | None = None  # SecureProtocols of WinINet, by account


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
    proxies: Mapping[str, ProxySettings | None] | Unreadable  # by account; None if its registry is not loaded
    winhttp: ProxySettings | Unreadable
    time_service: str | Unreadable  # whether Windows Time runs, and its source
    events: tuple[str, ...] | Unreadable  # the XML of the connector's last events, the newest first
    log_level: int | Unreadable  # of the events that the connector writes


# The connector: its DLL, its runtime, its registry key and the rights to it.

FOLDER: Final = "SQL Server Connector for Microsoft Azure Key Vault"  # below the folder of programs
DLL: Final = "Microsoft.AzureKeyVaultService.EKM.dll"
NEWEST: Final = (15, 0, 2000, 440)
# Two builds have this number, of September 2020 and of November 2024, and only the newer one supports a managed identity.
_OF_2024: Final = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
_LAST_UNSUPPORTED: Final = (1, 0, 0, 440)
_CREATOR_OWNER, _SERVICES = "S-1-3-0", "S-1-5-80-"  # the second one is the beginning of the identities of services


def version_text(version: Version) -> str:
    return ".".join(map(str, version)) if version else "without a version"


def connector_version(files: Iterable[ConnectorFile], *, managed: bool = False) -> Finding:
    """Assess the DLLs at the paths of SQL Server, for a `managed` identity or not; if these are unknown, those in the connector's folder."""
    found = tuple(files)
    used = [file for file in found if file.of_sql_server] or [file for file in found if file.version is not None]
    return combined(*(_file(file, managed=managed) for file in used)) if used else warned(f"no {DLL} in the folder {FOLDER!r}")


def _file(file: ConnectorFile, *, managed: bool) -> Finding:
    if file.version is None:
        return failed(f"SQL Server lists {file.path}, but the file does not exist", codeless=True)
    there, is_newest = f"{version_text(file.version)} at {file.path}", file.version == NEWEST
    linked = None if file.linked is None else datetime.fromtimestamp(file.linked, UTC).date()
    shown = f"{there}, linked {linked}" if is_newest and linked is not None else there
    is_old = file.version < NEWEST or (is_newest and file.linked is not None and file.linked < _OF_2024)
    of_2020 = "when it was linked is unknown, and the build of 2020 with this number supports no managed identity"
    loaded = f"{version_text(file.loaded)} is loaded, and the next start loads {there}"
    return first_true(
        (file.loaded and file.loaded != file.version, warned(loaded)),
        (managed and is_old, failed(f"{shown}: too old for a managed identity (message 37576)", codeless=True)),
        (managed and is_newest and linked is None, unknown(f"{shown}: {of_2020}")),
        (file.version >= NEWEST, passed(shown)),
        (file.version <= _LAST_UNSUPPORTED, warned(f"{shown}: no longer supported")),
        default=warned(f"{shown}: older than {version_text(NEWEST)}"),
    )


def vc_runtime(runtimes: Iterable[RuntimeLibrary], instances: Iterable[HostInstance], *, current: bool | None) -> Finding:
    """Assess whether the runtime of this connector is installed for each SQL Server. If `current` is None, connector 1.0.5.0 is assumed."""
    found = tuple(runtimes)
    needed = {current is not False and (instance.major or SQL_SERVER_2016) >= SQL_SERVER_2016 for instance in instances}
    return combined(*(_runtime(14, "2015", found) if new else _runtime(12, "2013", found) for new in sorted(needed)))


def _runtime(number: int, year: str, runtimes: Iterable[RuntimeLibrary]) -> Finding:
    found = [library for library in runtimes if library.version[:1] == (number,)]
    best = max(found, key=lambda library: (library.registered, library.version), default=None)
    if best is None:
        return failed(f"Visual C++ {year} for x64 is not installed", codeless=True)
    if not best.registered:
        return warned(f"no installation of Visual C++ {year} for x64 is registered, although {best.name} exists")
    return passed(f"{best.name}, {version_text(best.version)}")


def is_current(files: tuple[ConnectorFile, ...] | Unreadable) -> bool | None:
    """Return whether the newest DLL is of connector 1.0.5.0; None if there is none."""
    versions = [] if isinstance(files, Unreadable) else [file.version for file in files if file.version]
    return max(versions) >= (15,) if versions else None


def registry_rights(
    key: ConnectorKey, instances: Iterable[HostInstance], wanted: KeyReference, *, current: bool | None
) -> Finding:
    """Assess the right of each service account to the connector's key and to those below, and whether an entry names the wanted key version.

    `current`: connector 1.0.5.0, which writes an entry for each key that it creates; None if unknown.
    """
    if not key.entries:
        missing = rf"HKLM\{REGISTRY_KEY} does not exist"
        return failed(missing) if current else warned(f"{missing}; connector 1.0.5.0 needs it")
    uris = [entry.key_uri for entry in key.entries if entry.key_uri]
    is_there, count = any(_names(uri, wanted) for uri in uris), f"{len(uris)} {'entry' if len(uris) == 1 else 'entries'}"
    entries = passed(f"{count}, {'of this key version too' if is_there else 'none of this key version'}")
    if current and not is_there:
        entries = warned(f"{entries.detail}: SQL Server created the key on another host, or uses another version")
    return combined(*(_rights(instance, key) for instance in instances), entries)


def _rights(instance: HostInstance, key: ConnectorKey) -> Finding:
    """Assess the rights of one account. What it lacks is a warning if a group has the right that the account may be in."""
    if not instance.sid:
        return unknown(f"{instance}: this host cannot resolve the account")
    sids = instance.sids | {group for group, members in key.members.items() if instance.sids.intersection(members)}
    lacking = next((entry for entry in key.entries if not has_full_control(entry.rights, sids)), None)
    if lacking is None:
        is_inherited, full = has_full_control(key.entries[0].rights, sids, below=True), f"{instance} has Full Control"
        return passed(full) if is_inherited else warned(f"{full}, but keys below do not inherit it")
    known = {SYSTEM, ADMINISTRATORS, _CREATOR_OWNER}  # whose members are known
    holding = (sid for sid in holders(lacking.rights or ()) if sid not in known and not sid.startswith(_SERVICES))
    groups = ", ".join(key.groups[sid] for sid in holding if sid in key.groups)
    text = f"{instance} lacks Full Control{f' of {lacking.path}' if lacking.path else ''}"
    if groups:
        return warned(f"{text}, unless it is a member of {groups}")
    return failed(text, moment=FailureMoment.KEY if any(each.key_uri for each in key.entries) else None)


def _names(uri: str, wanted: KeyReference) -> bool:
    try:
        name, version, vault = parse_key(uri.casefold())
    except ValueError:
        return False
    is_same = (name, vault) == (wanted.name.casefold(), wanted.vault)
    return is_same and (wanted.version is None or wanted.version.casefold() == version)


def cluster_checkpoint(instances: Iterable[HostInstance], *, cluster_node: bool) -> Finding:
    """Assess whether a checkpoint is needed; whether one exists, only a command of the cluster shows."""
    clustered = ", ".join(instance.name for instance in instances if instance.clustered)
    if cluster_node and clustered:
        return unknown(f"needed for {clustered}, which the cluster fails over")
    return passed("not needed: no SQL Server of this host fails over by a cluster")


# Proxies of the service accounts, TLS, and the time service.

_TLS_1_2, _TLS_1_3 = 0x800, 0x2000  # bits of SecureProtocols
# How Windows Time finds its source, by the value Type.
_TIME_SOURCES: Final = {
    "NT5DS": "the domain is its source",
    "NTP": "its source is {servers}",
    "ALLSYNC": "its source is the domain or {servers}",
    "NOSYNC": "it has no source",
}
# Errors of WinINet that are about TLS or the certificate, so that no other account of this host gets further.
ERRORS_OF_TLS: Final = frozenset({12037, 12038, 12045, 12157, 12169, 12170, 12175})


def service_proxy(
    proxies: Mapping[str, ProxySettings | None], winhttp: ProxySettings | Unreadable, *, host: str, expected: str | None
) -> Finding:
    """Compare the route of each account to the vault with that of the exporter: host and port, empty if direct.

    `expected` None: the exporter's route cannot be compared. WinHTTP loads lists of revoked certificates; the connector uses WinINet.
    """
    found = combined(*(_proxy(account, settings, host, expected) for account, settings in proxies.items()))
    return combined(found, Finding(found.outcome, f"WinHTTP of this host: {winhttp}"))


def _proxy(account: str, settings: ProxySettings | None, host: str, expected: str | None) -> Finding:
    if settings is None:
        return unknown(f"{account}: its registry is not loaded: start the service")
    route, shown = settings.route(host), f"{account}: {settings}"
    if route is None:
        return unknown(f"{shown} decides")
    if expected is not None and _address(route) != _address(expected):
        return warned(f"{shown}, but the exporter reaches the vault {f'through {expected}' if expected else 'directly'}")
    return passed(shown)


def _address(proxy: str) -> str:
    return proxy.casefold() if ":" in proxy or not proxy else f"{proxy.casefold()}:80"


def tls_settings(settings: TlsSettings) -> Finding:
    """Assess whether programs may use TLS 1.2 with a cipher suite of Azure."""
    fips = ["FIPS mode is on"] if settings.fips else []
    suites = [] if settings.suites is None else [suite.strip() for suite in settings.suites.upper().split(",")]
    # The vault's certificates are RSA, and Azure accepts no key exchange without forward secrecy.
    is_usable = any(suite.startswith(("TLS_ECDHE_RSA_WITH_AES_", "TLS_AES_")) for suite in suites)
    no_suite = "the policy about cipher suites has no suite that Azure accepts: TLS_ECDHE_RSA_WITH_AES_..."
    rows = (
        (settings.enabled == 0, failed("TLS 1.2 is disabled for clients")),
        (settings.enabled != 0 and settings.disabled_by_default == 1, warned("TLS 1.2 is off by default for clients")),
        (suites and not is_usable, warned(no_suite)),
        *(
            (
                protocols is not None and not protocols & (_TLS_1_2 | _TLS_1_3),
                warned(f"the Internet settings of {account} leave out TLS 1.2"),
            )
            for account, protocols in (settings.protocols or {}).items()
        ),
    )
    found = [finding for applies, finding in rows if applies]
    return combined(*found, *map(passed, fips)) if found else passed(", ".join(("TLS 1.2 is enabled", *fips)))


def time_text(state: str, kind: str, servers: str) -> str:
    """Return how Windows sets this host's clock: the state of Windows Time, how it finds its source, and the servers without their flags."""
    named = ", ".join(server.partition(",")[0] for server in servers.split()) or "no server"
    return f"is {state}: {_TIME_SOURCES.get(kind.upper(), 'its source is unknown').format(servers=named)}"
