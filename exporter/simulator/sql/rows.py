"""The rows of one instance under the column names of inventory.sql and proof.sql: one function for each section."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from exporter.simulator.sql.day import LOG, SqlDay
from exporter.simulator.sql_model import DEFINITIONS, ONLINE, PROVIDER, STATES, SimulatedSqlServer, SqlDatabase, SqlKey
from exporter.tde.model import EKM_OPTION

Rows = list[dict[str, Any]]
_DLL = r"C:\Program Files\SQL Server Connector for Microsoft Azure Key Vault\Microsoft.AzureKeyVaultService.EKM.dll"
_FRIENDLY_NAME = "SQL Server Connector for Microsoft Azure Key Vault"
_ASYMMETRIC = "ASYMMETRIC KEY"
_TRACE_FLAG = 15025
_ENCRYPTED_UTC = "2026-01-05T09:00:00"  # each database, long before the first backup that is shown
_ERRORS_SECONDS, _ERROR_LINES = 86400.0, 1000  # what the query of the error log reads


class SqlView:
    """One instance at one moment, with the public keys of its keys by thumbprint.

    `primary_backups` has the time of the last log backup of each database that another server backs up.
    """

    def __init__(
        self,
        server: SimulatedSqlServer,
        day: SqlDay,
        public_keys: Mapping[str, str],
        primary_backups: Mapping[str, float],
        now: float,
    ) -> None:
        self.server, self.day, self.public_keys, self.now = server, day, public_keys, now
        self.primary_backups = primary_backups
        self.definitions = DEFINITIONS in server.rights

    @property
    def keys(self) -> tuple[SqlKey, ...]:
        """The asymmetric keys that the login may see."""
        return self.server.keys if self.definitions else ()

    @property
    def groups(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return self.server.groups if self.definitions else ()

    @property
    def open_databases(self) -> list[SqlDatabase]:
        return [one for one in self.server.databases if one.state == ONLINE]

    @property
    def catalog_version(self) -> str:
        """The version that the provider had when it was registered."""
        return "1.0.5.0" if self.server.file_version.startswith("15.") else self.server.file_version

    def text(self, moment: float) -> str:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _instance(view: SqlView) -> Rows:
    server = view.server
    return [
        {
            "server_name": server.name,
            "machine": server.machine,
            "instance_name": server.instance_name,
            "node": server.machine,
            "product_version": server.product_version,
            "edition": "Enterprise Edition (64-bit)",
            "platform": "windows",
            "may_view_definitions": int(view.definitions),
            "may_view_security_definitions": int(view.definitions),
            "may_view_databases": 1,
            "read_at_utc": view.text(view.now),
        }
    ]


def _providers(view: SqlView) -> Rows:
    return [
        {"name": PROVIDER, "version": view.catalog_version, "dll_path": _DLL, "is_enabled": int(view.server.provider_enabled)}
    ]


def _credentials(view: SqlView) -> Rows:
    times = {"created_utc": view.text(view.server.altered - 86400), "modified_utc": view.text(view.server.altered)}
    return [{"name": name, "identity": identity, "provider": PROVIDER, **times} for name, identity in _seen_credentials(view)]


def _seen_credentials(view: SqlView) -> Iterable[tuple[str, str]]:
    return sorted(view.server.credentials.items()) if view.definitions else ()


def _keys(view: SqlView) -> Rows:
    return [
        {
            "name": key.name,
            "thumbprint": key.thumbprint,
            "key_length": 8 * ((len(view.public_keys[key.thumbprint]) - 2) // 2 - 20),
            "public_key": view.public_keys[key.thumbprint],
            "provider": PROVIDER,
            "has_sid": 1,
            "login": f"{key.credential}-login",
            "credential": key.credential if view.server.login_has_credential else None,
        }
        for key in view.keys
    ]


def _encryption(view: SqlView) -> Rows:
    """The encryption keys of databases that opened."""
    return [
        {"database": one.name, "encryption_state": 3, "encryptor_type": _ASYMMETRIC, "thumbprint": one.thumbprint}
        for one in view.open_databases
    ]


def _databases(view: SqlView) -> Rows:
    return [
        {
            "name": one.name,
            "state": STATES[one.state],
            "is_encrypted": 1,
            "in_group": int(one.ag is not None),
            "ag": one.ag if view.definitions else None,
        }
        for one in view.server.databases
    ]


def _replicas(view: SqlView) -> Rows:
    return [{"ag": ag, "server_name": name, "mode": "SYNCHRONOUS_COMMIT"} for ag, names in view.groups for name in names]


def _configurations(view: SqlView) -> Rows:
    server = view.server
    return [{"name": EKM_OPTION, "value": int(server.ekm_configured), "value_in_use": int(server.ekm_in_use)}]


def _opened(view: SqlView) -> Rows:
    opened = view.text(view.server.started)
    return [
        {"database": one.name, "opened_utc": opened, "set_utc": _ENCRYPTED_UTC, "encryption_state": 3, "percent_complete": 0}
        for one in sorted(view.open_databases, key=lambda one: one.name)
    ]


def _backups(view: SqlView) -> Rows:
    """The backups that this server made.

    Some are of databases that another one backs up since.
    """
    known = view.day.databases
    return [
        {"database": name, "type": kind, "started_utc": view.text(started), "finished_utc": view.text(finished)}
        for name in sorted(one.name for one in view.open_databases if one.name in known)
        for kind, (started, finished) in sorted(known[name].finished.items())
    ]


def _logs(view: SqlView) -> Rows:
    """The logs of this server's databases; a secondary replica has the time of the last log backup alone."""
    settings = view.server.day
    rows: Rows = [{"database": name, "log_backup_utc": view.text(moment)} for name, moment in view.primary_backups.items()]
    for day in view.day.shown(view.server):
        total = day.total_kb(settings)
        rows.append(
            {
                "database": day.name,
                "vlf_sequence_number": day.sequence,
                "vlf_count": math.ceil(total / settings.vlf_kb),
                "vlf_mb": math.ceil(settings.vlf_kb / 1024),
                "total_kb": int(total),
                "used_kb": int(day.used_kb),
                "since_backup_kb": int(day.used_kb),
                "log_backup_utc": view.text(day.finished[LOG][1]) if LOG in day.finished else None,
                "limit_kb": settings.limit_kb or None if view.definitions else None,
                "volume": f"L:\\{day.name}\\" if view.definitions else None,  # each log has its own disk
                "disk_free_kb": int(day.disk_free_kb(settings)) if view.definitions else None,
                "reuse_wait": "LOG_BACKUP" if day.log_backup_failed else "NOTHING",
            }
        )
    return sorted(rows, key=lambda row: row["database"])


def _errors(view: SqlView) -> Rows:
    """The lines of the error log of the last day by code."""
    times: dict[str, list[float]] = {}
    for moment, code in view.day.log_lines(view.server, view.now - _ERRORS_SECONDS)[-_ERROR_LINES:]:
        times.setdefault(code, []).append(moment)
    return [
        {"code": code, "lines": len(found), "first_utc": view.text(found[0]), "last_utc": view.text(found[-1])}
        for code, found in sorted(times.items())
    ]


SECTIONS: Mapping[str, Callable[[SqlView], Rows]] = {
    "instance": _instance,
    "providers": _providers,
    "modules": lambda view: [{"provider": PROVIDER, "file_version": view.server.file_version}],
    "credentials": _credentials,
    "keys": _keys,
    "logins": lambda _: [],  # those of keys without a SID
    "encryption": _encryption,
    "databases": _databases,
    "replicas": _replicas,
    "configurations": _configurations,
    "start": lambda view: [{"started_utc": view.text(view.server.started)}],
    "nodes": lambda _: [],  # of a failover cluster instance
    "opened": _opened,
    "backups": _backups,
    "logs": _logs,
    "flags": lambda view: [{"flag": _TRACE_FLAG, "is_on": int(view.server.day.trace_flag)}],
    "errors": _errors,
    "loaded": lambda view: [
        {"provider": PROVIDER, "provider_version": view.server.file_version, "friendly_name": _FRIENDLY_NAME}
    ],
}
"""The sections of inventory.sql and proof.sql."""
