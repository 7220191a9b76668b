"""How much room the log of a database has left, and for how long at its present rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exporter.sqlserver.document import Row
from exporter.sqlserver.instance import printable
from exporter.sqlserver.reading import TRACE_FLAG, SqlServerReading, flag_is_on, once, rows

_KIB, _MIB = 1024.0, 1048576.0
_FULL = 0.001  # of the used part: a log that has less room is full


@dataclass(frozen=True, slots=True)
class LogSpace:
    """The log of one database at its last reading; None if unknown.

    `free_bytes` are left until the limit of its files or the end of their disks, `rate` is in bytes per second. `full_in` and
    `next_file_in` are seconds at that rate: until the log is full if only log backups truncate it, and at most until the next
    virtual log file, if that needs the vault. If the log stopped growing at `stalled_at`, a Unix time, and no log backup followed, `rate` is
    that from before.
    """

    database: str
    used_bytes: float
    free_bytes: float | None
    rate: float | None
    full_in: float | None
    next_file_in: float | None
    stalled_at: float | None = None


@once
def log_spaces(reading: SqlServerReading) -> tuple[LogSpace, ...]:
    """Return the log of each database whose size is known. A secondary replica does not show it."""
    at, earlier = reading.earlier_logs or (0.0, ())
    seconds = reading.read_at.get("logs", 0.0) - at
    before = {row.get("database"): row for row in earlier} if seconds > 0 else {}
    stalled = {name: rate for name, (_, rate) in reading.stalled.items()}
    logs = [
        (row, stalled.get(str(row.get("database"))) or _rate(row, before.get(row.get("database"), {}), seconds))
        for row in rows(reading, "logs")
        if _number(row, "used_kb") is not None
    ]
    by_volume, files_need_vault = _volume_rates(logs), flag_is_on(reading, TRACE_FLAG) is False
    return tuple(
        _log_space(
            row,
            rate,
            max((by_volume[volume] for volume in _volumes(row) if volume in by_volume), default=None),
            reading.stalled.get(str(row.get("database"))),
            files_need_vault=files_need_vault,
        )
        for row, rate in logs
    )


def stalled_logs(before: SqlServerReading, later: Iterable[Row]) -> dict[str, tuple[float, float]]:
    """Return each database whose log no longer grows: since when, and its last rate in bytes per second.

    `later` are the rows of the logs after `before`. A log backup ends it, and so does a log that grows again.
    """
    rows_before = {str(row.get("database")): row for row in rows(before, "logs")}
    rates = {space.database: space.rate for space in log_spaces(before)}
    found = {}
    for row in later:
        name = str(row.get("database"))
        earlier, rate = rows_before.get(name, {}), rates.get(printable(name))
        if rate and all(row.get(column) == earlier.get(column) for column in ("used_kb", "log_backup_utc")):
            found[name] = before.stalled.get(name, (before.read_at.get("logs", before.attempted_at), rate))
    return found


def _rate(row: Row, earlier: Row, seconds: float) -> float | None:
    used, before = _number(row, "used_kb") or 0.0, _number(earlier, "used_kb")
    # A log that shrank was truncated in between: how much was written is unknown.
    return None if before is None or used < before else (used - before) * _KIB / seconds


def _volume_rates(logs: Iterable[tuple[Row, float | None]]) -> dict[str | int, float]:
    """Return the rate of all logs of each volume together. Those that checkpoints truncate need no more room."""
    found: dict[str | int, float] = {}
    for row, rate in logs:
        if rate is not None and _waits_for_backup(row):
            for volume in _volumes(row):
                found[volume] = found.get(volume, 0.0) + rate
    return found


def _volumes(row: Row) -> Iterator[str | int]:
    """Yield the volumes whose room the log shares. Of more than two, they are the first and the last."""
    return (row[column] for column in ("volume", "last_volume") if column in row)


def _log_space(
    row: Row, rate: float | None, volume_rate: float | None, stalled: tuple[float, float] | None, *, files_need_vault: bool
) -> LogSpace:
    file, free = _number(row, "vlf_mb"), _first_end(row)
    full_in = _first_end(row, rate, volume_rate or rate) if rate else None
    if free is not None and free <= _FULL * (_number(row, "used_kb") or 0.0) * _KIB:
        full_in = 0.0  # the database no longer writes, so its log has no rate
    return LogSpace(
        database=printable(str(row.get("database"))),
        used_bytes=(_number(row, "used_kb") or 0.0) * _KIB,
        free_bytes=free,
        rate=rate,
        full_in=full_in if _waits_for_backup(row) else None,
        next_file_in=file * _MIB / rate if rate and file is not None and files_need_vault and not stalled else None,
        stalled_at=None if stalled is None else stalled[0],
    )


def _first_end(row: Row, rate: float = 1.0, volume_rate: float = 1.0) -> float | None:
    """Return the bytes, or the seconds at these rates, until the first end.

    The unused part of the log's files needs no room on the disk. The other logs of the volume may have such room too, so that the time is never
    too long.
    """
    used, total, limit, disk = (_number(row, column) or 0.0 for column in ("used_kb", "total_kb", "limit_kb", "disk_free_kb"))
    unused = max(0.0, total - used)
    ends = {"limit_kb": (limit - used) / rate, "disk_free_kb": max(unused / rate, (disk + unused) / volume_rate)}
    left = [end for column, end in ends.items() if _number(row, column) is not None]
    return max(0.0, min(left)) * _KIB if left else None


def _waits_for_backup(row: Row) -> bool:
    """Whether only a log backup truncates the log. Without any yet, a checkpoint does, as in the SIMPLE recovery model."""
    return "log_backup_utc" in row or row.get("reuse_wait") == "LOG_BACKUP"


def _number(row: Row, column: str) -> float | None:
    value = row.get(column)
    return float(value) if isinstance(value, int) else None
