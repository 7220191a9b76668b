"""When a failure began and ended, as far as the records of a target show it."""

from __future__ import annotations

from typing import Final, NamedTuple

from exporter.core.model import Step
from exporter.core.readiness import State
from exporter.core.reasons import Reason
from exporter.state.changes import ChangeKind
from exporter.state.failures import failed_among, first_failed, last_run
from exporter.state.records import TargetRecord, unsteady_at

ENDED_SECONDS: Final = 3600.0  # for which a page shows that a failure has ended


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


class Ended(NamedTuple):
    """The last failure of a target that is ready again. `began` and `at` are Unix times: the first failed probe, the first ready one."""

    step: Step
    reason: Reason | None
    began: float
    at: float


def ended_at(record: TargetRecord | None, now: float) -> Ended | None:
    """Return the failure that ended within the last hour before `now`; None without one, and for an unsteady target."""
    if record is None or record.state is not State.READY or record.state_since is None:
        return None
    at, run = record.state_since, last_run(record.recent)
    if not run or now - at > ENDED_SECONDS or unsteady_at(record, now) is not None:
        return None
    step, _, reason = record.recent_failures[-1]
    if step is None:
        return None
    began = record.last_failures[-run].at if run <= len(record.last_failures) else _began(record, at, run)
    return Ended(step, reason, began, at)


def _began(record: TargetRecord, ended: float, run: int) -> float:
    """Return when a run of more failures than are kept began: with its change of state, or as many intervals before its end."""
    changed = (each.at for each in reversed(record.changes) if each.what is ChangeKind.STATE and each.before == State.READY)
    return next(changed, ended - run * record.target.interval)
