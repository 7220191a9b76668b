"""The targets of a running exporter, and what it read of SQL Servers.

`gate` and `inventory` use both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from exporter.clients.exporter_api import SQL_SERVERS, TARGETS, ApiAccess, FetchFailure, FetchProblem, fetch_list
from exporter.tde.exporter_state import ExporterState, GateReason
from exporter.tde.gate.conditions import Condition, reason
from exporter.tde.gate.response import read_readings, read_state
from exporter.tde.sql_reading import SqlServerReading

_CONDITIONS: Mapping[FetchProblem, Condition] = {
    FetchProblem.UNREACHABLE: Condition.EXPORTER_UNREACHABLE,
    FetchProblem.REFUSED: Condition.EXPORTER_REFUSES,
    FetchProblem.MISSING: Condition.EXPORTER_FOREIGN,
    FetchProblem.FOREIGN: Condition.EXPORTER_FOREIGN,
}


async def fetch_exporter(access: ApiAccess) -> ExporterState | GateReason:
    """Return targets and readings of the exporter, or why targets are not known.

    Raises AccessError.
    """
    state, readings = await asyncio.gather(fetch_state(access), fetch_readings(access))
    if isinstance(state, GateReason):
        return state
    return replace(state, unread=readings) if isinstance(readings, GateReason) else replace(state, readings=readings)


async def fetch_state(access: ApiAccess) -> ExporterState | GateReason:
    """Return the targets of the exporter, or why they are not known. Raises AccessError."""
    fetched, url = await fetch_list(access, TARGETS), access.url.rstrip("/")
    return _failed(fetched, url) if isinstance(fetched, FetchFailure) else read_state(fetched, url)


async def fetch_readings(access: ApiAccess) -> tuple[SqlServerReading, ...] | GateReason:
    """Return what the exporter read of its SQL Servers, or why that is not known.

    Raises AccessError.
    """
    fetched, url = await fetch_list(access, SQL_SERVERS), access.url.rstrip("/")
    if isinstance(fetched, FetchFailure):
        if fetched.problem is FetchProblem.MISSING:
            return reason(Condition.EXPORTER_OLD, url=url, field=f"/{SQL_SERVERS}")
        return _failed(fetched, url)
    return read_readings(fetched, url)


def _failed(failure: FetchFailure, url: str) -> GateReason:
    return reason(_CONDITIONS[failure.problem], url=url, cause=failure.cause)
