"""Convert what is known of a SQL Server to a state document, and back.

A document contains no password. Of the secret of a refused login it has two bytes of a salted digest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from exporter.config.settings import SqlServer
from exporter.core.durations import moment, unix_time
from exporter.sqlservers.last_reading import labelled
from exporter.sqlservers.lockout import Lockout
from exporter.tde.document import Document
from exporter.tde.fields import Row
from exporter.tde.reading_document import reading_from, reading_values
from exporter.tde.sql_reading import SqlServerReading
from exporter.tde.usage import REGISTRY

MOST_CHARACTERS = 400 * 1024  # of the stored sections, and of the earlier logs; a file of the state directory has 1 MiB at most


def document_of(reading: SqlServerReading, lockout: Lockout | None) -> dict[str, Any]:
    """Return a JSON document.

    The largest sections are left out if all are too large together: they are read again soon.
    """
    document = None if reading.document is None else _bounded(reading.document)
    stored = replace(reading, document=document, earlier_logs=_bounded_logs(reading))
    return reading_values(stored) | {
        "lockout": None
        if lockout is None
        else {
            "account": lockout.account,
            "at": moment(lockout.at),
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


def _bounded_logs(reading: SqlServerReading) -> tuple[float, tuple[Row, ...]] | None:
    logs = reading.earlier_logs
    return logs if logs is not None and _size(logs[1]) <= MOST_CHARACTERS else None


def _size(value: object) -> int:
    return len(json.dumps(value))


def _lockout(value: Mapping[str, Any]) -> Lockout:
    return Lockout(
        account=str(value["account"]),
        at=unix_time(value["at"]),
        salt=bytes.fromhex(value["salt"]),
        digest=bytes.fromhex(value["digest"]),
    )
