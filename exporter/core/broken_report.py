"""The report of a probe that an internal error ended.

An internal error inside one step fails that step only.
"""

from __future__ import annotations

from exporter.core.classify import classify
from exporter.core.codes import generation_code
from exporter.core.faults import Fault
from exporter.core.model import Facts, Generation, Outcome, ProbeReport, Readiness, Step, StepResult


def broken_report(target: str, generation: Generation, *, started_at: float, duration: float, exception: str) -> ProbeReport:
    """Return a report without a verdict.

    The first step failed with reason `internal`, the others are skipped.
    """
    facts = Facts(fault=Fault.INTERNAL, exception=exception)
    classification = classify(Step.CHALLENGE, facts)
    first = StepResult(
        step=Step.CHALLENGE,
        outcome=Outcome.FAILED,
        code=generation_code(classification.code, generation),
        reason=classification.reason,
        facts=facts,
    )
    others = (StepResult(step=step, outcome=Outcome.SKIPPED) for step in Step if step is not Step.CHALLENGE)
    return ProbeReport(
        target=target,
        started_at=started_at,
        duration=duration,
        steps=(first, *others),
        readiness=Readiness(ready=None, why="exporter_fault"),
    )
