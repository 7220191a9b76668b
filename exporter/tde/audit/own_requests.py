"""What a SQL Server requests of a vault for one key, at least: an estimate from its last reading."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.tde.server_proof import ServerProof
from exporter.tde.sql_reading import TRACE_FLAG, flag_is_on

_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class OwnRequests:
    """The requests of one SQL Server for a key.

    A restart unwraps once for each database. `log_files_a_day` need the vault; None if their rate or the trace flag is unknown. Each
    backup needs one more: how many there are a day is not read.
    """

    restart_unwraps: int
    log_files_a_day: float | None
    trace_flag: bool | None


def own_requests(server: ServerProof) -> OwnRequests:
    """Return what one SQL Server requests, at its present rate of writing."""
    flag = flag_is_on(server.reading, TRACE_FLAG)
    times = [log.next_file_in for log in server.logs if log.next_file_in]
    a_day = 0.0 if flag else sum(_DAY / each for each in times) if times else None
    return OwnRequests(len(server.proof.databases), a_day, flag)
