"""How much room the log of a database has left, and for how long at its present rate."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.tde.fields import Row
from exporter.tde.model import printable
from exporter.tde.sql_reading import TRACE_FLAG, SqlServerReading, flag_is_on, rows

_KIB, _MIB = 1024.0, 1048576.0


@dataclass(frozen=True, slots=True)
class LogSpace:
    """The log of one database at its last reading; None if unknown.

    `free_bytes` are left until the limit of its files or the end of their disk, `rate` is in bytes per second. `full_in` and
    `next_file_in` are seconds at that rate: until the log is full if only log backups truncate it, and at most until the next
    virtual log file, if that needs the vault.
    """

    database: str
    used_bytes: float
    free_bytes: float | None
    rate: float | None
    full_in: float | None
    next_file_in: float | None


def log_spaces(reading: SqlServerReading) -> tuple[LogSpace, ...]:
    """Return the log of each database whose use of it is known: a secondary replica does not show it."""
    at, earlier = reading.earlier_logs or (0.0, ())
    seconds = reading.read_at.get("logs", 0.0) - at
    before = {row.get("database"): row for row in earlier} if seconds > 0 else {}
    files_need_vault = flag_is_on(reading, TRACE_FLAG) is False
    return tuple(
        _log_space(row, before.get(row.get("database"), {}), seconds, files_need_vault=files_need_vault)
        for row in rows(reading, "logs")
        if _number(row, "used_kb") is not None
    )


def _log_space(row: Row, earlier: Row, seconds: float, *, files_need_vault: bool) -> LogSpace:
    used, before, file, free = _number(row, "used_kb") or 0.0, _number(earlier, "used_kb"), _number(row, "vlf_mb"), _free(row)
    # A log that shrank was truncated in between: how much was written is unknown.
    rate = None if before is None or used < before else (used - before) * _KIB / seconds
    return LogSpace(
        database=printable(str(row.get("database"))),
        used_bytes=used * _KIB,
        free_bytes=free,
        rate=rate,
        full_in=free / rate if rate and free is not None and _waits_for_backup(row) else None,
        next_file_in=file * _MIB / rate if rate and file is not None and files_need_vault else None,
    )


def _free(row: Row) -> float | None:
    """Return the bytes until the first end. The unused part of the files needs no room on the disk."""
    used, total, limit, disk = (_number(row, column) or 0.0 for column in ("used_kb", "total_kb", "limit_kb", "disk_free_kb"))
    ends = {"limit_kb": limit - used, "disk_free_kb": disk + max(0.0, total - used)}
    left = [kib for column, kib in ends.items() if _number(row, column) is not None]
    return max(0.0, min(left)) * _KIB if left else None


def _waits_for_backup(row: Row) -> bool:
    """Whether only a log backup truncates the log. Without any yet, a checkpoint does, as in the SIMPLE recovery model."""
    return "log_backup_utc" in row or row.get("reuse_wait") == "LOG_BACKUP"


def _number(row: Row, column: str) -> float | None:
    value = row.get(column)
    return float(value) if isinstance(value, int) else None
