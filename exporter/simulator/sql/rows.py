"""The rows of one instance under the column names of the shipped scripts: one function for each query.

A section of inventory.sql is found by its name, a query of ekm.collector.yml by the columns that it yields. The order of the columns is that of the
query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from exporter.simulator.sql_model import DEFINITIONS, ERROR_LOG, PROVIDER, STATES, SqlKey, SqlServer
from exporter.tde.model import EKM_OPTION

Rows = list[dict[str, Any]]
_DLL = r"C:\Program Files\SQL Server Connector for Microsoft Azure Key Vault\Microsoft.AzureKeyVaultService.EKM.dll"
_ASYMMETRIC = "ASYMMETRIC KEY"


class SqlView:
    """One instance at one moment, with the public keys of its keys by thumbprint."""

    def __init__(self, server: SqlServer, public_keys: Mapping[str, str], now: float) -> None:
        self.server, self.public_keys, self.now = server, public_keys, now
        self.definitions = DEFINITIONS in server.rights

    @property
    def keys(self) -> tuple[SqlKey, ...]:
        """The asymmetric keys that the login may see."""
        return self.server.keys if self.definitions else ()

    @property
    def groups(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return self.server.groups if self.definitions else ()

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
            "credential": key.credential,
        }
        for key in view.keys
    ]


def _encryption(view: SqlView) -> Rows:
    """The encryption keys of databases that opened."""
    return [
        {"database": one.name, "encryption_state": 3, "encryptor_type": _ASYMMETRIC, "thumbprint": one.thumbprint}
        for one in view.server.databases
        if one.state == 0
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
}
"""The sections of inventory.sql."""


def _start(view: SqlView) -> Rows:
    server = view.server
    named = {"server_name": server.name, "node": server.machine, "product_version": server.product_version}
    return [{**named, "started": int(server.started)}]


def _repeat_by_group(view: SqlView, rows: Rows) -> Rows:
    """Repeat the rows under each availability group, or under none."""
    return [{"ag": ag, **row} for ag in [ag for ag, _ in view.groups] or [""] for row in rows]


def _provider(view: SqlView, **more: str) -> Rows:
    return _repeat_by_group(view, [{"provider": PROVIDER, **more}])


def _modified(view: SqlView) -> Rows:
    altered = int(view.server.altered)
    return [
        {"provider": PROVIDER, "credential": name, "credential_identity": identity, "modified": altered, "altered": altered}
        for name, identity in _seen_credentials(view)
    ]


def _modified_after_start(view: SqlView) -> Rows:
    after = int(view.server.altered > view.server.started)
    return [{**row, "modified_after_start": after} for row in _modified(view)]


def _encryption_states(view: SqlView) -> Rows:
    opened = {"percent_complete": 0.0, "opened": int(view.server.started)}
    return [{**row, "encryptor_thumbprint": row["thumbprint"], **opened} for row in _encryption(view)]


def _error_log(view: SqlView) -> Rows:
    """Return the lines of the provider by code; none if the login may not read the log."""
    logged = [{"code": code, "lines": 1, "last_seen": int(view.now)} for code in view.server.logged_codes]
    return [*logged, {"code": "other", "lines": 0, "last_seen": None}] if ERROR_LOG in view.server.rights else []


QUERIES: Mapping[frozenset[str], Callable[[SqlView], Rows]] = {
    frozenset({"server_name", "node", "product_version", "started"}): _start,
    frozenset({"provider", "provider_enabled"}): lambda view: [
        {"provider": PROVIDER, "provider_enabled": int(view.server.provider_enabled)}
    ],
    frozenset({"ag", "provider", "provider_version", "dll_path"}): lambda view: _provider(
        view, provider_version=view.catalog_version, dll_path=_DLL
    ),
    frozenset({"ag", "provider", "file_version", "dll_path"}): lambda view: _provider(
        view, file_version=view.server.file_version, dll_path=_DLL
    ),
    frozenset({"ag", "provider", "provider_version", "friendly_name"}): lambda view: _provider(
        view, provider_version=view.catalog_version, friendly_name="SQL Server Connector for Microsoft Azure Key Vault"
    ),
    frozenset({"provider", "credential", "credential_identity", "modified_after_start"}): _modified_after_start,
    frozenset({"ag", "provider", "credential", "credential_identity", "modified", "altered"}): lambda view: _repeat_by_group(
        view, _modified(view)
    ),
    frozenset({"key_name", "thumbprint", "provider"}): lambda view: [{**row, "key_name": row["name"]} for row in _keys(view)],
    frozenset({"database", "encryptor_type", "encryptor_thumbprint", "encryption_state", "percent_complete", "opened"}):
        _encryption_states,
    frozenset({"code", "lines", "last_seen"}): _error_log,
    frozenset({"database", "database_state"}): lambda view: [
        {"database": "master", "database_state": 0},
        *({"database": one.name, "database_state": one.state} for one in view.server.databases),
    ],
}  # fmt: skip
"""The queries of ekm.collector.yml, by their columns."""
