"""The faults of simulated SQL Servers, as one literal table."""

from __future__ import annotations

from dataclasses import replace

from exporter.simulator.fault_effects import rotate_key
from exporter.simulator.faults import FaultScope, Options, SimulatedFault, VaultOf
from exporter.simulator.model import Key, SimulatedKeyVersion
from exporter.simulator.sql_model import SimulatedSqlServer, SqlDatabase, SqlKey, invented_thumbprint

_SQL = frozenset({FaultScope.SQL})
_OLD_VERSION = "12.0.6024.0"


def _other_version(key: SqlKey, vault_of: VaultOf) -> SqlKey:
    """Return the newest version of the key, or an invented one if the key is the newest."""
    vault = vault_of(key.vault)
    known = vault.keys.get(key.key_name.lower()) if vault is not None else None
    known = known or Key(name=key.key_name, versions=(SimulatedKeyVersion(version=key.key_version),))
    newest = known.versions[-1] if known.versions[-1].version != key.key_version else rotate_key(known).versions[-1]
    thumbprint = invented_thumbprint(key.key_name, newest.version)
    return replace(key, key_version=newest.version, thumbprint=thumbprint)


def _move_databases(server: SimulatedSqlServer, options: Options, vault_of: VaultOf) -> SimulatedSqlServer:
    """Protect the databases with another version of their key; the old key stays on the server."""
    chosen = [one for one in server.databases if options.database in (None, one.name)]
    used = {one.thumbprint for one in chosen}
    moved = {key.thumbprint: _other_version(key, vault_of) for key in server.keys if key.thumbprint in used}
    databases = [replace(one, thumbprint=moved[one.thumbprint].thumbprint) if one in chosen else one for one in server.databases]
    return replace(server, keys=(*server.keys, *moved.values()), databases=tuple(databases))


def _add_database(server: SimulatedSqlServer, options: Options, _vault_of: VaultOf) -> SimulatedSqlServer:
    """Add a database under a key that no target has."""
    first, version = server.keys[0], "e" * 32
    thumbprint = invented_thumbprint("NotInConfiguration", version)
    key = replace(first, key_name="NotInConfiguration", key_version=version, thumbprint=thumbprint)
    database = SqlDatabase(name=options.database or "not-in-configuration", thumbprint=thumbprint)
    return replace(server, keys=(*server.keys, key), databases=(*server.databases, database))


SQL_FAULTS: tuple[SimulatedFault, ...] = (
    SimulatedFault(name="sql_silent", broken="SQL Server accepts connections and sends no answer", scopes=_SQL,
          sql=lambda server, _, __: replace(server, silent=True)),
    SimulatedFault(name="sql_login_refused", broken="SQL Server refuses every login (message 18456)", scopes=_SQL,
          sql=lambda server, _, __: replace(server, refuses_login=True)),
    SimulatedFault(name="sql_right_missing", broken="the login lacks the `right` (message 300, or lists that stay empty)", scopes=_SQL,
          sql=lambda server, options, _: replace(server, rights=server.rights - {options.right.upper()})),
    SimulatedFault(name="sql_view_missing", broken="SQL Server lacks the system view `view` (message 208)", scopes=_SQL,
          sql=lambda server, options, _: replace(server, missing=server.missing | {options.view})),
    SimulatedFault(name="sql_2014", broken="SQL Server is version 2014, which has no FOR JSON (messages 102 and 207)", scopes=_SQL,
          sql=lambda server, _, __: replace(server, product_version=_OLD_VERSION)),
    SimulatedFault(name="sql_provider_disabled", broken="the EKM provider is disabled", scopes=_SQL,
          sql=lambda server, _, __: replace(server, provider_enabled=False)),
    SimulatedFault(name="sql_library_missing", broken="SQL Server cannot load the DLL of the provider (message 33027)", scopes=_SQL,
          sql=lambda server, _, __: replace(server, library_loads=False)),
    SimulatedFault(name="sql_credential_altered", broken="the credentials were altered `seconds` ago, and have the secret that Entra accepts", scopes=_SQL,
          sql=lambda server, options, _: replace(server, altered=options.since - options.seconds, secret_accepted=True)),
    SimulatedFault(name="sql_secret_changed", broken="the credentials were altered `seconds` ago, and have a secret that Entra refuses", scopes=_SQL,
          sql=lambda server, options, _: replace(server, altered=options.since - options.seconds, secret_accepted=False)),
    SimulatedFault(name="sql_secret_old", broken="the credentials still have an old secret, which Entra refuses", scopes=_SQL,
          sql=lambda server, _, __: replace(server, secret_accepted=False)),
    SimulatedFault(name="sql_login_without_credential", broken="the logins of the keys have no credential (message 33046)", scopes=_SQL,
          sql=lambda server, _, __: replace(server, login_has_credential=False)),
    SimulatedFault(name="sql_registry_refused", broken="the login may not read the registry (message 229)", scopes=_SQL,
          sql=lambda server, _, __: replace(server, registry_readable=False)),
    SimulatedFault(name="sql_backups_fail", broken="backups fail for a cause of their own, such as a full disk (messages 18204 and 3041 alone)", scopes=_SQL,
          sql=lambda server, _, __: replace(server, backups_fail=True)),
    SimulatedFault(name="sql_section_damaged", broken="the section of the scripts whose name is `view` arrives without its rows", scopes=_SQL,
          sql=lambda server, options, _: replace(server, without_rows=server.without_rows | {options.view})),
    SimulatedFault(name="sql_errors_logged", broken="the error log has a new line with provider error code 3303, as if the secret inside SQL Server were wrong",
          scopes=_SQL, sql=lambda server, options, _: replace(server, logged=(*server.logged, (options.since, "3303")))),
    SimulatedFault(name="sql_databases_moved", broken="the databases, or only `database`, use another version of their key", scopes=_SQL,
          sql=_move_databases),
    SimulatedFault(name="sql_database_added", broken="a further database uses a key that no target has", scopes=_SQL, sql=_add_database),
)  # fmt: skip
