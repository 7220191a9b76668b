"""Each failure of a step is reported by exactly one check."""

import dataclasses

import pytest

from exporter.config.model import Credential, CredentialKind, Module
from exporter.core.checks import BY_NAME, CHECKS, CheckOutcome
from exporter.core.checks.routing import owner_of
from exporter.core.classify import classify
from exporter.core.faults import Fault, Reason
from exporter.core.model import Challenge, Facts, Outcome, ProbeReport, Readiness, Step, StepResult, VaultHeaders
from exporter.doctor.evidence import Endpoint, Evidence, SecretEvidence
from exporter.doctor.run import assess_all
from tests.support.doctor_simulated import ENTRA, TARGET, VAULT

FINE = Facts(status=404, fault=Fault.HTTP_STATUS, server_time=1.8e9, vault=VaultHeaders(connection="public"))


def observed(step, reason, code):
    """Evidence of a probe that failed at one step; later steps were skipped."""
    steps = [
        StepResult(step=one, outcome=Outcome.OK, facts=Facts())
        if place < list(Step).index(step)
        else StepResult(step=one, outcome=Outcome.FAILED if one is step else Outcome.SKIPPED)
        for place, one in enumerate(Step)
    ]
    steps[list(Step).index(step)] = StepResult(step=step, outcome=Outcome.FAILED, code=code, reason=reason, facts=Facts())
    report = ProbeReport(
        target="t", started_at=1.8e9, duration=1.0, steps=tuple(steps), readiness=Readiness(ready=False, why="not_ready")
    )
    return Evidence(
        target=dataclasses.replace(TARGET, retained_versions=()),
        credential=Credential(name="sql-prod", kind=CredentialKind.CLIENT_SECRET),
        module=Module(name="default"),
        now=1.8e9,
        vault=Endpoint(host=VAULT, facts=FINE, addresses=("192.0.2.1",), skew=0.0),
        entra=Endpoint(host=ENTRA, facts=FINE, addresses=("192.0.2.2",), skew=0.0),
        report=report,
        secret=SecretEvidence(findings=()),
        challenge=None if step is Step.CHALLENGE else Challenge(authority="a", tenant="t", resource="r"),
    )


@pytest.mark.parametrize("step", list(Step))
def test_each_failure_is_reported_by_its_owner(step):
    for reason in Reason:
        results = {result.check: result for result in assess_all(observed(step, reason, 3001), again="again")}
        reported = {name for name, result in results.items() if result.outcome in (CheckOutcome.FAIL, CheckOutcome.WARN)}
        assert reported == {owner_of(step, reason)}, reason


@pytest.mark.parametrize("step", list(Step))
def test_each_fault_of_a_step_has_a_fix(step):
    for fault in Fault:
        if fault is Fault.NONE:
            continue
        cause = classify(step, Facts(fault=fault, status=418))
        results = assess_all(observed(step, cause.reason, cause.code), again="again")
        result = next(result for result in results if result.check == owner_of(step, cause.reason))
        assert result.fix, fault


def test_owners_are_checks():
    assert {owner_of(step, reason) for step in Step for reason in (None, *Reason)} <= set(BY_NAME)


def test_checks_follow_those_that_they_need():
    before = set()
    for check in CHECKS:
        assert set(check.needs) <= before, check.name
        before.add(check.name)


def test_titles_fit_their_column():
    assert [check.title for check in CHECKS if len(check.title) > 27] == []
    assert len(BY_NAME) == len(CHECKS)
