"""Failed probes as the record of a target keeps them, also over a restart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from exporter.core.model import ProbeReport
from exporter.core.readiness import State, deciding_failure
from exporter.core.steadiness import NO_FAILURE, FailedProbe

LETTERS = {State.NOT_READY: "n", State.FAILING: "f", State.UNKNOWN: "u", State.READY: "r"}
_FAILED = LETTERS[State.NOT_READY] + LETTERS[State.FAILING]


@dataclass(frozen=True, slots=True)
class FailureSummary:
    """Summary of a failure that is kept over a restart. `at` is a Unix time."""

    at: float
    step: str
    code: int | None
    reason: str | None
    http_status: int | None
    request_id: str | None


def failure_summary(report: ProbeReport) -> FailureSummary:
    """Return the summary of a failed probe."""
    failure = deciding_failure(report)
    if failure is None:  # nothing failed, and nothing succeeded either
        return FailureSummary(report.started_at, "", None, None, None, None)
    facts = failure.facts
    return FailureSummary(
        at=report.started_at,
        step=failure.step.value,
        code=failure.code,
        reason=None if failure.reason is None else failure.reason.value,
        http_status=None if facts is None else facts.status,
        request_id=None if facts is None else facts.request_id,
    )


def failed_among(recent: str) -> int:
    """Return how many of the probes failed, whose states are `recent`."""
    return sum(map(recent.count, _FAILED))


def runs_among(recent: str) -> int:
    """Return how many runs of failures the probes have whose states are `recent`."""
    return sum(now in _FAILED and before not in _FAILED for before, now in pairwise(" " + recent))


def last_run(recent: str) -> int:
    """Return how many probes failed in a row just before the ready ones at the end of `recent`."""
    before = recent.rstrip(LETTERS[State.READY])
    return len(before) - len(before.rstrip(_FAILED))


def first_failed(recent: str) -> int:
    """Return the place of the first failed probe among those whose states are `recent`; 0 without one."""
    return next((place for place, letter in enumerate(recent) if letter in _FAILED), 0)


def failures_after(failures: tuple[FailedProbe, ...], state: State, report: ProbeReport) -> tuple[FailedProbe, ...]:
    """Return the failures after another probe; equal failures in a row are one object, since a fleet keeps thousands."""
    if LETTERS[state] not in _FAILED:
        return failures
    failure = deciding_failure(report)
    found = NO_FAILURE if failure is None else FailedProbe(failure.step, failure.code, failure.reason)
    return (*failures, failures[-1] if failures[-1:] == (found,) else found)
