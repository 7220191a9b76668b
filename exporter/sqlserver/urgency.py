"""What is urgent at a SQL Server: closed databases, logs without room, as sentences; and since when its backups fail, for alerts.

Names were bounded and made printable when they were read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from exporter.core.durations import clock_text, span_text
from exporter.knowledge.code_row import STOP_WRITERS
from exporter.sqlserver.instance import FEW, few
from exporter.sqlserver.proof import (
    ProofState,
    ServerProof,
)
from exporter.sqlserver.reading import TRACE_FLAG, flag_is_on

_HOUR: Final = 3600.0  # the age from which a rate is not the present one
SOON: Final = 4 * _HOUR  # until a log is full: as the alert EkmSqlLogFillsUp
_FILE_SOON: Final = _HOUR / 2


def closed_text(servers: Iterable[ServerProof]) -> str:
    """Return which databases applications cannot use, with their SQL Servers; empty if all are open."""
    closed = {each.reading.address: each for each in servers if each.closed}
    named = [f"{closed_names(each)} of {each.server} ({closed_states(each)})" for each in islice(closed.values(), FEW)]
    more = f" and databases of {len(closed) - FEW:,} more SQL Servers" if len(closed) > FEW else ""
    return f"applications cannot use {', '.join(named)}{more}" if named else ""


def closed_names(server: ServerProof) -> str:
    """Return the first names of the closed databases of a SQL Server."""
    return few([f"[{name}]" for name, _ in server.closed])


def closed_states(server: ServerProof) -> str:
    """Return the states of the closed databases, as RECOVERY PENDING."""
    return ", ".join(dict.fromkeys(state.replace("_", " ") for _, state in server.closed))


def log_text(servers: Iterable[ServerProof], now: float, *, named: bool = False) -> str:
    """Return which log no longer grows, when the first log is full, and when the next virtual log file is due; empty if all is unknown."""
    servers = tuple(servers)
    return "; ".join(filter(None, (stalled_text(servers, now, named=named), times_text(servers, now, named=named))))


def times_text(servers: Iterable[ServerProof], now: float, *, named: bool = False) -> str:
    """Return when the first log is full, and when the next virtual log file is due; empty if both are unknown."""
    present = with_present_rates(servers, now)
    full = min((each for each in full_times(present, now) if each[1:] not in stalled(present)), default=None)
    parts = []
    if full is not None:
        parts.append(f"the log of [{full[1]}]{f' of {full[2]}' if named else ''} is {full_text(full[0])}")
    if (file := min(next_files(present), default=None)) is not None:
        where = f" of [{file[1]}]" if full is None or full[1:] != file[1:] else ""
        parts.append(
            f"the next virtual log file (VLF){where} is due in about {span_text(file[0])} (trace flag {TRACE_FLAG} is off)"
        )
    # A token of the old secret may still serve.
    still = "once log backups fail, " if all(each.state is ProofState.PROVEN for each in present) else ""
    return f"{still}at the present rate {'; '.join(parts)}" if parts else ""


def stalled_text(servers: Iterable[ServerProof], now: float, *, named: bool = False) -> str:
    """Return which log no longer grows, the first one of all; empty if none is known, or if nothing fails."""
    found = stalled(with_present_rates(servers, now))
    if not found:
        return ""
    (database, name), (at, due) = min(found.items(), key=lambda each: each[1])
    when = f"{clock_text(at, now)}{', when its next virtual log file (VLF) was due' if due else ''}"
    return f"the log of [{database}]{f' of {name}' if named else ''} has not grown since {when}: the database may no longer write"


def stalled(servers: Iterable[ServerProof]) -> dict[tuple[str, str], tuple[float, bool]]:
    """Return the logs that no longer grow although they are not full, by database and SQL Server: since when, and whether a virtual log file needs the vault."""
    return {
        (log.database, each.server): (log.stalled_at, flag_is_on(each.reading, TRACE_FLAG) is False)
        for each in servers
        if each.failed or each.state not in (ProofState.DUE, ProofState.STOPPED)
        for log in each.logs
        if log.stalled_at is not None and log.full_in
    }


def not_writing(servers: Iterable[ServerProof], now: float) -> list[tuple[str, str]]:
    """Return the databases that may no longer write, with their SQL Servers: their log no longer grows, or is full."""
    present = with_present_rates(servers, now)
    full = ((database, server) for left, database, server in full_times(present, now) if left <= 0)
    return list(dict.fromkeys((*stalled(present), *full)))


def not_writing_text(servers: Iterable[ServerProof], now: float) -> str:
    """Return which databases may no longer write, for a headline; empty if none is known."""
    found = [f"[{database}] of {server}" for database, server in not_writing(servers, now)]
    return f"{few(found)}{' databases' if len(found) > FEW else ''} may no longer write" if found else ""


def room_text(servers: Iterable[ServerProof], now: float) -> str:
    """Return the beginning of a first action, for the most urgent log; empty if there is time."""
    present = with_present_rates(servers, now)
    if full := min((each for each in full_times(present, now) if each[0] < SOON), default=None):
        return f"{STOP_WRITERS} in [{full[1]}] of {full[2]}. Then: "
    if stopped := min(stalled(present), default=None):
        return f"For the log of [{stopped[0]}] of {stopped[1]}: "
    if file := min((each for each in next_files(present) if each[0] < _FILE_SOON), default=None):
        return f"Before the next virtual log file (VLF) of [{file[1]}] of {file[2]}: "
    return ""


def with_present_rates(servers: Iterable[ServerProof], now: float) -> list[ServerProof]:
    """Return those whose logs were read in the last hour."""
    return [each for each in servers if now - each.reading.read_at.get("logs", 0.0) <= _HOUR]


def full_text(seconds: float) -> str:
    return f"full in {span_text(seconds)}" if seconds > 0 else "full already"


def full_times(servers: Iterable[ServerProof], now: float) -> Iterator[tuple[float, str, str]]:
    """Yield the seconds until the first log of each SQL Server is full, with its database and SQL Server."""
    for each in servers:
        if each.first_full is not None and each.first_full.full_in is not None:
            left = each.first_full.full_in - (now - each.reading.read_at["logs"])
            yield max(0.0, left), each.first_full.database, each.server


def next_files(servers: Iterable[ServerProof]) -> Iterator[tuple[float, str, str]]:
    """Yield the seconds until the next virtual log file of each SQL Server is due, with its database and SQL Server."""
    for each in servers:
        if each.next_file is not None and each.next_file.next_file_in is not None:
            yield each.next_file.next_file_in, each.next_file.database, each.server


def most_urgent(servers: Sequence[ServerProof], now: float) -> ServerProof:
    """Return the SQL Server whose log is full first, else the first one."""
    times = {left: each for each in reversed(with_present_rates(servers, now)) for left, _, _ in full_times([each], now)}
    return times[min(times)] if times else servers[0]
