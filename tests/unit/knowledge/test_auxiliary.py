"""The result of an auxiliary probe from its steps: usable, refused or unknown."""

from dataclasses import replace

import pytest

from exporter.core.values import Outcome, Step
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import (
    CALLER_REFUSED,
    CREDENTIAL_REFUSED,
    KEY_REFUSED,
    AuxiliaryKind,
    AuxiliaryResult,
    assess_auxiliary,
    first_failure,
    version_fault,
)
from tests.support.web_factories import key

WHOLE = tuple(Step)
WITHOUT_WRAP = tuple(step for step in Step if step is not Step.WRAP_KEY)
READING = (Step.CHALLENGE, Step.TOKEN, Step.GET_KEY)


def steps(made=WHOLE, **failures):
    """Return the steps: those of `made` succeed, those given as step=reason fail; a failure other than wrap's skips the rest."""
    results, stopped = [], False
    for step in Step:
        reason = failures.get(step.value)
        outcome = Outcome.SKIPPED if stopped or step not in made else Outcome.FAILED if reason else Outcome.OK
        results.append(StepResult(step=step, outcome=outcome, reason=reason))
        stopped = stopped or (reason is not None and step is not Step.WRAP_KEY)
    return results


@pytest.mark.parametrize(
    ("what", "made"),
    [
        (AuxiliaryKind.NEXT, WHOLE),
        (AuxiliaryKind.RETAINED, WITHOUT_WRAP),
        (AuxiliaryKind.RECOVERY, WITHOUT_WRAP),
        (AuxiliaryKind.NEWEST, READING),
    ],
)
def test_an_auxiliary_probe_without_failures_is_usable(what, made):
    assert assess_auxiliary(what, steps(made)) is True


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"enabled": False}, "the version is disabled"),
        ({"expires": 100.0}, "the version expired at 1970-01-01T00:01:40"),
        ({"not_before": 101.0}, "the version is not valid before 1970-01-01T00:01:41"),
        ({"enabled": True, "expires": 101.0, "not_before": 100.0}, ""),
    ],
)
def test_newest_version_is_usable_if_enabled_within_its_dates(changes, fault):
    read = replace(key(), **({"enabled": None, "expires": None, "not_before": None} | changes))
    assert version_fault(read, 100.0).startswith(fault)
    assert bool(version_fault(read, 100.0)) == bool(fault)
    assert assess_auxiliary(AuxiliaryKind.NEWEST, steps(READING), read, at=100.0) is not bool(fault)
    assert assess_auxiliary(AuxiliaryKind.RETAINED, steps(WITHOUT_WRAP), read, at=100.0) is True


@pytest.mark.parametrize("what", [AuxiliaryKind.NEXT, AuxiliaryKind.RETAINED, AuxiliaryKind.RECOVERY])
def test_an_auxiliary_probe_without_unwrap_is_unknown(what):
    assert assess_auxiliary(what, steps(READING)) is None


@pytest.mark.parametrize("what", list(AuxiliaryKind))
@pytest.mark.parametrize("reason", sorted(CREDENTIAL_REFUSED))
def test_a_refused_credential_is_a_refusal_for_every_kind(what, reason):
    assert assess_auxiliary(what, steps(token=reason)) is False


@pytest.mark.parametrize("what", [AuxiliaryKind.RETAINED, AuxiliaryKind.RECOVERY])
@pytest.mark.parametrize("reason", sorted(KEY_REFUSED | CALLER_REFUSED))
def test_a_refused_key_or_caller_is_a_refusal_of_the_key(what, reason):
    assert assess_auxiliary(what, steps(unwrap_key=reason)) is False


@pytest.mark.parametrize("reason", sorted(KEY_REFUSED))
def test_the_key_state_leaves_a_staged_credential_unknown(reason):
    assert assess_auxiliary(AuxiliaryKind.NEXT, steps(get_key=reason)) is None
    assert assess_auxiliary(AuxiliaryKind.NEXT, steps(unwrap_key=reason)) is None


def test_a_staged_credential_that_only_unwraps_is_refused():
    assert assess_auxiliary(AuxiliaryKind.NEXT, steps(wrap_key=Reason.FORBIDDEN_RBAC)) is False


def test_an_expired_key_does_not_refuse_a_staged_credential():
    assert assess_auxiliary(AuxiliaryKind.NEXT, steps(wrap_key=Reason.KEY_EXPIRED)) is True


@pytest.mark.parametrize("what", list(AuxiliaryKind))
@pytest.mark.parametrize("step", [Step.CHALLENGE, Step.TOKEN, Step.GET_KEY])
@pytest.mark.parametrize(
    "reason",
    [
        Reason.CONNECT_TIMEOUT,
        Reason.DNS_NOT_FOUND,
        Reason.THROTTLED,
        Reason.SERVER_ERROR,
        Reason.ENTRA_UNAVAILABLE,
        Reason.FORBIDDEN_FIREWALL,
        Reason.FORBIDDEN_CONNECTION,
        Reason.SECRET_UNREADABLE,
        Reason.INTERNAL,
    ],
)
def test_failures_outside_key_and_credential_are_unknown(what, step, reason):
    assert assess_auxiliary(what, steps(**{step.value: reason})) is None


def test_the_first_failure_skips_wrap_unless_it_decides():
    assert first_failure(AuxiliaryKind.RETAINED, steps(wrap_key=Reason.FORBIDDEN)) is None
    assert first_failure(AuxiliaryKind.NEXT, steps(wrap_key=Reason.FORBIDDEN)).step is Step.WRAP_KEY
    assert first_failure(AuxiliaryKind.NEWEST, steps(get_key=Reason.THROTTLED)).step is Step.GET_KEY


def test_a_report_names_its_failure_and_what_it_is_about():
    failed = tuple(steps(READING, token=Reason.SECRET_EXPIRED))
    report = AuxiliaryResult(
        kind=AuxiliaryKind.NEXT, name="staged", vault="v", credential="c", at=0.0, usable=False, steps=failed
    )
    assert report.failure is first_failure(AuxiliaryKind.NEXT, failed)
    assert report.failure.step is Step.TOKEN
    assert report.identity == (AuxiliaryKind.NEXT, "staged", "v")
