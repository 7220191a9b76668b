"""The finding of a check: an outcome with a text, or the failed check that blocks it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from exporter.core.auxiliary import AuxiliaryResult
from exporter.core.checks.model import Actions, CheckOutcome, FailureMoment
from exporter.core.model import Step
from exporter.core.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An outcome with its text. `code` may be of any generation; without one, a failure has the code of the table.

    `blocked_by` is the failed check.
    """

    outcome: CheckOutcome
    detail: str
    code: int | None = None
    reason: Reason | None = None
    blocked_by: str | None = None
    moment: FailureMoment | None = None  # None: that of the table
    step: Step | None = None  # the failed one
    subject: AuxiliaryResult | None = None  # whose names the fix has, instead of the target's
    codeless: bool = False  # SQL Server shows no code for this, also if the table lists one
    actions: Actions = ()  # instead of those of the reason, the table or the code


def passed(detail: str) -> Finding:
    return Finding(outcome=CheckOutcome.PASS, detail=detail)


def warned(detail: str, *, code: int | None = None, reason: Reason | None = None, actions: Actions = ()) -> Finding:
    return Finding(outcome=CheckOutcome.WARN, detail=detail, code=code, reason=reason, actions=actions)


def failed(detail: str, *, code: int | None = None, reason: Reason | None = None, codeless: bool = False) -> Finding:
    return Finding(outcome=CheckOutcome.FAIL, detail=detail, code=code, reason=reason, codeless=codeless)


def skipped(detail: str) -> Finding:
    return Finding(outcome=CheckOutcome.SKIPPED, detail=detail)


def unknown(detail: str) -> Finding:
    return Finding(outcome=CheckOutcome.UNKNOWN, detail=detail)


def blocked(check: str) -> Finding:
    """Return the finding of a check whose cause another check reports."""
    return Finding(outcome=CheckOutcome.SKIPPED, detail="", blocked_by=check)


_WORST_FIRST = (CheckOutcome.FAIL, CheckOutcome.WARN, CheckOutcome.UNKNOWN, CheckOutcome.PASS, CheckOutcome.SKIPPED)


def combined(*findings: Finding) -> Finding:
    """Return the worst of several findings with the details of all, the worst first."""
    ordered = sorted(findings, key=lambda finding: _WORST_FIRST.index(finding.outcome))
    return replace(ordered[0], detail="; ".join(finding.detail for finding in ordered))
