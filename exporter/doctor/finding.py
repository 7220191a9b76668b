"""The rule that turns a step of the probe into the finding of a check, and its texts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from exporter.core.checks.check_owner import owner_of
from exporter.core.checks.finding import Finding, blocked, skipped
from exporter.core.checks.model import CheckOutcome, FailureMoment
from exporter.core.codes.cause_text import open_detail
from exporter.core.model import Outcome, Step, StepResult
from exporter.core.reasons import Reason
from exporter.doctor.evidence import Evidence

_NOT_IN_MODE = "the module's mode leaves it out"


def failed_at(result: StepResult) -> Finding:
    """Return the finding of a failed step."""
    return Finding(
        outcome=CheckOutcome.FAIL, detail=failure_text(result), code=result.code, reason=result.reason, step=result.step
    )


def step_finding(evidence: Evidence, step: Step, check: str) -> Finding | None:
    """Return a check's finding by a step of the probe; None if the step succeeded."""
    result = evidence.report.step(step)
    if result is not None and result.outcome is Outcome.OK:
        return None
    if result is not None and result.outcome is Outcome.FAILED:
        owner = owner_of(step, result.reason)
        return failed_at(result) if owner == check else blocked(owner)
    first = evidence.report.first_failure
    return skipped(_NOT_IN_MODE) if first is None else blocked(owner_of(first.step, first.reason))


def owned(evidence: Evidence, check: str) -> Finding | None:
    """Return the failure of a check by the first failed step that belongs to it."""
    for result in evidence.report.steps:
        if result.outcome is Outcome.FAILED and owner_of(result.step, result.reason) == check:
            return replace(failed_at(result), moment=FailureMoment.WRAP if _affects_wrap_only(evidence, result) else None)
    return None


def _affects_wrap_only(evidence: Evidence, failure: StepResult) -> bool:
    """Return whether wrap failed and unwrap succeeded: databases still open."""
    unwrapped = evidence.report.step(Step.UNWRAP_KEY)
    return failure.step is Step.WRAP_KEY and unwrapped is not None and unwrapped.outcome is Outcome.OK


def day(moment: float) -> str:
    """Return the day of a Unix time, in UTC."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def failure_text(result: StepResult) -> str:
    """Return a failure as text: `secret expired (HTTP 401, AADSTS7000222)`."""
    facts = result.facts
    words = (result.reason or Reason.INTERNAL).value.replace("_", " ")
    if facts is None:
        return words
    parts = (
        None if facts.status is None else f"HTTP {facts.status}",
        None if facts.aadsts is None else f"AADSTS{facts.aadsts}",
        None if facts.akv is None else f"AKV{facts.akv}",
        facts.inner_code,
    )
    codes = ", ".join(one for one in parts if one is not None)
    detail = open_detail(result)
    return (f"{words} ({codes})" if codes else words) + (f": {detail}" if detail else "")
