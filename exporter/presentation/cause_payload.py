"""The JSON of a cause of failed probes or of SQL Servers.

Such SQL Servers cannot get their keys although probes succeed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from exporter.core.durations import moment
from exporter.presentation.payloads import Payload, moment_or_none
from exporter.presentation.sql_causes import SqlCause
from exporter.state.cause_groups import CauseGroup


def causes_payload(groups: Iterable[CauseGroup], own: Sequence[SqlCause]) -> list[Payload]:
    """Return the causes, the most urgent first.

    Those of SQL Servers that only lack a proof are last.
    """
    bad = [each for each in own if each.is_bad]
    rest = [each for each in own if not each.is_bad]
    return [*map(_sql_cause_payload, bad), *map(_cause_payload, groups), *map(_sql_cause_payload, rest)]


def _cause_payload(group: CauseGroup) -> Payload:
    """Return a cause, which the status page may show with others as one; `cause` is the parameter of `/targets` that lists its targets."""
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


def _sql_cause_payload(cause: SqlCause) -> Payload:
    """Return a cause of SQL Server itself in the same form.

    The reason is the state of its proofs.
    """
    return {
        "cause": cause.id,
        "link": "sql_server",
        "name": "",
        "reason": cause.state.value,
        "unsteady": False,
        "since": moment_or_none(cause.since),
        "targets": len(cause.targets),
        "sql_servers": len(cause.servers),
    }
