"""The last known reading of a SQL Server, each section from its last good reading; and its document in the state directory.

A document contains no password. Of the secret of a refused login it has two bytes of a salted digest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from exporter.config.settings import SqlServer
from exporter.core.durations import moment, unix_time
from exporter.core.secrets import hide
from exporter.sqlserver.document import Document
from exporter.sqlserver.errors import Lockout
from exporter.sqlserver.instance import labels_of, names_of
from exporter.sqlserver.keys import REGISTRY
from exporter.sqlserver.logs import stalled_logs
from exporter.sqlserver.reading import (
    LOGS,
    SqlServerReading,
    is_good,
    merged,
    reading_from,
    reading_values,
    with_known_backups,
    with_known_changes,
)


def unread(server: SqlServer) -> SqlServerReading:
    return labelled(SqlServerReading(address=server.address, sql_instance="", host="", attempted_at=0.0), server)


def labelled(reading: SqlServerReading, server: SqlServer) -> SqlServerReading:
    """Return the reading with its labels. They are from the configuration, else as SQL Server names itself."""
    found = "", ""
    if reading.document is not None and is_good(reading.document, "instance"):
        found = labels_of(reading.document)
    sql_instance, host = server.sql_instance or found[0], server.host or found[1]
    return replace(reading, sql_instance=sql_instance, host=host, configured=server.host is not None)


def updated(before: SqlServerReading, server: SqlServer, later: Document, at: float, *, refused: bool) -> SqlServerReading:
    """Return what is known after an attempt at a Unix time. What the attempt did not read stays as it was."""
    reading = replace(before, attempted_at=at, failure=hide(later.failure or ""), refused=refused)
    earlier = before.document
    if earlier is not None and _is_other_server(later, earlier):
        earlier, reading = None, replace(reading, read_at={}, earlier_logs=None, stalled={})
    if earlier is None and later.failure is not None:
        return reading
    document = later if earlier is None else with_known_changes(with_known_backups(merged(later, earlier), earlier), earlier)
    if earlier is not None and is_good(later, LOGS) and is_good(earlier, LOGS):
        rows = before.read_at.get(LOGS, before.attempted_at), earlier.sections[LOGS]
        reading = replace(reading, earlier_logs=rows, stalled=stalled_logs(before, later.sections[LOGS]))
    read_at = dict(_times(document, later, at, reading.read_at))
    return labelled(replace(reading, document=document, read_at=read_at), server)


def _times(document: Document, later: Document, at: float, before: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Yield the time of each section that was ever read as a whole."""
    for section in (*document.sections, REGISTRY):
        if is_good(document, section):
            yield section, at if is_good(later, section) else before.get(section, at)


def _is_other_server(later: Document, earlier: Document) -> bool:
    """Whether another server answers at this address. Then nothing of the earlier one counts."""
    both = later, earlier
    return all(is_good(one, "instance") for one in both) and len({names_of(one)[0].upper() for one in both}) > 1


MOST_CHARACTERS = 400 * 1024  # of the stored sections, and of the earlier logs; a file of the state directory has 1 MiB at most


def document_of(reading: SqlServerReading, lockout: Lockout | None) -> dict[str, Any]:
    """Return a JSON document. The largest sections are left out if all are too large together: they are read again soon."""
    document = None if reading.document is None else _bounded(reading.document)
    logs = reading.earlier_logs
    stored = replace(reading, document=document, earlier_logs=None if logs is None or _size(logs[1]) > MOST_CHARACTERS else logs)
    return reading_values(stored) | {
        "lockout": None
        if lockout is None
        else {"account": lockout.account, "at": moment(lockout.at), "salt": lockout.salt.hex(), "digest": lockout.digest.hex()}
    }


def restored(document: Mapping[str, Any], server: SqlServer) -> tuple[SqlServerReading, Lockout | None]:
    """Return what an earlier process knew of a server. Raises ValueError for a damaged document."""
    try:
        lockout = None if document["lockout"] is None else _lockout(document["lockout"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"is damaged ({type(error).__name__})") from None
    reading = replace(reading_from(document), address=server.address, refused=lockout is not None)
    if reading.document is not None:
        reading = replace(reading, document=replace(reading.document, address=server.address))
    return labelled(reading, server), lockout


def _bounded(document: Document) -> Document:
    """Return the document without its largest sections, if it is too large."""
    sizes = {name: _size(rows) for name, rows in document.sections.items()}
    sizes[REGISTRY] = _size([[uri.thumbprint, uri.uri] for uri in document.key_uris])
    left_out = set()
    while sum(sizes.values()) > MOST_CHARACTERS:
        left_out.add(largest := max(sizes, key=sizes.__getitem__))
        del sizes[largest]
    return replace(
        document,
        sections={name: rows for name, rows in document.sections.items() if name not in left_out},
        key_uris=() if REGISTRY in left_out else document.key_uris,
        kept={name: time for name, time in document.kept.items() if name not in left_out},
    )


def _size(value: object) -> int:
    return len(json.dumps(value))


def _lockout(value: Mapping[str, Any]) -> Lockout:
    return Lockout(
        account=str(value["account"]),
        at=unix_time(value["at"]),
        salt=bytes.fromhex(value["salt"]),
        digest=bytes.fromhex(value["digest"]),
    )
