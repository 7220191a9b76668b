"""What a judgement says before it becomes a result: an outcome with words, or the other check that has the last word.

For: short constructors that the judgements share, and the one rule that reads a step of the probe for a check.
Not for: any single check.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from exporter.core.checks.fixes import Lines
from exporter.core.checks.model import CheckOutcome, FailureMoment
from exporter.core.checks.routing import owner_of
from exporter.core.faults import Reason
from exporter.core.model import Outcome, Step, StepResult
from exporter.doctor.evidence import Evidence

_NOT_ASKED = "the module's mode does not ask for it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`code` in any generation; None for the table's own where the outcome is fail. `because`: the check that stood in the way."""

    outcome: CheckOutcome
    detail: str
    code: int | None = None
    reason: Reason | None = None
    because: str | None = None
    moment: FailureMoment | None = None  # None for the table's own
    advice: Lines = ()  # instead of the tables' own
    codeless: bool = False  # SQL Server shows no code for this, whatever the table says


def passed(detail: str) -> Finding:
    return Finding(outcome=CheckOutcome.PASS, detail=detail)


def warned(detail: str, *, code: int | None = None, reason: Reason | None = None) -> Finding:
    return Finding(outcome=CheckOutcome.WARN, detail=detail, code=code, reason=reason)


def failed(detail: str, *, code: int | None = None, reason: Reason | None = None, codeless: bool = False) -> Finding:
    return Finding(outcome=CheckOutcome.FAIL, detail=detail, code=code, reason=reason, codeless=codeless)


def skipped(detail: str) -> Finding:
    return Finding(outcome=CheckOutcome.SKIPPED, detail=detail)


def unknown(detail: str) -> Finding:
    return Finding(outcome=CheckOutcome.UNKNOWN, detail=detail)


def blocked(check: str) -> Finding:
    """Another check has told it already."""
    return Finding(outcome=CheckOutcome.SKIPPED, detail="", because=check)


def of_step(seen: Evidence, step: Step, check: str) -> Finding | None:
    """What a step of the probe means for a check that it may belong to; None where the step succeeded."""
    result = seen.report.step(step)
    if result is not None and result.outcome is Outcome.OK:
        return None
    if result is not None and result.outcome is Outcome.FAILED:
        owner = owner_of(step, result.reason)
        return failed(in_words(result), code=result.code, reason=result.reason) if owner == check else blocked(owner)
    first = seen.report.first_failure
    return skipped(_NOT_ASKED) if first is None else blocked(owner_of(first.step, first.reason))


def owned(seen: Evidence, check: str) -> Finding | None:
    """The first failed step that belongs to a check, as its failure."""
    for result in seen.report.steps:
        if result.outcome is Outcome.FAILED and owner_of(result.step, result.reason) == check:
            found = failed(in_words(result), code=result.code, reason=result.reason)
            return replace(found, moment=FailureMoment.WRAP) if _is_of_wrapping_alone(seen, result) else found
    return None


def _is_of_wrapping_alone(seen: Evidence, failure: StepResult) -> bool:
    """Whether what was wrapped elsewhere still comes back, which is all that opening a database takes."""
    unwrapped = seen.report.step(Step.UNWRAP_KEY)
    return failure.step is Step.WRAP_KEY and unwrapped is not None and unwrapped.outcome is Outcome.OK


def day(moment: float) -> str:
    """The day of a Unix time, in UTC."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def in_words(result: StepResult) -> str:
    """`secret expired (HTTP 401, AADSTS7000222)`."""
    facts = result.facts
    words = (result.reason or Reason.INTERNAL).value.replace("_", " ")
    if facts is None:
        return words
    said = (
        None if facts.status is None else f"HTTP {facts.status}",
        None if facts.aadsts is None else f"AADSTS{facts.aadsts}",
        None if facts.akv is None else f"AKV{facts.akv}",
        facts.inner_code,
    )
    codes = ", ".join(one for one in said if one is not None)
    return f"{words} ({codes})" if codes else words
