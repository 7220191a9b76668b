"""Convert what is known of a SQL Server to a state document, and back.

A document contains no password. Of the secret of a refused login it has two bytes of a salted digest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from exporter.config.settings import SqlServer
from exporter.core.parsing.key_vault import unix_time
from exporter.sqlservers.last_reading import LOGS, labelled, unread
from exporter.sqlservers.lockout import Lockout
from exporter.tde.document import Document, as_json, document_from
from exporter.tde.document_merge import is_good
from exporter.tde.fields import MESSAGE, Row
from exporter.tde.sql_reading import SqlServerReading
from exporter.tde.usage import REGISTRY

MOST_CHARACTERS = 400 * 1024  # of the stored sections, and of the earlier logs; a file of the state directory has 1 MiB at most


def document_of(reading: SqlServerReading, lockout: Lockout | None) -> dict[str, Any]:
    """Return a JSON document.

    The largest sections are left out if all are too large together: they are read again soon.
    """
    document = None if reading.document is None else _bounded(reading.document)
    return {
        "document": None if document is None else as_json(document),
        "read_at": dict(reading.read_at),
        "attempted_at": reading.attempted_at,
        "failure": reading.failure,
        "earlier_logs": _bounded_logs(reading),
        "lockout": None
        if lockout is None
        else {
            "account": lockout.account,
            "at": lockout.at,
            "salt": lockout.salt.hex(),
            "digest": lockout.digest.hex(),
        },
    }


def restored(document: Mapping[str, Any], server: SqlServer) -> tuple[SqlServerReading, Lockout | None]:
    """Return what an earlier process knew of a server.

    Raises ValueError for a damaged document.
    """
    try:
        lockout = None if document["lockout"] is None else _lockout(document["lockout"])
        reading = replace(
            unread(server),
            attempted_at=_time(document["attempted_at"]),
            failure=str(document["failure"])[:MESSAGE],
            refused=lockout is not None,
        )
        if document["document"] is None:
            return reading, lockout
        found = _readable(document["document"])
        times = {section: _time(at) for section, at in document["read_at"].items() if is_good(found, section)}
        earlier_logs = _earlier_logs(document["earlier_logs"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"is damaged ({type(error).__name__})") from None
    found = replace(found, address=server.address)
    return labelled(replace(reading, document=found, read_at=times, earlier_logs=earlier_logs), server), lockout


def _readable(value: Any) -> Document:
    """Return the document of parsed JSON. Raises ValueError."""
    document = document_from(value)
    if document.failure is not None:
        raise ValueError(document.failure)
    return document


def _bounded(document: Document) -> Document:
    """Return the document without its largest sections, if it is too large."""
    sizes = {name: _size([dict(row) for row in rows]) for name, rows in document.sections.items()}
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


def _bounded_logs(reading: SqlServerReading) -> list[object] | None:
    if reading.earlier_logs is None:
        return None
    at, rows = reading.earlier_logs
    listed = [dict(row) for row in rows]
    return [at, listed] if _size(listed) <= MOST_CHARACTERS else None


def _size(value: object) -> int:
    return len(json.dumps(value))


def _earlier_logs(value: Any) -> tuple[float, tuple[Row, ...]] | None:
    """Return the rows of the reading before, checked as those of the section are."""
    if value is None:
        return None
    at, rows = value
    checked = document_from({**as_json(Document()), "sections": [{"section": LOGS, "rows": rows}]}).sections.get(LOGS)
    return None if checked is None else (_time(at), checked)


def _lockout(value: Mapping[str, Any]) -> Lockout:
    return Lockout(
        account=str(value["account"]),
        at=_time(value["at"]),
        salt=bytes.fromhex(value["salt"]),
        digest=bytes.fromhex(value["digest"]),
    )


def _time(value: object) -> float:
    moment = unix_time(value)
    if moment is None:
        raise ValueError("no time")
    return moment
