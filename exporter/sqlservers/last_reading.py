"""The last known reading of a SQL Server.

Each section is from its last good reading, with the time of that reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from exporter.config.settings import SqlServer
from exporter.core.known_secrets import hide
from exporter.tde.document import Document
from exporter.tde.document_merge import is_good, merged, with_known_backups, with_known_changes
from exporter.tde.log_space import stalled_logs
from exporter.tde.model import labels_of, names_of
from exporter.tde.reading_document import LOGS
from exporter.tde.sql_reading import SqlServerReading
from exporter.tde.usage import REGISTRY


def unread(server: SqlServer) -> SqlServerReading:
    """Return the reading of a server that was never read."""
    return labelled(SqlServerReading(address=server.address, sql_instance="", host="", attempted_at=0.0), server)


def labelled(reading: SqlServerReading, server: SqlServer) -> SqlServerReading:
    """Return the reading with its labels.

    They are from the configuration, else as SQL Server names itself.
    """
    found = "", ""
    if reading.document is not None and is_good(reading.document, "instance"):
        found = labels_of(reading.document)
    sql_instance, host = server.sql_instance or found[0], server.host or found[1]
    return replace(reading, sql_instance=sql_instance, host=host, configured=server.host is not None)


def updated(before: SqlServerReading, server: SqlServer, later: Document, at: float, *, refused: bool) -> SqlServerReading:
    """Return what is known after an attempt at a Unix time.

    What the attempt did not read stays as it was.
    """
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
    """Whether another server answers at this address.

    Then nothing of the earlier one counts.
    """
    return all(is_good(one, "instance") for one in (later, earlier)) and _name(later) != _name(earlier)


def _name(document: Document) -> str:
    return names_of(document)[0].upper()
