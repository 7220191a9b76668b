"""Derive the simulated SQL Servers from the targets and their `instances`. Each target protects one database of its name.

The same configuration makes the same servers, databases and thumbprints in each run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from exporter.config.settings import Config, Target
from exporter.core.model import CredentialKind, Generation
from exporter.simulator.sql_model import MANAGED_IDENTITY, SimulatedSqlServer, SqlDatabase, SqlKey, invented_thumbprint

_DAY = 86400.0
_DEFAULT_INSTANCE = "MSSQLSERVER"
_FILE_VERSIONS = {Generation.CLASSIC: "1.0.4.0", Generation.CURRENT: "15.0.2000.440"}
_MANAGED = (CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY, CredentialKind.DEFAULT)
_Uses = list[tuple[Target, Mapping[str, str]]]  # targets, each with its entry of `instances`


def sql_servers(config: Config, newest: str, applications: Mapping[str, str]) -> dict[str, SimulatedSqlServer]:
    """Return the servers by name in lower case.

    `newest` is the version of a key that no target pins. `applications` has the client id of each credential.
    """
    found: dict[str, _Uses] = {}
    for target in config.targets.values():
        for instance in target.instances:
            found.setdefault(server_name(instance), []).append((target, instance))
    derivation = _Derivation(config, newest, applications, found)
    return {name.lower(): derivation.server(name, uses) for name, uses in found.items()}


def server_name(instance: Mapping[str, str]) -> str:
    """Return @@SERVERNAME of an entry of `instances`."""
    name, host = instance["sql_instance"].upper(), instance.get("host", "").partition(".")[0].upper()
    if not host or name in {host, _DEFAULT_INSTANCE}:
        return host or name
    return f"{host}\\{name}"


class _Derivation:
    """Makes the servers of one configuration."""

    def __init__(self, config: Config, newest: str, applications: Mapping[str, str], found: Mapping[str, _Uses]) -> None:
        self._config, self._newest, self._applications = config, newest, applications
        self._groups: dict[str, dict[str, None]] = {}  # the servers of each availability group
        for name, uses in found.items():
            for ag in _groups(uses):
                self._groups.setdefault(ag, {})[name] = None

    def server(self, name: str, uses: _Uses) -> SimulatedSqlServer:
        """Return the server of this name."""
        first, now = uses[0][1], time.time()
        keys: dict[str, SqlKey] = {}
        databases = []
        for target, instance in uses:
            key = self._key(target, {key.credential: key.identity for key in keys.values()})
            keys.setdefault(key.thumbprint, key)
            databases.append(SqlDatabase(name=target.name, thumbprint=key.thumbprint, ag=instance.get("ag")))
        return SimulatedSqlServer(
            name=name,
            sql_instance=first["sql_instance"],
            host=first.get("host", ""),
            keys=tuple(keys.values()),
            databases=tuple({one.name: one for one in databases}.values()),
            groups=tuple((ag, tuple(self._groups[ag])) for ag in _groups(uses)),
            started=now - 10 * _DAY,
            altered=now - 40 * _DAY,
            file_version=_FILE_VERSIONS[uses[0][0].generation],
        )

    def _key(self, target: Target, known: Mapping[str, str]) -> SqlKey:
        version = target.key_version or self._newest
        credential, identity = self._credential(target, known)
        return SqlKey(
            vault=target.vault,
            key_name=target.key_name,
            key_version=version,
            thumbprint=target.thumbprint or invented_thumbprint(target.key_name, version),
            credential=credential,
            identity=identity,
            application=self._applications.get(target.credential),
        )

    def _credential(self, target: Target, known: Mapping[str, str]) -> tuple[str, str]:
        """Return name and identity in SQL Server. A credential there belongs to one vault, and one in the configuration to many."""
        if self._config.credentials[target.credential].kind in _MANAGED:
            return target.vault, MANAGED_IDENTITY
        identity = target.vault.removesuffix(".vault.azure.net")
        name = target.credential
        return name if known.get(name, identity) == identity else f"{name}-{identity}", identity


def _groups(uses: _Uses) -> tuple[str, ...]:
    return tuple(dict.fromkeys(instance["ag"] for _, instance in uses if "ag" in instance))
