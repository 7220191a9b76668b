"""Rules of the connector on its host: its DLL, its runtime, its registry key and the rights to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from exporter.core.checks.finding import Finding, combined, failed, passed, unknown, warned
from exporter.core.checks.model import FailureMoment
from exporter.core.connector_registry import REGISTRY_KEY
from exporter.core.key_reference import KeyReference, parse_key
from exporter.core.windows_host.access_list import ADMINISTRATORS, SYSTEM, has_full_control, holders
from exporter.core.windows_host.facts import (
    SQL_SERVER_2016,
    ConnectorFile,
    ConnectorKey,
    HostInstance,
    RegistryEntry,
    RuntimeLibrary,
    Unreadable,
    Version,
)

FOLDER: Final = "SQL Server Connector for Microsoft Azure Key Vault"  # below the folder of programs
DLL: Final = "Microsoft.AzureKeyVaultService.EKM.dll"
NEWEST: Final = (15, 0, 2000, 440)
_LAST_UNSUPPORTED: Final = (1, 0, 0, 440)
_CURRENT: Final = (15,)  # the first version of connector 1.0.5.0
_VISUAL_STUDIO: Final = {14: "2015", 12: "2013"}  # by the version of the runtime
_SERVICES: Final = "S-1-5-80-"  # the beginning of the identities of services
_CREATOR_OWNER: Final = "S-1-3-0"
_NO_GROUPS: Final = (SYSTEM, ADMINISTRATORS, _CREATOR_OWNER)  # their members are known


def version_text(version: Version) -> str:
    return ".".join(map(str, version)) if version else "without a version"


def connector_version(files: tuple[ConnectorFile, ...] | Unreadable) -> Finding:
    """Assess the DLLs at the paths of SQL Server; if these are unknown, those in the connector's folder."""
    if isinstance(files, Unreadable):
        return unknown(str(files))
    used = [file for file in files if file.of_sql_server] or [file for file in files if file.version is not None]
    return combined(*map(_file, used)) if used else warned(f"no {DLL} in the folder {FOLDER!r}")


def _file(file: ConnectorFile) -> Finding:
    if file.version is None:
        return failed(f"SQL Server lists {file.path}, but the file does not exist", codeless=True)
    shown = f"{version_text(file.version)} at {file.path}"
    if file.loaded and file.loaded != file.version:
        return warned(f"{version_text(file.loaded)} is loaded, and the next start loads {shown}")
    if file.version < NEWEST:
        age = "no longer supported" if file.version <= _LAST_UNSUPPORTED else f"older than {version_text(NEWEST)}"
        return warned(f"{shown}: {age}")
    return passed(shown)


def vc_runtime(
    runtimes: tuple[RuntimeLibrary, ...] | Unreadable,
    files: tuple[ConnectorFile, ...] | Unreadable,
    instances: Iterable[HostInstance],
) -> Finding:
    """Assess whether the runtime of this connector is installed for each SQL Server. Without a DLL, connector 1.0.5.0 is assumed."""
    if isinstance(runtimes, Unreadable):
        return unknown(str(runtimes))
    older = is_current(files) is False
    needed = {12 if older or (instance.major or SQL_SERVER_2016) < SQL_SERVER_2016 else 14 for instance in instances}
    return combined(*(_runtime(number, runtimes) for number in sorted(needed)))


def _runtime(number: int, runtimes: Iterable[RuntimeLibrary]) -> Finding:
    found = [library for library in runtimes if library.version[:1] == (number,)]
    best = max(found, key=lambda library: (library.registered, library.version), default=None)
    if best is None:
        return failed(f"Visual C++ {_VISUAL_STUDIO[number]} for x64 is not installed", codeless=True)
    if not best.registered:
        return warned(
            f"no installation of Visual C++ {_VISUAL_STUDIO[number]} for x64 is registered, although {best.name} exists"
        )
    return passed(f"{best.name}, {version_text(best.version)}")


def is_current(files: tuple[ConnectorFile, ...] | Unreadable) -> bool | None:
    """Return whether the newest DLL is of connector 1.0.5.0; None if there is none."""
    versions = [] if isinstance(files, Unreadable) else [file.version for file in files if file.version]
    return max(versions) >= _CURRENT if versions else None


def registry_rights(
    key: ConnectorKey | Unreadable, instances: Iterable[HostInstance], wanted: KeyReference, *, current: bool | None
) -> Finding:
    """Assess the right of each service account to the connector's key and to those below, and the entry of the wanted key.

    `current`: connector 1.0.5.0; None if unknown.
    """
    if isinstance(key, Unreadable):
        return unknown(str(key))
    if not key.entries:
        missing = rf"HKLM\{REGISTRY_KEY} does not exist"
        return failed(missing) if current else warned(f"{missing}; connector 1.0.5.0 needs it")
    return combined(*(_rights(instance, key) for instance in instances), _entries(key, wanted, current=current))


def _rights(instance: HostInstance, key: ConnectorKey) -> Finding:
    if not instance.sid:
        return unknown(f"{instance}: this host cannot resolve the account")
    sids = instance.sids | {group for group, members in key.members.items() if instance.sids.intersection(members)}
    lacking = [entry for entry in key.entries if not has_full_control(entry.rights, sids)]
    if lacking:
        return _lacking(instance, lacking[0], key)
    if not has_full_control(key.entries[0].rights, sids, below=True):
        return warned(f"{instance} has Full Control, but keys below do not inherit it")
    return passed(f"{instance} has Full Control")


def _lacking(instance: HostInstance, entry: RegistryEntry, key: ConnectorKey) -> Finding:
    """Return a failure; a warning if a group has the right that the account may be in."""
    holding = (sid for sid in holders(entry.rights or ()) if sid not in _NO_GROUPS and not sid.startswith(_SERVICES))
    others = [key.groups[sid] for sid in holding if sid in key.groups]
    where = f" of {entry.path}" if entry.path else ""
    text = f"{instance} lacks Full Control{where}"
    if others:
        return warned(f"{text}, unless it is a member of {', '.join(others)}")
    return replace(failed(text), moment=FailureMoment.KEY if any(each.key_uri for each in key.entries) else None)


def _entries(key: ConnectorKey, wanted: KeyReference, *, current: bool | None) -> Finding:
    """Assess whether an entry names this key version; connector 1.0.5.0 writes one for each key that it creates."""
    uris = [entry.key_uri for entry in key.entries if entry.key_uri]
    count = f"{len(uris)} {'entry' if len(uris) == 1 else 'entries'}"
    if any(_names(uri, wanted) for uri in uris):
        return passed(f"{count}, of this key version too")
    none = f"{count}, none of this key version"
    return warned(f"{none}: SQL Server created the key on another host, or uses another version") if current else passed(none)


def _names(uri: str, wanted: KeyReference) -> bool:
    try:
        name, version, vault = parse_key(uri)
    except ValueError:
        return False
    same = (vault, name.casefold()) == (wanted.vault, wanted.name.casefold())
    return same and (wanted.version is None or (version or "").casefold() == wanted.version.casefold())


def cluster_checkpoint(cluster_node: bool | Unreadable, instances: Collection[HostInstance]) -> Finding:
    """Assess whether a checkpoint is needed; whether one exists, only a command of the cluster shows."""
    if isinstance(cluster_node, Unreadable):
        return unknown(str(cluster_node))
    clustered = [instance.name for instance in instances if instance.clustered]
    if cluster_node and clustered:
        return unknown(f"needed for {', '.join(clustered)}, which the cluster fails over")
    return passed("not needed: no SQL Server of this host fails over by a cluster")
