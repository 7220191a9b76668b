"""Samples of a SQL Server as pure functions of its reading: its objects, its own proofs and logs, differences of the configuration.

An unknown value has no series. A server may send the same row twice: the later one counts. The rows that become series are bounded
in number, and label values in length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from exporter.config.settings import MaintenanceWindow, Target
from exporter.core.names import parse_sql_address
from exporter.metrics.spec import Values
from exporter.metrics.sql_server_families import FEW, MOST, SQL_SERVER_METRICS
from exporter.metrics.text import LabelSet
from exporter.sqlserver.alerting import Watch, WatchedServer, first_actions, full_at, proofs_missing, read_until
from exporter.sqlserver.calls import CALLS, OPTIONAL, calls_of_an_hour
from exporter.sqlserver.differences import Difference
from exporter.sqlserver.document import KNOWN_CODES, OTHER, Document, Row, cell_time, thumbprint_of
from exporter.sqlserver.gate.inputs import RestartReadiness
from exporter.sqlserver.instance import EKM_OPTION, OPEN, printable
from exporter.sqlserver.logs import LogSpace, log_spaces
from exporter.sqlserver.proof import ServerProof, server_proofs
from exporter.sqlserver.reading import BACKUP_TYPES, TRACE_FLAG, SqlServerReading

_LONGEST = 256  # characters of a label value: names of SQL Server have 128
_LARGEST = 2**53  # whole numbers up to here are exact as a value
# The column with the name of the database.
_COLUMNS = dict.fromkeys(("encryption", "opened", "backups", "logs"), "database") | {"databases": "name"}
_LISTED = {"providers": FEW, "credentials": FEW, "keys": MOST}
_TEMPDB = "tempdb"  # no vault protects its key
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
_OWN: Final = {spec.name: spec.own for spec in SQL_SERVER_METRICS}  # the names of the labels of a family
_Known = tuple[tuple[str, ...], float | None]  # the values of its labels, in that order; None: unknown


def _values(known: Mapping[str, Iterable[_Known]]) -> Values:
    """Return one sample for each set of labels with a value."""
    return {
        name: list({tuple(zip(_OWN[name], own, strict=True)): value for own, value in found if value is not None}.items())
        for name, found in known.items()
    }


@dataclass(frozen=True, slots=True)
class SqlServerRows:
    """The rows of a reading without those that have no series. `databases` has the label of each name."""

    groups: tuple[str, ...]
    databases: Mapping[str, str]
    left_out: int
    sections: Mapping[str, Sequence[Row]]

    def section(self, name: str) -> Sequence[Row]:
        return self.sections.get(name, ())

    def listed_databases(self, name: str) -> Iterable[tuple[str, Row]]:
        """Yield the label and the row of each database in a section."""
        return ((self.databases[_database(name, row)], row) for row in self.section(name))


def rows_of(document: Document) -> SqlServerRows:
    """Return what a SQL Server has series for."""
    sections = document.sections
    groups, names = sorted({label(row, "ag") for row in sections.get("replicas", ())}), _databases(sections)
    listed = {name: sorted(sections.get(name, ()), key=lambda row: str(row.get("name", ""))) for name in _LISTED}
    numbers = [(len(groups), FEW), (len(names), MOST), *((len(listed[name]), most) for name, most in _LISTED.items())]
    databases = {name: text(name) for name in names[:MOST]}
    of_databases = {
        name: [row for row in sections[name] if _database(name, row) in databases] for name in _COLUMNS if name in sections
    }
    return SqlServerRows(
        groups=tuple(groups[:FEW]) or ("",),
        databases=databases,
        left_out=sum(max(0, number - most) for number, most in numbers),
        sections={**sections, **of_databases, **{name: listed[name][:most] for name, most in _LISTED.items()}},
    )


def _database(section: str, row: Row) -> str:
    return str(row.get(_COLUMNS[section], ""))


def _databases(sections: Mapping[str, Collection[Row]]) -> list[str]:
    """Return the databases that are encrypted or not online; those that are not online come first."""
    found = {_database("encryption", row): True for row in sections.get("encryption", ())}
    for row in sections.get("databases", ()):
        name, is_open = _database("databases", row), row.get("state", "") in OPEN
        if name in found or row.get("is_encrypted") == 1 or not is_open:
            found[name] = is_open
    return sorted((name for name in found if name.lower() not in ("", _TEMPDB)), key=lambda name: (found[name], name))


def text(value: str) -> str:
    """Return a text of a server as the value of a label."""
    return printable(value[:_LONGEST])


def label(row: Row, column: str) -> str:
    """Return a cell as the value of a label; empty if it is missing."""
    return text(str(row.get(column, "")))


def _labels(row: Row, *columns: str) -> tuple[str, ...]:
    return tuple(label(row, column) for column in columns)


def thumbprint(row: Row) -> str:
    """Return the thumbprint of a row, as targets have theirs; empty if it is missing."""
    found = label(row, "thumbprint")
    return thumbprint_of(found) if found else ""


def number(row: Row, column: str) -> float | None:
    """Return a cell with a whole number, None if it is none."""
    value = row.get(column)
    return float(value) if isinstance(value, int) and abs(value) <= _LARGEST else None


def _of_rows(rows: SqlServerRows) -> dict[str, Iterable[_Known]]:
    """Return what the rows of a SQL Server show, by family."""
    groups, databases, providers = rows.groups, rows.listed_databases, rows.section("providers")
    options = (row.get("value_in_use") != 0 for row in rows.section("configurations") if row.get("name") == EKM_OPTION)
    are_on = all(options)  # an unknown option allows EKM providers
    paths = {label(row, "name"): label(row, "dll_path") for row in providers}
    # The last row of each provider: a server may send thousands.
    modules, loaded = ({label(row, "provider"): row for row in rows.section(name)} for name in ("modules", "loaded"))
    credentials = [
        ((ag, *_labels(row, "provider", "name", "identity")), row) for row in rows.section("credentials") for ag in groups
    ]
    replicas = _replicas(rows)
    codes: dict[str, list[Row]] = {}
    for row in rows.section("errors"):
        codes.setdefault(code if (code := str(row.get("code"))) in KNOWN_CODES else OTHER, []).append(row)
    backups = [
        ((database, BACKUP_TYPES[kind]), row)
        for database, row in databases("backups")
        if (kind := str(row.get("type", ""))) in BACKUP_TYPES
    ]
    return {
        "mssql_ekm_objects_left_out": [((), float(rows.left_out))],
        "mssql_ekm_start_timestamp_seconds": (
            (
                _labels(row, "server_name", "node", "product_version"),
                next(iter(_cells(rows.section("start")[:1], "started_utc", cell_time)), None),
            )
            for row in rows.section("instance")[:1]
        ),
        "mssql_ekm_provider_enabled": ((_labels(row, "name"), float(are_on and row.get("is_enabled") != 0)) for row in providers),
        "mssql_ekm_provider_info": (
            ((ag, *_labels(row, "name", "version", "dll_path")), 1.0) for row in providers for ag in groups
        ),
        "mssql_ekm_provider_dll_info": (
            ((ag, provider, label(row, "file_version"), paths[provider]), 1.0)
            for provider, row in modules.items()
            if provider in paths
            for ag in groups
        ),
        "mssql_ekm_provider_loaded_info": (
            ((ag, provider, *_labels(row, "provider_version", "friendly_name")), 1.0)
            for provider, row in loaded.items()
            if provider in paths
            for ag in groups
        ),
        "mssql_ekm_credential_modified_timestamp_seconds": ((own, cell_time(row, "modified_utc")) for own, row in credentials),
        "mssql_ekm_credential_altered_timestamp_seconds": ((own, _altered(row)) for own, row in credentials),
        "mssql_ekm_asymmetric_key_info": (
            ((label(row, "name"), thumbprint(row), label(row, "provider")), 1.0) for row in rows.section("keys")
        ),
        "mssql_ekm_database_encryption_state": (
            ((database, label(row, "encryptor_type"), thumbprint(row)), number(row, "encryption_state"))
            for database, row in dict(databases("encryption")).items()
        ),
        "mssql_ekm_database_encryption_percent_complete": (
            ((database,), number(row, "percent_complete")) for database, row in databases("opened")
        ),
        "mssql_ekm_database_key_opened_timestamp_seconds": (
            ((database,), cell_time(row, "opened_utc")) for database, row in databases("opened")
        ),
        "mssql_ekm_database_state": (
            ((database, label(row, "ag"), replicas.get(label(row, "ag"), "")), STATES.get(str(row.get("state", ""))))
            for database, row in databases("databases")
        ),
        "mssql_ekm_backup_finished_timestamp_seconds": ((own, cell_time(row, "finished_utc")) for own, row in backups),
        "mssql_ekm_backup_started_timestamp_seconds": ((own, cell_time(row, "started_utc")) for own, row in backups),
        "mssql_ekm_log_vlf_sequence_number": (
            ((database,), number(row, "vlf_sequence_number")) for database, row in databases("logs")
        ),
        "mssql_ekm_trace_flag_enabled": (
            ((str(TRACE_FLAG),), number(row, "is_on")) for row in rows.section("flags") if row.get("flag") == TRACE_FLAG
        ),
        "mssql_ekm_error_log_lines": (
            ((code,), sum(lines)) for code, found in codes.items() if (lines := _cells(found, "lines", number))
        ),
        "mssql_ekm_error_log_last_timestamp_seconds": (
            ((code,), max(_cells(found, "last_utc", cell_time), default=None)) for code, found in codes.items()
        ),
    }


def _cells(rows: Iterable[Row], column: str, value: Callable[[Row, str], float | None]) -> list[float]:
    return [cell for row in rows if (cell := value(row, column)) is not None]


def _altered(row: Row) -> float | None:
    """Return when a credential was altered. CREATE CREDENTIAL writes both times, with a fraction of a second between them."""
    created, modified = cell_time(row, "created_utc"), cell_time(row, "modified_utc")
    return modified if created is not None and modified is not None and modified > created + 1 else None


def _replicas(rows: SqlServerRows) -> dict[str, str]:
    """Return the servers of each availability group as one label. Groups of one name may be of two clusters."""
    servers: dict[str, set[str]] = {}
    for row in rows.section("replicas"):
        servers.setdefault(label(row, "ag"), set()).add(label(row, "server_name").lower())
    return {ag: text(" ".join(sorted(names))) for ag, names in servers.items()}


def labels_of(reading: SqlServerReading) -> LabelSet:
    """Return the labels of a SQL Server. Its address stands for names that are unknown until the first reading, or another server's."""
    known = not reading.contested
    sql_instance = (known and reading.sql_instance) or reading.address
    host = (known and reading.host) or parse_sql_address(reading.address).host.lower()
    return LabelSet.from_labels(("sql_instance", text(sql_instance)), ("host", text(host)))


def sql_server_samples(reading: SqlServerReading, differences: Iterable[Difference] = ()) -> Values:
    """Return the samples of every family; a family without a value has none."""
    rows = rows_of(reading.document)
    of_reading: dict[str, Iterable[_Known]] = {
        "mssql_ekm_read_success": [((), float(not reading.failure))],
        "mssql_ekm_section_timestamp_seconds": (((name,), at) for name, at in reading.read_at.items() if name not in OPTIONAL),
    }
    of_rows = _of_rows(rows) if reading.document.sections else dict.fromkeys(_of_rows(rows), ())
    values = difference_samples(differences) | _values({**of_reading, **of_rows}) | call_samples(reading)
    # Few of the databases may have series, but all logs of a volume share its room.
    return values | proof_samples(server_proofs(reading)) | log_samples(log_spaces(reading), frozenset(rows.databases.values()))


def call_samples(reading: SqlServerReading) -> Values:
    """Return the samples of SQL Server's own calls; none without a session that records them."""
    last: dict[tuple[str, str], float] = {}
    for row in reading.document.sections.get(CALLS, ()):
        if (at := cell_time(row, "last_utc")) is not None:
            last.setdefault((label(row, "function"), label(row, "code")), at)  # the latest rows come first
    shown = dict(islice(last.items(), FEW))
    hour = calls_of_an_hour(reading) or {}
    return _values(
        {
            "mssql_ekm_calls_last_hour": ((own, float(hour[own])) for own in shown if own in hour),
            "mssql_ekm_call_timestamp_seconds": shown.items(),
        }
    )


def difference_samples(differences: Iterable[Difference]) -> Values:
    """Return one sample for each difference: how many databases the key protects."""
    found = [
        (
            (each.kind, each.subject, text(each.thumbprint), text(each.key_uri), each.sentence, each.action),
            float(len(each.databases)),
        )
        for each in islice(differences, FEW)
    ]
    return _values({"mssql_ekm_difference_databases": found})


def proof_samples(proofs: Iterable[ServerProof]) -> Values:
    """Return the samples of each key in use."""
    shown = [(_key(each), each) for each in sorted(proofs, key=lambda proof: (proof.key_name, proof.thumbprint))[:MOST]]
    return _values(
        {
            "mssql_ekm_key_without_credential": (
                ((*key, text(proof.login)), 1.0) for key, proof in shown if proof.credential_missing
            ),
            "mssql_ekm_proven_timestamp_seconds": (
                ((*key, proof.source or "", text(proof.database)), proof.proven_at) for key, proof in shown
            ),
            "mssql_ekm_proof_due": ((key, None if proof.is_due is None else float(proof.is_due)) for key, proof in shown),
        }
    )


def _key(about: ServerProof | RestartReadiness) -> tuple[str, str]:
    return text(about.key_name), text(about.thumbprint)


def log_samples(spaces: Iterable[LogSpace], databases: Collection[str]) -> Values:
    """Return the samples of the log of each of these databases."""
    shown = [((name,), space) for space in spaces if (name := text(space.database)) in databases]
    return _values(
        {
            "mssql_ekm_log_used_bytes": ((name, space.used_bytes) for name, space in shown),
            "mssql_ekm_log_free_bytes": ((name, space.free_bytes) for name, space in shown),
            "mssql_ekm_log_full_seconds": ((name, space.full_in) for name, space in shown),
        }
    )


def alert_samples(
    watch: Watch,
    server: WatchedServer,
    owners: Collection[Target],
    interval: float,
    now: float,
    *,
    windows: Collection[MaintenanceWindow] = (),
    targets: Iterable[str] = (),
) -> Values:
    """Return the samples of what the alerts rest on.

    `owners` are the targets that certainly list the SQL Server, `targets` the names of those that this exporter probes. `windows` are those of
    all targets.
    """
    proofs = {each.thumbprint: each for each in server.proofs}
    behind = server.behind
    return _values(
        {
            "mssql_ekm_backups_failing_since_timestamp_seconds": [((), watch.since)],
            "mssql_ekm_proof_due_since_timestamp_seconds": (
                (_key(proofs[key]), since) for key, since in islice(proofs_missing(watch, server).items(), MOST)
            ),
            "mssql_ekm_log_full_timestamp_seconds": (
                ((text(name),), at - behind) for name, at in islice(full_at(watch, server, now).items(), MOST)
            ),
            "mssql_ekm_first_action_info": (
                ((each.about, text(each.database), each.shows, each.action), 1.0)
                for each in islice(first_actions(watch, server, now), FEW)
            ),
            "mssql_ekm_alerts_enabled": _alerts_enabled(server.reading, owners, windows, now),
            "mssql_ekm_target_info": (((name,), 1.0) for name in islice(targets, MOST)),
            "mssql_ekm_read_until_timestamp_seconds": [((), read_until(server.reading, interval))],
        }
    )


def _alerts_enabled(
    reading: SqlServerReading, owners: Collection[Target], windows: Collection[MaintenanceWindow], now: float
) -> list[_Known]:
    """Return for each group whether alerts may fire, with the team and environment that most targets have; none without a target."""
    if not owners:
        return []
    labels = Counter((each.labels.get("team", ""), each.labels.get("env", "")) for each in owners)
    (team, env), _ = max(labels.items(), key=lambda found: (found[1], found[0]))
    enabled = float(not all(any(one.contains(now) for one in (*windows, *each.maintenance)) for each in owners))
    return [((ag, text(team), text(env)), enabled) for ag in rows_of(reading.document).groups]


def readiness_samples(readiness: Iterable[RestartReadiness], now: float) -> Values:
    """Return the samples of the restart readiness at `now`."""
    shown = [
        (_key(each), each, each.answer(now)) for each in sorted(readiness, key=lambda each: (each.key_name, each.thumbprint))
    ]
    return _values(
        {
            "mssql_ekm_restart_ready_until_timestamp_seconds": (
                (key, each.until if answer == "ready" else 0.0) for key, each, answer in shown[:MOST] if answer != "not_known"
            ),
            "mssql_ekm_restart_missing_info": (
                ((*key, one.evidence, "not_ready" if one.known else "not_known"), 1.0)
                for key, each, _ in shown[:MOST]
                for one in each.missing
            ),
        }
    )
