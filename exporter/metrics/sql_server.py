"""Samples of a SQL Server as pure functions of its reading: its objects, its own proofs and logs, differences of the configuration.

An unknown value has no series. A server may send the same row twice: the later one counts. The rows that become series are bounded
in number, and label values in length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from exporter.core.durations import known_time
from exporter.core.names import parse_sql_address
from exporter.metrics.sql_server_families import FEW, MOST
from exporter.metrics.target_values import Values, one
from exporter.metrics.text import Labels, LabelSet, Sample
from exporter.sqlserver.differences import Difference
from exporter.sqlserver.document import KNOWN_CODES, OTHER, Document, Row, thumbprint_of
from exporter.sqlserver.gate.inputs import RestartReadiness
from exporter.sqlserver.gate.readiness import evidence_of
from exporter.sqlserver.instance import EKM_OPTION, OPEN, printable
from exporter.sqlserver.logs import LogSpace, log_spaces
from exporter.sqlserver.proof import KeyProof, ProofState, key_proofs, server_proofs
from exporter.sqlserver.reading import BACKUP_TYPES, TRACE_FLAG, SqlServerReading
from exporter.sqlserver.urgency import Watch, WatchedServer, first_actions, full_at, proofs_missing, read_until

_LONGEST = 256  # characters of a label value: names of SQL Server have 128
_LARGEST = 2**53  # whole numbers up to here are exact as a value
# The column with the name of the database.
_COLUMNS = dict.fromkeys(("encryption", "opened", "backups", "logs"), "database") | {"databases": "name"}
_TEMPDB = "tempdb"  # no vault protects its key
_Known = tuple[Labels, float | None]  # None: unknown


@dataclass(frozen=True, slots=True)
class SqlServerRows:
    """The rows of a reading without those that have no series. `databases` has the label of each name."""

    groups: tuple[str, ...]
    providers: tuple[Row, ...]
    credentials: tuple[Row, ...]
    keys: tuple[Row, ...]
    databases: Mapping[str, str]
    left_out: int
    sections: Mapping[str, tuple[Row, ...]]

    def section(self, name: str) -> tuple[Row, ...]:
        return self.sections.get(name, ())

    def listed_databases(self, name: str) -> Iterable[tuple[str, Row]]:
        """Yield the label and the row of each database in a section."""
        return ((self.databases[_database(name, row)], row) for row in self.section(name))


def rows_of(document: Document) -> SqlServerRows:
    """Return what a SQL Server has series for."""
    sections = document.sections
    groups = sorted({label(row, "ag") for row in sections.get("replicas", ())})
    names = _databases(sections)
    listed = {
        name: sorted(sections.get(name, ()), key=lambda row: str(row.get("name", "")))
        for name in ("providers", "credentials", "keys")
    }
    databases = {name: text(name) for name in names[:MOST]}
    limits = ((groups, FEW), (names, MOST), (listed["providers"], FEW), (listed["credentials"], FEW), (listed["keys"], MOST))
    return SqlServerRows(
        groups=tuple(groups[:FEW]) or ("",),
        providers=tuple(listed["providers"][:FEW]),
        credentials=tuple(listed["credentials"][:FEW]),
        keys=tuple(listed["keys"][:MOST]),
        databases=databases,
        left_out=sum(max(0, len(found) - most) for found, most in limits),
        sections={
            name: tuple(row for row in found if _database(name, row) in databases) if name in _COLUMNS else found
            for name, found in sections.items()
        },
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


def thumbprint(row: Row) -> str:
    """Return the thumbprint of a row, as targets have theirs; empty if it is missing."""
    found = label(row, "thumbprint")
    return thumbprint_of(found) if found else ""


def number(row: Row, column: str) -> float | None:
    """Return a cell with a whole number, None if it is none."""
    value = row.get(column)
    return float(value) if isinstance(value, int) and abs(value) <= _LARGEST else None


def time(row: Row, column: str) -> float | None:
    """Return a cell with a time as a Unix time, None if it is none."""
    return known_time(str(row.get(column, "")))


def providers_are_on(rows: SqlServerRows) -> bool:
    """Whether the server option allows EKM providers; an unknown option does."""
    return all(row.get("value_in_use") != 0 for row in rows.section("configurations") if row.get("name") == EKM_OPTION)


def difference_samples(differences: Iterable[Difference]) -> Values:
    """Return one sample for each difference: how many databases the key protects."""
    samples: list[Sample] = []
    for each in islice(differences, FEW):
        thumbprint, key_uri = ("thumbprint", text(each.thumbprint)), ("key_uri", text(each.key_uri))
        texts = ("difference", each.sentence), ("action", each.action)
        samples.append(((("kind", each.kind), ("target", each.subject), thumbprint, key_uri, *texts), float(len(each.databases))))
    return {"mssql_ekm_difference_databases": samples}


def target_samples(targets: Iterable[str]) -> Values:
    """Return one sample for each target that certainly lists the SQL Server."""
    return {"mssql_ekm_target_info": [((("target", name),), 1.0) for name in islice(targets, MOST)]}


def proof_samples(proofs: Iterable[KeyProof]) -> Values:
    """Return the samples of each key in use."""
    shown = sorted(proofs, key=lambda proof: (proof.key_name, proof.thumbprint))[:MOST]
    return {
        name: [(labels, value) for labels, value in map(known, shown) if value is not None]
        for name, known in _PROOF_FAMILIES.items()
    }


def alert_samples(watch: Watch, server: WatchedServer, owners: Iterable[Owner], interval: float, now: float) -> Values:
    """Return the samples of what the alerts rest on. `owners` are those of the targets that list the SQL Server."""
    reading = server.reading
    proofs = {each.proof.thumbprint: each.proof for each in server.proofs}
    behind = server.behind
    return {
        "mssql_ekm_backups_failing_since_timestamp_seconds": [] if watch.since is None else one(watch.since),
        "mssql_ekm_proof_due_since_timestamp_seconds": [
            (_key(proofs[key]), since) for key, since in islice(proofs_missing(watch, server).items(), MOST)
        ],
        "mssql_ekm_log_full_timestamp_seconds": [
            ((("database", text(name)),), at - behind) for name, at in islice(full_at(watch, server, now).items(), MOST)
        ],
        "mssql_ekm_first_action_info": [
            (
                (("about", each.about), ("database", text(each.database)), ("shows", each.shows), ("action", each.action)),
                1.0,
            )
            for each in islice(first_actions(watch, server, now), FEW)
        ],
        "mssql_ekm_alerts_enabled": _alerts_enabled(reading, list(owners)),
        "mssql_ekm_read_until_timestamp_seconds": one(read_until(reading, interval)),
    }


class Owner(NamedTuple):
    """Whose a target is, and whether it is in a maintenance window."""

    team: str
    env: str
    in_window: bool


def _alerts_enabled(reading: SqlServerReading, owners: list[Owner]) -> list[Sample]:
    """Return for each group whether alerts may fire, with the team and environment that most targets have; none without a target."""
    if not owners:
        return []
    (team, env), _ = max(Counter((each.team, each.env) for each in owners).items(), key=lambda found: (found[1], found[0]))
    groups = ("",) if reading.document is None else rows_of(reading.document).groups
    enabled = float(not all(each.in_window for each in owners))
    return [((("ag", ag), ("team", text(team)), ("env", text(env))), enabled) for ag in groups]


def readiness_samples(reading: SqlServerReading, readiness: Iterable[RestartReadiness], now: float) -> Values:
    """Return the samples of the restart readiness at `now`, and since when SQL Server itself fails."""
    proofs = {each.proof.thumbprint: each for each in server_proofs(reading)}
    shown = sorted(readiness, key=lambda each: (each.key_name, each.thumbprint))[:MOST]
    values: dict[str, list[Sample]] = {name: [] for name in READINESS_FAMILIES}
    until, missing, failing = values.values()
    for each in shown:
        labels, answer = (("key_name", text(each.key_name)), ("thumbprint", text(each.thumbprint))), each.answer(now)
        until += [(labels, each.until if answer == "ready" else 0.0)] if answer != "not_known" else []
        found = sorted({(evidence_of(one).value, "not_ready" if one.known else "not_known") for one in each.missing})
        missing += (((*labels, ("evidence", row), ("answer", known)), 1.0) for row, known in found)
        proof = proofs.get(each.thumbprint)
        if proof is not None and proof.since is not None and proof.cause is ProofState.FAILING:
            failing.append((labels, proof.since))
    return values


def log_samples(spaces: Iterable[LogSpace], databases: Collection[str]) -> Values:
    """Return the samples of the log of each of these databases."""
    shown = [((("database", name),), space) for space in spaces if (name := text(space.database)) in databases]
    return {
        name: [(labels, value) for labels, space in shown if (value := known(space)) is not None]
        for name, known in _LOG_FAMILIES.items()
    }


def _key(proof: KeyProof) -> Labels:
    return ("key_name", text(proof.key_name)), ("thumbprint", text(proof.thumbprint))


_PROOF_FAMILIES: Final[Mapping[str, Callable[[KeyProof], _Known]]] = {
    "mssql_ekm_key_without_credential": lambda proof: (
        (*_key(proof), ("login", text(proof.login))),
        1.0 if proof.credential_missing else None,
    ),
    "mssql_ekm_proven_timestamp_seconds": lambda proof: (
        (*_key(proof), ("source", proof.source or ""), ("database", text(proof.database))),
        proof.proven_at,
    ),
    "mssql_ekm_proof_due": lambda proof: (_key(proof), None if proof.is_due is None else float(proof.is_due)),
}
READINESS_FAMILIES: Final = (
    "mssql_ekm_restart_ready_until_timestamp_seconds",
    "mssql_ekm_restart_missing_info",
    "mssql_ekm_failing_since_timestamp_seconds",
)
_LOG_FAMILIES: Final[Mapping[str, Callable[[LogSpace], float | None]]] = {
    "mssql_ekm_log_used_bytes": lambda space: space.used_bytes,
    "mssql_ekm_log_free_bytes": lambda space: space.free_bytes,
    "mssql_ekm_log_full_seconds": lambda space: space.full_in,
}

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


def labels_of(reading: SqlServerReading) -> LabelSet:
    """Return the labels of a SQL Server. Its address stands for names that are unknown until the first reading, or another server's."""
    known = not reading.contested
    sql_instance = (known and reading.sql_instance) or reading.address
    host = (known and reading.host) or parse_sql_address(reading.address).host.lower()
    return LabelSet.from_labels(("sql_instance", text(sql_instance)), ("host", text(host)))


def sql_server_samples(reading: SqlServerReading, differences: Iterable[Difference] = (), targets: Iterable[str] = ()) -> Values:
    """Return the samples of every family; a family without a value has none."""
    values: Values = (
        difference_samples(differences)
        | target_samples(targets)
        | {
            "mssql_ekm_read_success": one(not reading.failure),
            "mssql_ekm_section_timestamp_seconds": [((("section", name),), at) for name, at in reading.read_at.items()],
        }
    )
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
    """Return the servers of each availability group as one label. Groups of one name may be of two clusters."""
    servers: dict[str, set[str]] = {}
    for row in rows.section("replicas"):
        servers.setdefault(label(row, "ag"), set()).add(label(row, "server_name").lower())
    return {ag: text(" ".join(sorted(names))) for ag, names in servers.items()}


def _by_database(
    section: str, column: str, value: Callable[[Row, str], float | None]
) -> Callable[[SqlServerRows], Iterator[_Known]]:
    return lambda rows: (((("database", database),), value(row, column)) for database, row in rows.listed_databases(section))


def _backups(column: str) -> Callable[[SqlServerRows], Iterator[_Known]]:
    return lambda rows: (
        ((("database", database), ("type", BACKUP_TYPES[kind])), time(row, column))
        for database, row in rows.listed_databases("backups")
        if (kind := str(row.get("type", ""))) in BACKUP_TYPES
    )


def _flags(rows: SqlServerRows) -> Iterator[_Known]:
    for row in rows.section("flags"):
        if row.get("flag") == TRACE_FLAG:
            yield (("flag", str(TRACE_FLAG)),), number(row, "is_on")


def _errors(
    column: str, value: Callable[[Row, str], float | None], join: Callable[[Iterable[float]], float]
) -> Callable[[SqlServerRows], Iterator[_Known]]:
    def known(rows: SqlServerRows) -> Iterator[_Known]:
        found: dict[str, list[float]] = {}
        for row in rows.section("errors"):
            code = str(row.get("code"))
            if (cell := value(row, column)) is not None:
                found.setdefault(code if code in KNOWN_CODES else OTHER, []).append(cell)
        return (((("code", code),), join(cells)) for code, cells in found.items())

    return known


_FAMILIES: Final[Mapping[str, Callable[[SqlServerRows], Iterable[_Known]]]] = {
    "mssql_ekm_objects_left_out": lambda rows: [((), float(rows.left_out))],
    "mssql_ekm_start_timestamp_seconds": _start,
    "mssql_ekm_provider_enabled": _enabled,
    "mssql_ekm_provider_info": _providers,
    "mssql_ekm_provider_dll_info": _dlls,
    "mssql_ekm_provider_loaded_info": _loaded,
    "mssql_ekm_credential_modified_timestamp_seconds": _modified,
    "mssql_ekm_credential_altered_timestamp_seconds": _altered,
    "mssql_ekm_asymmetric_key_info": _keys,
    "mssql_ekm_database_encryption_state": _encryption,
    "mssql_ekm_database_encryption_percent_complete": _by_database("opened", "percent_complete", number),
    "mssql_ekm_database_key_opened_timestamp_seconds": _by_database("opened", "opened_utc", time),
    "mssql_ekm_database_state": _states,
    "mssql_ekm_backup_finished_timestamp_seconds": _backups("finished_utc"),
    "mssql_ekm_backup_started_timestamp_seconds": _backups("started_utc"),
    "mssql_ekm_log_vlf_sequence_number": _by_database("logs", "vlf_sequence_number", number),
    "mssql_ekm_trace_flag_enabled": _flags,
    "mssql_ekm_error_log_lines": _errors("lines", number, sum),
    "mssql_ekm_error_log_last_timestamp_seconds": _errors("last_utc", time, max),
}
