"""When a failure began, as far as the records of a target show it."""

from __future__ import annotations

from typing import NamedTuple

from exporter.state.failures import failed_among, first_failed
from exporter.state.records import TargetRecord


class Beginning(NamedTuple):
    """The Unix time of the first failed probe. With `is_first_seen`, no result came shortly before: the failure may be older."""

    at: float
    is_first_seen: bool


def beginning_of(record: TargetRecord, at: float, *, unsteady: bool) -> Beginning:
    """Return when the failure of a target began, whose last probe began at `at`; of an unsteady one, the first of the recent ones."""
    if not unsteady:
        return Beginning(at, True) if record.state_since is None else Beginning(record.state_since, record.is_first_seen)
    first, failed = first_failed(record.recent), failed_among(record.recent)
    if failed <= len(record.last_failures):
        return Beginning(record.last_failures[-failed].at, first == 0)
    return Beginning(at - (len(record.recent) - 1 - first) * record.target.interval, first == 0)
