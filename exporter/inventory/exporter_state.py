"""The targets of a running exporter and the SQL Servers that it reads, for the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from exporter.clients.exporter_api import ApiAccess, FetchFailure, FetchProblem, fetch_targets
from exporter.tde.gate.conditions import Condition, GateReason, reason
from exporter.tde.gate.model import ExporterState
from exporter.tde.gate.response import read_state
from exporter.tde.sql_reading import SqlServerReading

_CONDITIONS: Mapping[FetchProblem, Condition] = {
    FetchProblem.UNREACHABLE: Condition.EXPORTER_UNREACHABLE,
    FetchProblem.REFUSED: Condition.EXPORTER_REFUSES,
    FetchProblem.FOREIGN: Condition.EXPORTER_FOREIGN,
}


async def fetch_exporter(access: ApiAccess) -> ExporterState | GateReason:
    """Return targets and readings of the exporter, or why the targets are not known. Raises AccessError."""
    state, readings = await asyncio.gather(fetch_state(access), fetch_readings(access))
    if isinstance(state, GateReason):
        return state
    return replace(state, unread=readings) if isinstance(readings, GateReason) else replace(state, readings=readings)


async def fetch_readings(access: ApiAccess) -> tuple[SqlServerReading, ...] | GateReason:
    """Stub until branch api27."""
    return ()


async def fetch_state(access: ApiAccess) -> ExporterState | GateReason:
    """Return the targets of the exporter, or why they are not known. Raises AccessError."""
    fetched, url = await fetch_targets(access), access.url.rstrip("/")
    if isinstance(fetched, FetchFailure):
        return reason(_CONDITIONS[fetched.problem], url=url, cause=fetched.cause)
    return read_state(fetched, url)
