"""Samples of a SQL Server as pure functions of its reading.

An unknown value has no series. A server may send the same row twice: the later one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from exporter.core.sql_addresses import parse_sql_address
from exporter.metrics.samples import Values, one
from exporter.metrics.sql_difference_samples import difference_samples
from exporter.metrics.sql_proof_samples import log_samples, proof_samples
from exporter.metrics.sql_server_definitions import MOST
from exporter.metrics.sql_server_rows import SqlServerRows, label, number, providers_are_on, rows_of, text, thumbprint, time
from exporter.metrics.text_format import Labels, LabelSet, Sample
from exporter.tde.differences import Difference
from exporter.tde.fields import Row
from exporter.tde.log_space import log_spaces
from exporter.tde.proof import key_proofs
from exporter.tde.sql_reading import BACKUP_TYPES, TRACE_FLAG, SqlServerReading

# By `state_desc` of sys.databases.
STATES: Final = {
    "ONLINE": 0.0,
    "RESTORING": 1.0,
    "RECOVERING": 2.0,
    "RECOVERY_PENDING": 3.0,
    "SUSPECT": 4.0,
    "EMERGENCY": 5.0,
    "OFFLINE": 6.0,
}
_Known = tuple[Labels, float | None]  # None: unknown


def labels_of(reading: SqlServerReading) -> LabelSet:
    """Return the labels of a SQL Server. Its address stands for names that are unknown until the first reading, or another server's."""
    known = not reading.contested
    sql_instance = (known and reading.sql_instance) or reading.address
    host = (known and reading.host) or parse_sql_address(reading.address).host.lower()
    return LabelSet.from_labels(("sql_instance", text(sql_instance)), ("host", text(host)))


def sql_server_samples(reading: SqlServerReading, differences: Iterable[Difference] = ()) -> Values:
    """Return the samples of every family; a family without a value has none."""
    values: Values = difference_samples(differences) | {
        "mssql_ekm_read_success": one(not reading.failure),
        "mssql_ekm_read_refused": one(reading.refused),
        "mssql_ekm_section_timestamp_seconds": [((("section", name),), at) for name, at in reading.read_at.items()],
    }
    if reading.document is None:
        return values | {name: [] for name in _FAMILIES} | proof_samples(()) | log_samples((), ())
    rows = rows_of(reading.document)
    values |= {name: _samples(known(rows)) for name, known in _FAMILIES.items()}
    # Few of the databases may have series, but all logs of a volume share its room.
    return values | proof_samples(key_proofs(reading)) | log_samples(log_spaces(reading), frozenset(rows.databases.values()))


def _samples(known: Iterable[_Known]) -> list[Sample]:
    """Return one sample for each set of labels with a value."""
    return list({labels: value for labels, value in known if value is not None}.items())


def _start(rows: SqlServerRows) -> Iterator[_Known]:
    for row in rows.section("instance")[:1]:
        names = ("server_name", "node", "product_version")
        started = next((time(each, "started_utc") for each in rows.section("start")), None)
        yield tuple((name, label(row, name)) for name in names), started


def _enabled(rows: SqlServerRows) -> Iterator[_Known]:
    allowed = providers_are_on(rows)
    for row in rows.providers:
        yield (("provider", label(row, "name")),), float(allowed and row.get("is_enabled") != 0)


def _providers(rows: SqlServerRows) -> Iterator[_Known]:
    for row in rows.providers:
        yield from _group_infos(rows, label(row, "name"), provider_version=label(row, "version"), dll_path=label(row, "dll_path"))


def _dlls(rows: SqlServerRows) -> Iterator[_Known]:
    paths = {label(row, "name"): label(row, "dll_path") for row in rows.providers}
    for provider, row in _last_rows(rows, "modules").items():
        if provider in paths:
            yield from _group_infos(rows, provider, file_version=label(row, "file_version"), dll_path=paths[provider])


def _loaded(rows: SqlServerRows) -> Iterator[_Known]:
    known = {label(row, "name") for row in rows.providers}
    for provider, row in _last_rows(rows, "loaded").items():
        if provider in known:
            own = {name: label(row, name) for name in ("provider_version", "friendly_name")}
            yield from _group_infos(rows, provider, **own)


def _last_rows(rows: SqlServerRows, section: str) -> dict[str, Row]:
    """Return the last row of each provider: a server may send thousands."""
    return {label(row, "provider"): row for row in rows.section(section)}


def _group_infos(rows: SqlServerRows, provider: str, **own: str) -> Iterator[_Known]:
    """Yield an info for each availability group of the node."""
    for ag in rows.groups:
        yield (("ag", ag), ("provider", provider), *own.items()), 1.0


def _credential(row: Row) -> Labels:
    return (
        ("provider", label(row, "provider")),
        ("credential", label(row, "name")),
        ("credential_identity", label(row, "identity")),
    )


def _modified_after_start(rows: SqlServerRows) -> Iterator[_Known]:
    started = next((time(row, "started_utc") for row in rows.section("start")), None)
    for row in rows.credentials:
        modified = time(row, "modified_utc")
        if modified is not None and started is not None:
            yield _credential(row), float(modified > started)


def _modified(rows: SqlServerRows) -> Iterator[_Known]:
    for row in rows.credentials:
        for ag in rows.groups:
            yield (("ag", ag), *_credential(row)), time(row, "modified_utc")


def _altered(rows: SqlServerRows) -> Iterator[_Known]:
    for row in rows.credentials:
        created, modified = time(row, "created_utc"), time(row, "modified_utc")
        # CREATE CREDENTIAL writes both times, with a fraction of a second between them.
        if created is not None and modified is not None and modified > created + 1:
            for ag in rows.groups:
                yield (("ag", ag), *_credential(row)), modified


def _keys(rows: SqlServerRows) -> Iterator[_Known]:
    for row in rows.keys:
        yield (("key_name", label(row, "name")), ("thumbprint", thumbprint(row)), ("provider", label(row, "provider"))), 1.0


def _encryption(rows: SqlServerRows) -> Iterator[_Known]:
    for database, row in dict(rows.listed_databases("encryption")).items():
        encryptor = ("encryptor_type", label(row, "encryptor_type")), ("encryptor_thumbprint", thumbprint(row))
        yield (("database", database), *encryptor), number(row, "encryption_state")


def _states(rows: SqlServerRows) -> Iterator[_Known]:
    replicas = _replicas(rows)
    for database, row in rows.listed_databases("databases"):
        ag = label(row, "ag")
        yield (("database", database), ("ag", ag), ("replicas", replicas.get(ag, ""))), STATES.get(str(row.get("state", "")))


def _replicas(rows: SqlServerRows) -> dict[str, str]:
    """Return the servers of each availability group as one label.

    Groups of one name may be of two clusters.
    """
    servers: dict[str, set[str]] = {}
    for row in rows.section("replicas"):
        servers.setdefault(label(row, "ag"), set()).add(label(row, "server_name").lower())
    return {ag: text(" ".join(sorted(names))) for ag, names in servers.items()}


def _openings(column: str, value: Callable[[Row, str], float | None]) -> Callable[[SqlServerRows], Iterator[_Known]]:
    return lambda rows: (((("database", database),), value(row, column)) for database, row in rows.listed_databases("opened"))


def _backups(column: str) -> Callable[[SqlServerRows], Iterator[_Known]]:
    return lambda rows: (
        ((("database", database), ("type", BACKUP_TYPES[kind])), time(row, column))
        for database, row in rows.listed_databases("backups")
        if (kind := str(row.get("type", ""))) in BACKUP_TYPES
    )


def _vlfs(rows: SqlServerRows) -> Iterator[_Known]:
    for database, row in rows.listed_databases("logs"):
        yield (("database", database),), number(row, "vlf_sequence_number")


def _flags(rows: SqlServerRows) -> Iterator[_Known]:
    for row in rows.section("flags"):
        if row.get("flag") == TRACE_FLAG:
            yield (("flag", str(TRACE_FLAG)),), number(row, "is_on")


def _errors(column: str, value: Callable[[Row, str], float | None]) -> Callable[[SqlServerRows], Iterator[_Known]]:
    return lambda rows: (((("code", label(row, "code")),), value(row, column)) for row in rows.section("errors")[:MOST])


_FAMILIES: Final[Mapping[str, Callable[[SqlServerRows], Iterable[_Known]]]] = {
    "mssql_ekm_objects_left_out": lambda rows: [((), float(rows.left_out))],
    "mssql_ekm_start_timestamp_seconds": _start,
    "mssql_ekm_provider_enabled": _enabled,
    "mssql_ekm_provider_info": _providers,
    "mssql_ekm_provider_dll_info": _dlls,
    "mssql_ekm_provider_loaded_info": _loaded,
    "mssql_ekm_credential_modified_after_start": _modified_after_start,
    "mssql_ekm_credential_modified_timestamp_seconds": _modified,
    "mssql_ekm_credential_altered_timestamp_seconds": _altered,
    "mssql_ekm_asymmetric_key_info": _keys,
    "mssql_ekm_database_encryption_state": _encryption,
    "mssql_ekm_database_encryption_percent_complete": _openings("percent_complete", number),
    "mssql_ekm_database_key_opened_timestamp_seconds": _openings("opened_utc", time),
    "mssql_ekm_database_state": _states,
    "mssql_ekm_backup_finished_timestamp_seconds": _backups("finished_utc"),
    "mssql_ekm_backup_started_timestamp_seconds": _backups("started_utc"),
    "mssql_ekm_log_vlf_sequence_number": _vlfs,
    "mssql_ekm_trace_flag_enabled": _flags,
    "mssql_ekm_error_log_lines": _errors("lines", number),
    "mssql_ekm_error_log_last_timestamp_seconds": _errors("last_utc", time),
}
