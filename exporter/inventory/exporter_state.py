"""The targets of a running exporter, for the gate."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.clients.exporter_api import ApiAccess, FetchFailure, FetchProblem, fetch_targets
from exporter.tde.gate.conditions import Condition, GateReason, reason
from exporter.tde.gate.model import ExporterState
from exporter.tde.gate.response import read_state

_CONDITIONS: Mapping[FetchProblem, Condition] = {
    FetchProblem.UNREACHABLE: Condition.EXPORTER_UNREACHABLE,
    FetchProblem.REFUSED: Condition.EXPORTER_REFUSES,
    FetchProblem.FOREIGN: Condition.EXPORTER_FOREIGN,
}


async def fetch_state(access: ApiAccess) -> ExporterState | GateReason:
    """Return the targets of the exporter, or why they are not known. Raises AccessError."""
    fetched, url = await fetch_targets(access), access.url.rstrip("/")
    if isinstance(fetched, FetchFailure):
        return reason(_CONDITIONS[fetched.problem], url=url, cause=fetched.cause)
    return read_state(fetched, url)
