"""The JSON of a cause of failures."""

from __future__ import annotations

from exporter.core.durations import moment
from exporter.presentation.payloads import Payload
from exporter.state.cause_groups import CauseGroup


def cause_payload(group: CauseGroup) -> Payload:
    """Return a cause as the status page shows it; `cause` is the parameter of `/targets` that lists its targets."""
    return {
        "cause": group.cause.id,
        "link": group.cause.link.value,
        "name": group.cause.name,
        "reason": group.cause.reason,
        "unsteady": group.cause.unsteady,
        "since": moment(group.since),
        "targets": len(group.targets),
        "sql_servers": len(group.servers),
    }
