"""The last known reading of a SQL Server, each section from its last good reading; what is remembered of others; and its document in the state directory.

What SQL Server shows of a change is its last time or none, of the error log what was not yet cycled away. So it is remembered since when each value is
known, what failed until a newer proof, and from when to when the log was read. A document contains no password. Of the secret of a refused login it has
two bytes of a salted digest.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from exporter.config.settings import SqlServer
from exporter.core import grouped
from exporter.core.durations import known_time, moment, unix_time
from exporter.core.secrets import hide
from exporter.sqlserver.calls import CALLS, SIGNERS, TRACE, with_earlier_calls
from exporter.sqlserver.document import (
    BACKUP_MESSAGES,
    CHANGES,
    OTHER,
    SECRET_END,
    Document,
    Row,
    cell_time,
    completed,
    joined_codes,
    own_row,
    thumbprint_of,
    utc,
    without_future,
)
from exporter.sqlserver.errors import Lockout
from exporter.sqlserver.instance import EKM_OPTION, instance_of, labels_of, names_of, printable
from exporter.sqlserver.keys import REGISTRY, used_keys
from exporter.sqlserver.logs import stalled_logs
from exporter.sqlserver.proof import server_proofs
from exporter.sqlserver.reading import (
    BACKUPS,
    CREDENTIALS,
    ERROR_LOG,
    ERRORS,
    LOCAL_TIME,
    LOGS,
    About,
    SqlServerReading,
    about,
    is_good,
    joined_log,
    merged,
    read_at,
    reading_from,
    reading_values,
    rows,
    with_known_rows,
)

Ends = Mapping[str, Iterable[float]]  # when secrets end, by client id: Unix times


def unread(server: SqlServer) -> SqlServerReading:
    return labelled(SqlServerReading(address=server.address, sql_instance="", host="", attempted_at=0.0), server)


def labelled(reading: SqlServerReading, server: SqlServer) -> SqlServerReading:
    """Return the reading with its labels. They are from the configuration, else as SQL Server names itself."""
    document = reading.document
    found = labels_of(document) if is_good(document, "instance") else ("", "")
    sql_instance, host = server.sql_instance or found[0], server.host or found[1]
    return replace(reading, sql_instance=sql_instance, host=host, configured=server.host is not None)


def updated(
    before: SqlServerReading,
    server: SqlServer,
    later: Document,
    at: float,
    *,
    refused: bool,
    whole: bool = True,
    ends: Ends | None = None,
) -> SqlServerReading:
    """Return what is known after an attempt that began at a Unix time. What the attempt did not read stays as it was.

    `whole` is whether backups were searched anew. `ends` has the known ends of secrets by client id, as Unix times.
    """
    reading = replace(before, attempted_at=at, failure=hide(later.failure or ""), refused=refused)
    earlier = before.document
    if _is_other_server(later, earlier):
        earlier, reading = Document(), replace(reading, read_at={}, earlier_logs=None, stalled={}, clock_behind=None)
    if not earlier.sections and later.failure is not None:
        return reading
    later = _arrived(later, earlier, ends or {})
    document = _remembered(later, earlier, whole=whole)
    if is_good(later, LOGS) and is_good(earlier, LOGS):
        logs = before.read_at.get(LOGS, before.attempted_at), earlier.sections[LOGS]
        reading = replace(reading, earlier_logs=logs, stalled=stalled_logs(before, later.sections[LOGS]))
    own = known_time(read_at(later)) if is_good(later, "instance") else None
    times = {
        section: at if is_good(later, section) else reading.read_at.get(section, at)
        for section in (*document.sections, REGISTRY)
        if is_good(document, section)  # that was ever read as a whole
    }
    behind = reading.clock_behind if own is None else own - at
    reading = replace(reading, document=document, read_at=times, clock_behind=behind)
    return labelled(_without_proven_errors(reading), server)


def _is_other_server(later: Document, earlier: Document) -> bool:
    """Whether another server answers at this address. Then nothing of the earlier one counts."""
    names = [names_of(one)[0].upper() for one in (later, earlier) if is_good(one, "instance")]
    return len({*names}) > 1


def log_since(
    before: SqlServerReading, server: SqlServer, sections: Mapping[str, Iterable[Row]], at: float, asked: float
) -> tuple[float, float]:
    """Return from when the error log is to be read, and from when it is needed, as Unix times of the server's clock.

    It is needed from the first of the keys' last proofs on, and read on from where the last reading ended. `sections` are those that were read so far;
    `asked` is since when it was asked for before, whether it reached back so far or not.
    """
    found = {name: tuple(rows) for name, rows in sections.items() if name != ERRORS}
    own = completed(Document(sections={name: rows for name, rows in found.items() if name in ("instance", BACKUPS)}))
    now = known_time(read_at(own)) if is_good(own, "instance") else None
    if now is None:
        return at - _DAY, at - _DAY
    earlier, known = before.document, before
    if not earlier.sections or _is_other_server(own, before.document):
        earlier, known = Document(), updated(unread(server), server, completed(Document(sections=found)), at, refused=False)
    proven = (each.proven_from for each in server_proofs(known) if each.proven_from is not None)
    needed = max(now - _MEMORY, min(proven, default=now))
    begun, ended = next(
        ((cell_time(row, "since_utc"), cell_time(row, "until_utc")) for row in rows(known, ERROR_LOG)), (None, None)
    )
    if begun is None or ended is None or ended > now:
        needed = since = min(needed, now - _DAY)
    else:
        since = ended if min(begun, asked) <= needed else needed
    offset = _offset(own, earlier, now)
    return since - _HOUR if offset is not None and utc(since) < str(offset["since_utc"]) else since, needed


def _arrived(later: Document, earlier: Document, ends: Ends) -> Document:
    """Return what an attempt read with times that are safe, and with since when each value is known."""
    now = known_time(read_at(later)) if is_good(later, "instance") else None
    if now is None:
        return later
    offset = _offset(later, earlier, now)
    if offset is not None:
        later = _with_safe_times(later, earlier, offset, now)
    later = without_future(_with_start(later, earlier))
    rows = (*_changes(later, earlier, now, ends), *(() if offset is None else (offset,)))
    return replace(later, sections={**later.sections, CHANGES: tuple(sorted(rows, key=about))})


# Local times of SQL Server become UTC by the offset of the moment at which they are read: how that may be wrong, and since when it cannot be.

_HOUR: Final = 3600.0  # of daylight saving
_DAY: Final = 86400.0
_MEMORY: Final = 35 * _DAY  # of what failed, and of backups that show an offset
_SEASON: Final = 28 * _DAY  # no clock is changed twice within a shorter time
_SAME_START: Final = 300.0  # seconds: the start is computed at each reading
# Columns with local times. The first of each group decides for all of it, so that their order stays.
_LOCAL: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    CREDENTIALS: (("modified_utc", "created_utc"),),
    ERRORS: (("first_utc",), ("last_utc",)),
    ERROR_LOG: (("since_utc",),),
    LOGS: (("log_backup_utc",),),
    TRACE: (("started_utc",),),
}


def _offset(later: Document, earlier: Document, now: float) -> Row | None:
    """Return the row of the present offset, and since when it holds as far as readings and backups show; None if the server does not tell it."""
    offset = own_row(later.sections).get("utc_offset_minutes")
    if offset is None:
        return None
    is_recent = 0 <= now - (known_time(read_at(earlier)) or 0.0) < _SEASON
    row = _seen(later, _known(earlier, now) if is_recent else {}, "offset", "", str(offset))
    backups = [each for each in later.sections.get(BACKUPS, ()) if "started_utc" in each and "offset_minutes" in each]
    others = (str(each["started_utc"]) for each in backups if each["offset_minutes"] != offset)
    last = max(utc(now - _MEMORY), *others, "")
    same = (str(each["started_utc"]) for each in backups if each["offset_minutes"] == offset)
    return {**row, "since_utc": min(str(row["since_utc"]), read_at(later), *(begun for begun in same if begun > last))}


def _with_safe_times(later: Document, earlier: Document, offset: Row, now: float) -> Document:
    """Move each local time from before the offset is known to where it is an hour off in the safe direction: what breaks a proof later, a start earlier."""
    since, sections = known_time(str(offset["since_utc"])) or now, dict(later.sections)
    for section in _LOCAL.keys() & sections.keys():
        sections[section] = tuple(_late(row, _LOCAL[section], since, now) for row in sections[section])
    if CREDENTIALS in sections:
        before = {row.get("name"): row for row in earlier.sections.get(CREDENTIALS, ())}
        pairs = zip(later.sections[CREDENTIALS], sections[CREDENTIALS], strict=True)
        seconds = 60.0 * int(offset["value"])
        sections[CREDENTIALS] = tuple(_as_before(row, raw, before.get(row.get("name"), {}), seconds) for raw, row in pairs)
    if "start" in sections:
        sections["start"] = tuple(_early(row, since) for row in sections["start"])
    return replace(later, sections=sections)


def _late(row: Row, groups: Iterable[tuple[str, ...]], since: float, now: float) -> Row:
    found = dict(row)
    for group in groups:
        at = cell_time(row, group[0])
        if at is not None and at < since + _HOUR:  # in autumn, an hour is there twice: what seems to come has happened
            by = min(at + _HOUR if at < since else at, now) - at
            found |= {column: utc(before + by) for column in group if (before := cell_time(row, column)) is not None}
    return found


def _early(row: Row, since: float) -> Row:
    at = cell_time(row, "started_utc")
    return row if at is None or at >= since + _HOUR else {**row, "started_utc": utc(at - _HOUR)}


def _as_before(row: Row, raw: Row, before: Row, offset: float) -> Row:
    """Return a credential with the times that an earlier reading found, if it was not altered since."""
    at = cell_time(raw, "modified_utc")
    if at is None:
        return row
    local = utc(max(at + offset, 0.0))
    known = before if before.get(LOCAL_TIME) == local else {}
    return {**row, **{name: cell for name, cell in known.items() if name in ("modified_utc", "created_utc")}, LOCAL_TIME: local}


def _with_start(later: Document, earlier: Document) -> Document:
    """Put the start of the service in place of that of tempdb, if it was read. It is the one of before if only the clocks differ."""
    rows = later.sections["service"] if is_good(later, "service") else later.sections.get("start", ())
    at = cell_time(rows[0], "started_utc") if rows else None
    if at is None:
        return later
    known: Row = next(iter(earlier.sections.get("start", ())), {})
    before = cell_time(known, "started_utc")
    is_same = before is not None and abs(at - before) <= _SAME_START and _node(later) == _node(earlier)
    start = {"started_utc": str(known["started_utc"])} if is_same else rows[0]
    errors = {name: text for name, text in later.errors.items() if name != "start"}
    return replace(later, sections={**later.sections, "start": (start,)}, errors=errors)


# What has no time of its own in SQL Server: since when each value is known.

_START: Final = "start"
_OFFSET: Final = "offset"
_MOST: Final = {_START: 16}  # rows of one kind: nodes
_MOST_OTHERS: Final = 500
_MOST_ERRORS: Final = 200 - len((OTHER, *BACKUP_MESSAGES))


def _known(earlier: Document, now: float) -> dict[About, Row]:
    """Return the rows of before. One from the future is of a clock that ran ahead, and is seen anew."""
    rows = (row for row in earlier.sections.get(CHANGES, ()) if row["what"] == SECRET_END or str(row["since_utc"]) <= utc(now))
    return {about(row): row for row in rows}


def _node(document: Document) -> str:
    """Return the computer of the instance in lower case; empty if unknown."""
    return str(own_row(document.sections).get("node", "")).lower()


def _seen(later: Document, known: Mapping[About, Row], what: str, name: str, value: str) -> Row:
    node = _node(later)
    before = known.get((what, name, node, ""))
    if before is not None and before.get("value") == value:
        return before
    named = {column: cell for column, cell in (("what", what), ("name", name), ("node", node)) if cell}
    return {**named, "value": value, "since_utc": read_at(later), "first": int(before is None)}


def _changes(later: Document, earlier: Document, now: float, ends: Ends) -> Iterator[Row]:
    """Yield the rows of all but the offset. A section that was not read leaves its rows as they are."""
    known = _known(earlier, now)
    rows = {key: row for key, row in known.items() if key[0] != _OFFSET}
    for what, values in _fingerprints(later).items():
        if what != "dll":  # which shows while it is loaded
            rows = {key: row for key, row in rows.items() if key[0] != what or key[1] in values}
        rows |= {about(row): row for name, value in values.items() for row in (_seen(later, known, what, name, value),)}
    rows |= {about(row): row for row in (*_start(later, known), *_secret_ends(ends, now))}
    altered = _last_altered(later)
    found = [row for row in rows.values() if str(row.get("known_utc", altered)) >= altered]
    found.sort(key=lambda row: str(row.get("known_utc", row["since_utc"])), reverse=True)
    for what in {str(row["what"]) for row in found}:
        yield from [row for row in found if row["what"] == what][: _MOST.get(what, _MOST_OTHERS)]


# The sections of which each kind of value follows.
_NEEDED: Final = {
    "provider": {"providers"},
    "dll": {"modules"},
    "option": {"configurations"},
    "mapping": {"keys", "logins", CREDENTIALS},
    SIGNERS: {CREDENTIALS},
}


def _fingerprints(later: Document) -> dict[str, dict[str, str]]:
    """Return the values by name of each kind whose sections were read."""
    good = {name: found for name, found in later.sections.items() if is_good(later, name)}
    rows = defaultdict[str, tuple[Row, ...]](tuple, good)
    columns = ("dll_path", "version", "is_enabled")
    signers = grouped((str(row.get("provider")), str(row.get("name"))) for row in rows[CREDENTIALS] if row.get("provider"))
    options = [str(row.get("value_in_use"))[:64] for row in rows["configurations"] if row.get("name") == EKM_OPTION]
    values = {
        "provider": {str(row.get("name")): _digest([row.get(column) for column in columns]) for row in rows["providers"]},
        "dll": {str(row.get("provider")): str(row.get("file_version", ""))[:64] for row in rows["modules"]},
        "option": dict(zip([""], options, strict=False)),
        "mapping": {thumbprint_of(str(row.get("thumbprint"))): _mapping(row, rows) for row in rows["keys"]},
        SIGNERS: {name: _digest(sorted(those)) for name, those in signers.items()},
    }
    return {what: found for what, found in values.items() if _NEEDED[what] <= good.keys()}


def _mapping(key: Row, rows: Mapping[str, tuple[Row, ...]]) -> str:
    """Return how SQL Server signs in for a key: if it shows no login of it, any of the provider may be its own."""
    own = [(key.get("login"), key.get("credential"))]
    logins = [(row.get("name"), row.get("credential")) for row in rows["logins"] if row.get("provider") == key.get("provider")]
    pairs = own if key.get("login") else sorted(logins, key=str)
    named = {credential for _, credential in pairs}
    return _digest([pairs, sorted(str(row.get("identity")) for row in rows[CREDENTIALS] if row.get("name") in named)])


def _digest(value: object) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()


def _start(later: Document, known: Mapping[About, Row]) -> Iterator[Row]:
    """Yield the start of the service on this node, if a database under a provider's key opened since."""
    if not is_good(later, "opened") or not later.sections.get("start"):
        return
    instance, started = instance_of(later), str(later.sections["start"][0].get("started_utc"))
    keys = {key.thumbprint for key in used_keys(instance)}
    names = {one.name for one in instance.databases if one.thumbprint in keys}
    opened = (row for row in later.sections["opened"] if printable(str(row.get("database"))) in names)
    if any(str(row.get("opened_utc", "")) >= started for row in opened):
        yield {**_seen(later, known, _START, "", started), "since_utc": started}


def _secret_ends(ends: Ends, now: float) -> list[Row]:
    row: Row = {"what": SECRET_END, "known_utc": utc(now), "first": 1}
    return [
        {**row, "name": client.lower(), "value": utc(at), "since_utc": utc(at)} for client, times in ends.items() for at in times
    ]


def _last_altered(later: Document) -> str:
    """Return the time before which no secret of a credential was set; empty if unknown. An hour is of daylight saving."""
    rows = later.sections[CREDENTIALS] if is_good(later, CREDENTIALS) else ()
    times = [cell_time(row, "modified_utc") for row in rows]
    known = [at for at in times if at is not None]
    return utc(max(min(known) - _HOUR, 0.0)) if known and len(known) == len(times) else ""


def _remembered(later: Document, earlier: Document, *, whole: bool) -> Document:
    document = with_earlier_calls(with_known_rows(merged(later, earlier), earlier, whole=whole), later, earlier)
    if not is_good(later, ERRORS) or not is_good(earlier, ERRORS):
        return document
    now = read_at(later)
    known = (
        {**row, **{name: min(str(row[name]), now) for name in ("first_utc", "last_utc") if name in row}}
        for row in earlier.sections[ERRORS]
    )
    spans = (row for row in earlier.sections.get(ERROR_LOG, ()) if str(row["until_utc"]) <= now)
    logs = {ERROR_LOG: joined_log(later.sections[ERROR_LOG], spans)} if ERROR_LOG in later.sections else {}
    return replace(document, sections={**document.sections, ERRORS: joined_codes(known, later.sections[ERRORS]), **logs})


def _without_proven_errors(reading: SqlServerReading) -> SqlServerReading:
    """Forget what failed before every key was proven. Of too many rows, the oldest failed backups become one that may be of any database."""
    document, now = reading.document, known_time(read_at(reading.document))
    lines = [row for row in rows(reading, ERRORS) if row.get("code") != OTHER]
    if now is None or not lines:
        return reading
    proven = [-math.inf if each.closed or each.proven_from is None else each.proven_from for each in server_proofs(reading)]
    ended = max(now - _MEMORY, min(now - _DAY, min(proven, default=-math.inf)))
    lines = [row for row in lines if (cell_time(row, "last_utc") or now) >= ended]
    lines.sort(key=lambda row: (row.get("code") not in BACKUP_MESSAGES, str(row.get("last_utc"))), reverse=True)
    others = [row for row in rows(reading, ERRORS) if row.get("code") == OTHER]
    rest = [{name: cell for name, cell in row.items() if name != "backup_of"} for row in lines[_MOST_ERRORS:]]
    kept = joined_codes((*others, *lines[:_MOST_ERRORS]), (row for row in rest if row["code"] in BACKUP_MESSAGES))
    return replace(reading, document=replace(document, sections={**document.sections, ERRORS: kept}))


MOST_CHARACTERS = 400 * 1024  # of the stored sections, and of the earlier logs; a file of the state directory has 1 MiB at most


def document_of(reading: SqlServerReading, lockout: Lockout | None) -> dict[str, Any]:
    """Return a JSON document. The largest sections are left out if all are too large together: they are read again soon."""
    logs = reading.earlier_logs
    stored = replace(
        reading,
        document=_bounded(reading.document),
        earlier_logs=None if logs is None or _size(logs[1]) > MOST_CHARACTERS else logs,
    )
    return reading_values(stored) | {
        "lockout": None
        if lockout is None
        else {"account": lockout.account, "at": moment(lockout.at), "salt": lockout.salt.hex(), "digest": lockout.digest.hex()}
    }


def restored(document: Mapping[str, Any], server: SqlServer) -> tuple[SqlServerReading, Lockout | None]:
    """Return what an earlier process knew of a server. Raises ValueError for a damaged document."""
    try:
        locked = document["lockout"]
        lockout = (
            None
            if locked is None
            else Lockout(
                account=str(locked["account"]),
                at=unix_time(locked["at"]),
                salt=bytes.fromhex(locked["salt"]),
                digest=bytes.fromhex(locked["digest"]),
            )
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"is damaged ({type(error).__name__})") from None
    reading = replace(reading_from(document), address=server.address, refused=lockout is not None)
    if reading.document.sections:
        reading = replace(reading, document=replace(reading.document, address=server.address))
    return labelled(reading, server), lockout


_LASTING: Final = frozenset(
    {CALLS, CHANGES, ERROR_LOG, ERRORS, TRACE, "history", "instance"}
)  # bounded, and nobody can read them again


def _bounded(document: Document) -> Document:
    """Return the document without its largest sections, if it is too large."""
    sizes = {name: _size(rows) for name, rows in document.sections.items()}
    sizes[REGISTRY] = _size([[uri.thumbprint, uri.uri] for uri in document.key_uris])
    left_out = set()
    while sum(sizes.values()) > MOST_CHARACTERS:
        left_out.add(largest := max(sizes.keys() - _LASTING, key=sizes.__getitem__))
        del sizes[largest]
    return replace(
        document,
        sections={name: rows for name, rows in document.sections.items() if name not in left_out},
        key_uris=() if REGISTRY in left_out else document.key_uris,
        kept={name: time for name, time in document.kept.items() if name not in left_out},
    )


def _size(rows: Iterable[object]) -> int:
    """Return the characters of rows in JSON. Each is written by itself: meanwhile, no other thread runs."""
    return sum(len(json.dumps(row)) + len(", ") for row in rows)
