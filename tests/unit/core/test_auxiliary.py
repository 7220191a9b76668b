"""What the steps of a look come to: yes, no, or nothing."""

import pytest

from exporter.core.auxiliary import CALLER_REFUSED, CREDENTIAL_REFUSED, KEY_REFUSED, AuxiliaryKind, assess, first_failure
from exporter.core.faults import Reason
from exporter.core.model import Outcome, Step, StepResult

WHOLE = tuple(Step)
WITHOUT_WRAP = tuple(step for step in Step if step is not Step.WRAP_KEY)
READING = (Step.CHALLENGE, Step.TOKEN, Step.GET_KEY)


def steps(made=WHOLE, **failures):
    """Every step of `made` went well but those given, as step=reason; what follows a failure other than wrap's was skipped."""
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
def test_a_look_whose_every_step_went_well_says_yes(what, made):
    assert assess(what, steps(made)) is True


@pytest.mark.parametrize("what", [AuxiliaryKind.NEXT, AuxiliaryKind.RETAINED, AuxiliaryKind.RECOVERY])
def test_a_look_that_may_not_unwrap_says_nothing(what):
    assert assess(what, steps(READING)) is None


@pytest.mark.parametrize("what", list(AuxiliaryKind))
@pytest.mark.parametrize("reason", sorted(CREDENTIAL_REFUSED))
def test_a_refused_credential_is_a_no_for_every_look(what, reason):
    assert assess(what, steps(token=reason)) is False


@pytest.mark.parametrize("what", [AuxiliaryKind.RETAINED, AuxiliaryKind.RECOVERY])
@pytest.mark.parametrize("reason", sorted(KEY_REFUSED | CALLER_REFUSED))
def test_a_refused_key_or_caller_is_a_no_for_a_key(what, reason):
    assert assess(what, steps(unwrap_key=reason)) is False


@pytest.mark.parametrize("reason", sorted(KEY_REFUSED))
def test_the_state_of_the_key_says_nothing_of_a_staged_credential(reason):
    assert assess(AuxiliaryKind.NEXT, steps(get_key=reason)) is None
    assert assess(AuxiliaryKind.NEXT, steps(unwrap_key=reason)) is None


def test_a_staged_credential_that_may_not_wrap_is_a_no_though_it_unwraps():
    assert assess(AuxiliaryKind.NEXT, steps(wrap_key=Reason.FORBIDDEN_RBAC)) is False


def test_an_expired_key_wraps_no_more_and_that_is_not_the_staged_credentials_doing():
    assert assess(AuxiliaryKind.NEXT, steps(wrap_key=Reason.KEY_EXPIRED)) is True


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
def test_where_nobody_answered_nothing_is_said(what, step, reason):
    assert assess(what, steps(**{step.value: reason})) is None


def test_the_first_failure_is_the_one_that_stood_in_the_way():
    assert first_failure(AuxiliaryKind.RETAINED, steps(wrap_key=Reason.FORBIDDEN)) is None
    assert first_failure(AuxiliaryKind.NEXT, steps(wrap_key=Reason.FORBIDDEN)).step is Step.WRAP_KEY
    assert first_failure(AuxiliaryKind.NEWEST, steps(get_key=Reason.THROTTLED)).step is Step.GET_KEY


def test_no_reason_is_in_two_lists():
    assert not CREDENTIAL_REFUSED & CALLER_REFUSED
    assert not CALLER_REFUSED & KEY_REFUSED
    assert not CREDENTIAL_REFUSED & KEY_REFUSED
