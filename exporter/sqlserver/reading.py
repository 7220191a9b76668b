"""What is known of one SQL Server that `run` reads: each section from its last good reading, with the time of that reading.

Two readings join into one: what was not read never removes what an earlier reading found, and two exporters' readings of one SQL Server are
one. As JSON values, a reading goes through the API, to its clients and to the state directory.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from msgspec import convert

from exporter.core import grouped
from exporter.core.durations import known_time, moment, unix_time
from exporter.core.names import ServerNames, server_name, server_names_at
from exporter.sqlserver.document import (
    CHANGES,
    MESSAGE,
    PROOF_SECTIONS,
    SECRET_END,
    Document,
    Row,
    as_json,
    document_from,
    joined_codes,
    own_row,
    without_future,
)
from exporter.sqlserver.instance import Instance, asked_host, instance_of
from exporter.sqlserver.keys import REGISTRY

TRACE_FLAG: Final = 15025  # with it, a new virtual log file needs no request to the vault
LOGS: Final = "logs"
ERRORS: Final = "errors"
ERROR_LOG: Final = "log"  # from when to when it was read
CREDENTIALS: Final = "credentials"
LOCAL_TIME: Final = (
    "modified_local"  # of a credential: when it was altered as SQL Server stores that, since another offset is no change
)
BACKUPS: Final = "backups"
_ONE_START: Final = 4200.0  # seconds between two times of one start: an hour of daylight saving, and how clocks drift
_TEXTS: Final = {"address": 512, "sql_instance": 512, "host": 512, "failure": MESSAGE}  # characters
_T = TypeVar("_T")
BACKUP_TYPES: Final = {"D": "full", "I": "differential", "L": "log"}  # by their letter in the section `backups`


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlServerReading:
    """The sections of one SQL Server, with the time of each. Times are Unix times.

    `sql_instance` and `host` are the labels of its series: from the configuration, else as read; empty until the first reading.
    `document` has no section until the first reading. A section that was not read again keeps its rows and its time.
    `earlier_logs` are the rows of the section `logs` of the reading before, for rates. `stalled` has each database whose log no longer grows and
    that no log backup followed: since when, and its last rate in bytes per second.
    `configured` is whether the configuration has its host, `contested` whether another server answers with its names, too. `clock_behind` is by how
    many seconds the exporter's clock was behind the server's when it was last read, None if unknown.
    """

    address: str
    sql_instance: str
    host: str
    attempted_at: float
    document: Document = field(default_factory=Document)
    read_at: Mapping[str, float] = field(default_factory=dict)  # of each section
    failure: str = ""  # of the last attempt as a whole; empty if it read the server
    refused: bool = False  # the login was refused: no attempt until its secret changes, or an hour has passed
    earlier_logs: tuple[float, tuple[Mapping[str, str | int], ...]] | None = None  # Unix time, rows
    stalled: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    configured: bool = False
    contested: bool = False
    clock_behind: float | None = None
    derived: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)  # by `once`


def once(rule: Callable[[SqlServerReading], _T]) -> Callable[[SqlServerReading], _T]:
    """Apply a rule to each reading once: metrics, pages and gate need the same values.

    Two threads that need them at the same time may both apply it.
    """

    @functools.wraps(rule)
    def applied(reading: SqlServerReading) -> _T:
        if rule not in reading.derived:
            reading.derived[rule] = rule(reading)
        return reading.derived[rule]  # type: ignore[no-any-return]

    return applied


def shown_name(reading: SqlServerReading) -> str:
    """Return the name of the SQL Server, with its address if another one answers with this name, too."""
    name = server_name({"sql_instance": reading.sql_instance, "host": reading.host})
    return f"{reading.address} (answers as {name})" if reading.contested else name


@once
def names_of(reading: SqlServerReading) -> ServerNames:
    """Return the names of the SQL Server, by which the entries of targets name it."""
    return server_names_at(reading.address, reading.sql_instance, reading.host, contested=reading.contested)


# A name is contested: more than one SQL Server answers with it. The labels of series need one owner, the gate needs to know which one is meant.
# (`inventory.claims` keeps the server that it has under a name.)


def contested_addresses(readings: Iterable[SqlServerReading]) -> frozenset[str]:
    """Return the addresses of SQL Servers that answer with the names of another one.

    One of them keeps the names: that of the configuration, else the one that was asked under its host. None hides another.
    """
    every = tuple(readings)
    addresses, named = {each.address.casefold() for each in every}, [each for each in every if each.sql_instance]
    by_name = grouped((server_name({"sql_instance": each.sql_instance, "host": each.host}).casefold(), each) for each in named)
    # An address stands for unknown names.
    found = {each.address for each in named if each.sql_instance.casefold() in addresses - {each.address.casefold()}}
    for same in by_name.values():
        best = max(map(_claim, same))
        owners = [each for each in same if _claim(each) == best]
        found |= {each.address for each in same if len(owners) > 1 or each is not owners[0]}
    return frozenset(found)


def _claim(reading: SqlServerReading) -> int:
    """Return how well its names are known to be its own."""
    return 2 if reading.configured else int(_proves_name(reading))


def _proves_name(reading: SqlServerReading) -> bool:
    return bool(asked_host(reading.address, reading.host))


def may_be_two(one: SqlServerReading, other: SqlServerReading, *, of_one_exporter: bool) -> bool:
    """Whether readings under one name may be of two SQL Servers: they have two addresses, and one of these does not prove the name.

    Two exporters may know one server by two addresses.
    """
    if one.address.casefold() == other.address.casefold() or (not of_one_exporter and _is_one_server(one, other)):
        return False
    return not (_proves_name(one) and _proves_name(other))


def _is_one_server(one: SqlServerReading, other: SqlServerReading) -> bool:
    """Whether both know the start of the service, and nothing else differs."""
    known = [instance for each in (one, other) if (instance := known_instance(each)) is not None]
    keys = [{key.thumbprint for key in instance.keys} for instance in known if not {"keys", "providers"} & instance.errors.keys()]
    begun = [at for instance in known if (at := known_time(instance.started_utc)) is not None]
    same_start = len(begun) == 2 and abs(begun[0] - begun[1]) <= _ONE_START
    return same_start and known[0].nodes == known[1].nodes and (len(keys) < 2 or keys[0] == keys[1])


def rows(reading: SqlServerReading, section: str) -> tuple[Row, ...]:
    """Return the rows of a section; none if it was never read."""
    return reading.document.sections.get(section, ())


def known_instance(reading: SqlServerReading) -> Instance | None:
    """Return the instance, None if it was never read."""
    return instance_of(reading.document) if rows(reading, "instance") else None


def flag_is_on(reading: SqlServerReading, flag: int) -> bool | None:
    """Return whether a trace flag is on, None if unknown."""
    return next((row.get("is_on") == 1 for row in rows(reading, "flags") if row.get("flag") == flag), None)


def merged(later: Document, earlier: Document) -> Document:
    """Return the later reading, with the sections of the earlier one that the later one lacks.

    A later reading with a failure has no section: its failure becomes the message of each.
    """
    names = dict.fromkeys((*earlier.sections, *later.sections, *earlier.errors, *later.errors, REGISTRY))
    chosen = {name: _source(name, later, earlier) for name in names}
    stale = [name for name, source in chosen.items() if source is earlier and is_good(earlier, name)]
    return _of_sources(chosen, later, earlier, stale)


def _of_sources(chosen: Mapping[str, Document], later: Document, earlier: Document, stale: Iterable[str]) -> Document:
    """Return each section of the chosen document. Those that are `stale` are of the earlier one, because the later one did not read them."""
    kept = {name: source.kept[name] for name, source in chosen.items() if name in source.kept}
    errors = {name: source.errors[name] for name, source in chosen.items() if name in source.errors}
    return Document(
        address=later.address or earlier.address,
        sections={name: source.sections[name] for name, source in chosen.items() if name in source.sections},
        errors=errors | {name: later.failure or later.errors.get(name, "not read") for name in stale},
        key_uris=chosen[REGISTRY].key_uris,
        kept=kept | {name: time_of(earlier, name) for name in stale},
    )


def with_known_rows(later: Document, earlier: Document, *, whole: bool = True) -> Document:
    """Add what an earlier reading knows of backups. A later one that is not `whole` did not search all backups that may count.

    A database that is no longer encrypted has no backup.
    """
    sections = dict(later.sections)
    if BACKUPS in sections:
        encrypted = {row.get("name") for row in sections.get("databases", ()) if row.get("is_encrypted") == 1}
        kept = (row for row in earlier.sections.get(BACKUPS, ()) if row.get("database") in encrypted)
        sections[BACKUPS] = joined_backups(sections[BACKUPS], kept, whole=whole)
    return replace(later, sections=sections)


def joined_backups(found: Iterable[Row], known: Iterable[Row], *, whole: bool = True) -> tuple[Row, ...]:
    """Return the newest backup of each database and type. Its gaps are those of a whole search; what is found between searches may add one."""
    rows = {(row.get("database"), row.get("type")): row for row in found}
    for row in known:
        key = row.get("database"), row.get("type")
        if key not in rows or _ended(rows[key]) < _ended(row):
            rows[key] = row
        elif not whole:
            rows[key] = _with_gap(rows[key], row)
    return tuple(rows.values())


def _ended(row: Row) -> str:
    return str(row.get("finished_utc", ""))


_SPANS: Final = ("longest_seconds", "second_seconds")


def _with_gap(later: Row, earlier: Row) -> Row:
    """Return the later backup with the gaps that were known, and with the one between the two."""
    ends = known_time(_ended(later)), known_time(_ended(earlier))
    spans = [int(earlier[name]) for name in _SPANS if name in earlier]
    gaps = int(earlier.get("gaps", 0))
    if ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
        # Several backups may have ended in between: then each gap is shorter than the time between the two that are known.
        between = int(ends[0] - ends[1])
        spans.append(min(between, int(later.get(_SPANS[0], between))))
        gaps += 1
    known = dict(zip(_SPANS, sorted(spans, reverse=True), strict=False))
    return {name: cell for name, cell in later.items() if name not in _SPANS} | {"gaps": gaps} | known


def joined_log(one: Iterable[Row], other: Iterable[Row]) -> tuple[Row, ...]:
    """Return from when to when the error log was read, without a hole: two times that do not meet are the later one alone."""
    spans = sorted(
        ((str(row.get("since_utc")), str(row.get("until_utc"))) for row in (*one, *other)), key=lambda span: span[::-1]
    )
    if not spans:
        return ()
    since, until = spans.pop()
    for begun, ended in reversed(spans):
        if ended >= since:
            since = min(since, begun)
    return ({"since_utc": since, "until_utc": until},)


def joined_changes(one: Iterable[Row], other: Iterable[Row]) -> tuple[Row, ...]:
    """Return since when each value is known: as early as either knows it. Of two values, the one that was first seen later counts, as a change."""
    found: dict[About, Row] = {}
    for row in (*one, *other):
        key = about(row)
        found[key] = row if key not in found else _changed(found[key], row)
    return tuple(found[key] for key in sorted(found))


About = tuple[str, str, str, str]


def about(row: Row) -> About:
    """Return what a row of the section `changes` is about: secrets have several ends, all else has one value."""
    what, name, node = (str(row.get(column, "")) for column in ("what", "name", "node"))
    return what, name, node, str(row.get("value", "")) if what == SECRET_END else ""


def _changed(one: Row, other: Row) -> Row:
    earlier, later = sorted((one, other), key=lambda row: (str(row.get("since_utc")), str(row.get("value", ""))))
    same = earlier.get("value") == later.get("value")
    known = max(str(row.get("known_utc", "")) for row in (one, other))
    first = int(same and min(int(row.get("first", 0)) for row in (one, other)))
    return {**(earlier if same else later), "first": first} | ({"known_utc": known} if known else {})


def united(one: SqlServerReading, other: SqlServerReading) -> SqlServerReading:
    """Return what two exporters know of one SQL Server: each section as it was last read, what failed for either, and the proofs of both."""
    older, newer = sorted((one, other), key=lambda each: (bool(each.document.sections), each.attempted_at))
    if not older.document.sections:
        return newer
    documents = older.document, newer.document
    names = dict.fromkeys(name for each in documents for name in (*each.sections, *each.errors, REGISTRY))
    last = {name: [each.read_at.get(name, -math.inf) for each in (older, newer)] for name in names}
    chosen = {name: older if at[0] > at[1] else newer for name, at in last.items()}
    own = {name: each.document for name, each in chosen.items()}
    stale = [
        name
        for name, source in own.items()
        if source is older.document and is_good(source, name) and not is_good(newer.document, name)
    ]
    document = _of_sources(own, newer.document, older.document, stale)
    both = {name: [each.sections[name] for each in documents if name in each.sections] for name in _JOINED}
    joined = {name: _JOINED[name](*found) for name, found in both.items() if len(found) > 1}
    return replace(
        newer,
        document=replace(document, sections={**document.sections, **joined}),
        read_at={name: max(each.read_at.get(name, 0.0) for each in (one, other)) for name in (*older.read_at, *newer.read_at)},
        earlier_logs=chosen[LOGS].earlier_logs if LOGS in chosen else newer.earlier_logs,
        stalled=chosen[LOGS].stalled if LOGS in chosen else newer.stalled,
        clock_behind=chosen["instance"].clock_behind,
    )


_JOINED: Final[Mapping[str, Callable[[Iterable[Row], Iterable[Row]], tuple[Row, ...]]]] = {
    ERRORS: joined_codes,
    ERROR_LOG: joined_log,
    BACKUPS: joined_backups,
    CHANGES: joined_changes,
}


def is_good(document: Document, section: str) -> bool:
    """Whether some reading got the section as a whole.

    An empty registry proves nothing while there is a provider or a key: a login may not see it.
    """
    found = section in document.sections
    if section == REGISTRY:
        has_no_ekm = all(is_good(document, each) and not document.sections[each] for each in ("providers", "keys"))
        found = bool(document.key_uris) or has_no_ekm
    return found and (section not in document.errors or section in document.kept)


def time_of(document: Document, section: str) -> str:
    """Return when the rows of a section were read, as ISO 8601 in UTC; empty if unknown."""
    return document.kept.get(section) or read_at(document)


def read_at(document: Document) -> str:
    """Return the time of the reading; empty if unknown."""
    return str(own_row(document.sections).get("read_at_utc", ""))


def _source(section: str, later: Document, earlier: Document) -> Document:
    """Return the reading that counts for a section."""
    if not is_good(later, section):
        return earlier if is_good(earlier, section) or later.failure is not None else later
    is_older = section in later.kept and later.kept[section] < time_of(earlier, section)
    return earlier if is_older and is_good(earlier, section) else later


def reading_values(reading: SqlServerReading) -> dict[str, Any]:
    """Return JSON values. Times are RFC 3339, to the millisecond; `attempted_at` is null before the first attempt. Rows are tuples, as in `as_json`."""
    earlier = reading.earlier_logs
    return {
        "address": reading.address,
        "sql_instance": reading.sql_instance,
        "host": reading.host,
        "contested": reading.contested,
        "clock_behind": reading.clock_behind,
        "attempted_at": moment(reading.attempted_at) if reading.attempted_at else None,
        "failure": reading.failure,
        "refused": reading.refused,
        "read_at": {section: moment(at) for section, at in reading.read_at.items()},
        "earlier_logs": None if earlier is None else [moment(earlier[0]), earlier[1]],
        "stalled": {name: [moment(at), rate] for name, (at, rate) in reading.stalled.items()},
        "document": as_json(reading.document) if reading.document.sections else None,
    }


def reading_from(values: Any) -> SqlServerReading:
    """Return the reading of parsed JSON. Raises ValueError if it is damaged.

    A damaged section is an error of that section, and has no time.
    """
    try:
        plain: dict[str, Any] = {name: convert(values[name], str)[:longest] for name, longest in _TEXTS.items()}
        plain |= {name: convert(values[name], bool) for name in ("refused", "contested")}
        behind = convert(values["clock_behind"], float | None)
        if not plain["address"] or not math.isfinite(behind or 0.0):
            raise ValueError("no reading")  # noqa: TRY301 - as any other damage
        attempted_at = 0.0 if values["attempted_at"] is None else unix_time(values["attempted_at"])
        reading = SqlServerReading(**plain, attempted_at=attempted_at, clock_behind=behind)
        times, logs, stops = values["read_at"].items(), values["earlier_logs"], values["stalled"].items()
        if values["document"] is None:
            return reading
        document = without_future(document_from(values["document"]))
        if document.failure is not None:
            raise ValueError(document.failure)  # noqa: TRY301 - as any other damage
        read_at = {section: unix_time(at) for section, at in times if is_good(document, section)}
        stalled = {str(name): (unix_time(at), float(rate)) for name, (at, rate) in stops}
        earlier_logs = None if logs is None else _earlier_logs(logs)
        return replace(reading, document=document, read_at=read_at, earlier_logs=earlier_logs, stalled=stalled)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"is damaged ({type(error).__name__})") from None


def inventory_document(reading: SqlServerReading) -> Document:
    """Return what an inventory has of a reading: nothing of proof.sql and nothing that the exporter added. A server that was never read is a failure."""
    document = reading.document
    if not document.sections:
        return Document(address=reading.address, failure=reading.failure or "the exporter has not read it yet")
    sections = _without_proofs(document.sections)
    if CREDENTIALS in sections:
        sections[CREDENTIALS] = tuple({name: row[name] for name in row if name != LOCAL_TIME} for row in sections[CREDENTIALS])
    return replace(
        document,
        address=reading.address,
        sections=sections,
        errors=_without_proofs(document.errors),
        kept=_without_proofs(document.kept),
    )


def _without_proofs(values: Mapping[str, Any]) -> dict[str, Any]:
    return {section: value for section, value in values.items() if section not in (*PROOF_SECTIONS, CHANGES)}


def _earlier_logs(value: Any) -> tuple[float, tuple[Row, ...]] | None:
    """Return the rows of the reading before, checked as those of the section are."""
    at, rows = value
    checked = document_from({**as_json(Document()), "sections": [{"section": LOGS, "rows": rows}]}).sections.get(LOGS)
    return None if checked is None else (unix_time(at), checked)
