"""Targets and reports for the tests of scheduling, tokens and state."""

from __future__ import annotations

from exporter.config.model import Target
from exporter.core.faults import Fault, Reason
from exporter.core.model import Facts, Generation, Outcome, ProbeReport, Readiness, Step, StepResult


def a_target(name="payroll", *, interval=60.0, timeout=10.0, vault="contoso.vault.azure.net", **more):
    return Target(
        name=name,
        vault=vault,
        key_name=more.pop("key_name", "TdeKey"),
        key_version=more.pop("key_version", "0" * 32),
        credential=more.pop("credential", "sql"),
        module=more.pop("module", "default"),
        interval=interval,
        timeout=timeout,
        generation=Generation.CLASSIC,
        generation_declared=True,
        **more,
    )


def a_fleet(count, **more):
    return [a_target(f"target-{number}", **more) for number in range(count)]


def a_report(target="payroll", *steps, at=0.0, ready=True, **more):
    steps = steps or tuple(StepResult(step=step, outcome=Outcome.OK, duration=0.02, facts=Facts(status=200)) for step in Step)
    why = {True: "ready", False: "not_ready", None: "version_not_pinned"}[ready]
    return ProbeReport(target=target, started_at=at, duration=0.1, steps=steps, readiness=Readiness(ready=ready, why=why), **more)


def a_failure(target="payroll", *, step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN, at=0.0, ready=False, **facts):
    facts = {"fault": Fault.HTTP_STATUS, "status": 403} | facts
    failed = StepResult(step=step, outcome=Outcome.FAILED, duration=0.02, code=code, reason=reason, facts=Facts(**facts))
    skipped = tuple(StepResult(step=other, outcome=Outcome.SKIPPED) for other in Step if other is not step)
    return a_report(target, failed, *skipped, at=at, ready=ready)


def a_throttled_report(target="payroll", *, retry_after=None):
    return a_failure(target, code=3011, reason=Reason.THROTTLED, status=429, retry_after_seconds=retry_after)
