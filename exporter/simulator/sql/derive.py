"""Derive the simulated SQL Servers from the targets and their `instances`. Each target protects one database of its name.

The same configuration makes the same servers, databases and thumbprints in each run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from exporter.config.model import Config, Target
from exporter.core.model import Generation
from exporter.simulator.sql_model import SqlDatabase, SqlKey, SqlServer, invented_thumbprint

_DAY = 86400.0
_DEFAULT_INSTANCE = "MSSQLSERVER"
_FILE_VERSIONS = {Generation.CLASSIC: "1.0.4.0", Generation.CURRENT: "15.0.2000.440"}


def sql_servers(config: Config, newest: str, applications: Mapping[str, str]) -> dict[str, SqlServer]:
    """Return the servers by name in lower case.

    `newest` is the version of a key that no target pins. `applications` has the client id of each credential.
    """
    found: dict[str, list[tuple[Target, Mapping[str, str]]]] = {}
    for target in config.targets.values():
        for instance in target.instances:
            found.setdefault(server_name(instance), []).append((target, instance))
    groups = _groups(found)
    return {name.lower(): _server(name, uses, groups, newest, applications) for name, uses in found.items()}


def server_name(instance: Mapping[str, str]) -> str:
    """Return @@SERVERNAME of an entry of `instances`."""
    name, host = instance["sql_instance"].upper(), instance.get("host", "").partition(".")[0].upper()
    if not host or name in {host, _DEFAULT_INSTANCE}:
        return host or name
    return f"{host}\\{name}"


def _groups(found: Mapping[str, list[tuple[Target, Mapping[str, str]]]]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, dict[str, None]] = {}
    for name, uses in found.items():
        for _, instance in uses:
            if "ag" in instance:
                groups.setdefault(instance["ag"], {})[name] = None
    return {ag: tuple(names) for ag, names in groups.items()}


def _server(
    name: str,
    uses: list[tuple[Target, Mapping[str, str]]],
    groups: Mapping[str, tuple[str, ...]],
    newest: str,
    applications: Mapping[str, str],
) -> SqlServer:
    first = uses[0][1]
    keys: dict[str, SqlKey] = {}
    databases: dict[str, SqlDatabase] = {}
    for target, instance in uses:
        key = _key(target, newest, applications)
        keys.setdefault(key.thumbprint, key)
        databases[target.name] = SqlDatabase(name=target.name, thumbprint=key.thumbprint, ag=instance.get("ag"))
    own = dict.fromkeys(instance["ag"] for _, instance in uses if "ag" in instance)
    now = time.time()
    return SqlServer(
        name=name,
        sql_instance=first["sql_instance"],
        host=first.get("host", ""),
        keys=tuple(keys.values()),
        databases=tuple(databases.values()),
        groups=tuple((ag, groups[ag]) for ag in own),
        started=now - 10 * _DAY,
        altered=now - 40 * _DAY,
        file_version=_FILE_VERSIONS[uses[0][0].generation],
    )


def _key(target: Target, newest: str, applications: Mapping[str, str]) -> SqlKey:
    version = target.key_version or newest
    label = target.vault.partition(".")[0]
    return SqlKey(
        vault=target.vault,
        key_name=target.key_name,
        key_version=version,
        thumbprint=target.thumbprint or invented_thumbprint(target.key_name, version),
        credential=f"{label}-{target.credential}",
        identity=label if target.vault.endswith(".vault.azure.net") else target.vault,
        application=applications.get(target.credential),
    )
