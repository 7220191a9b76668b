"""The verdict on a probe, on an auxiliary probe and on the last probes of a target; reports without secrets."""

from typing import get_type_hints

import pytest

from exporter.core.secrets import MARK, remember
from exporter.core.values import Facts, Fault, Generation, KeyFacts, Mode, Outcome, Readiness, Step, Vantage
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult, redacted, redacted_facts, redacted_key
from exporter.knowledge.verdict import (
    CALLER_REFUSED,
    CREDENTIAL_REFUSED,
    FAILURES_OF_UNSTEADY,
    KEY_REFUSED,
    NO_FAILURE,
    WHY,
    AuxiliaryKind,
    AuxiliaryResult,
    FailedProbe,
    State,
    assess,
    assess_auxiliary,
    assess_steadiness,
    broken_report,
    deciding_failure,
    discarded_text,
    first_failure,
    readiness_text,
    state_of,
    version_fault,
)
from tests.support.values import replace
from tests.support.web_factories import key


def steps(**outcomes: Outcome) -> list[StepResult]:
    return [StepResult(step=step, outcome=outcomes.get(step, Outcome.OK)) for step in Step]


def verdict(results: list[StepResult], **changes: object) -> Readiness:
    situation: dict[str, object] = {
        "pinned": True,
        "mode": Mode.FULL,
        "managed_identity": False,
        "vantage": Vantage.CENTRAL,
        "unwrapped": True,
    }
    return assess(results, **(situation | changes))  # type: ignore[arg-type]


READY, NOT_READY = Readiness(ready=True, why="ready"), Readiness(ready=False, why="not_ready")
CUT = StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, reason=Reason.SCRAPE_TIMEOUT)
REFUSED = StepResult(step=Step.TOKEN, outcome=Outcome.FAILED, reason=Reason.SECRET_EXPIRED)


@pytest.mark.parametrize(
    ("results", "changes", "expected"),
    [
        (steps(), {}, READY),
        (steps(wrap_key=Outcome.FAILED), {}, READY),
        (steps(), {"managed_identity": True, "vantage": Vantage.SQL_HOST}, READY),
        *((steps(**{step: Outcome.FAILED}), {"unwrapped": None}, NOT_READY) for step in ("challenge", "token", "get_key", "unwrap_key")),
        (steps(get_key=Outcome.FAILED), {"mode": Mode.READ_ONLY, "unwrapped": None}, NOT_READY),
        (steps(unwrap_key=Outcome.SKIPPED), {"unwrapped": False}, NOT_READY),  # between round trips the last unwrap counts
        ([REFUSED, CUT], {"unwrapped": None}, NOT_READY),
        ([CUT], {"unwrapped": None}, Readiness(ready=None, why="scrape_timeout")),
        (steps(), {"pinned": False}, Readiness(ready=None, why="version_not_pinned")),
        (steps(), {"mode": Mode.CANARY}, Readiness(ready=None, why="canary")),
        (steps(), {"mode": Mode.READ_ONLY, "unwrapped": None}, Readiness(ready=None, why="read_only")),
        (steps(), {"managed_identity": True}, Readiness(ready=None, why="identity_of_another_host")),
        (steps(), {"unwrapped": None}, Readiness(ready=None, why="not_tested")),
        (steps(), {"own_module": False}, Readiness(ready=None, why="other_module")),
        (steps(token=Outcome.FAILED), {"own_module": False}, Readiness(ready=None, why="other_module")),
    ],
)  # fmt: skip
def test_verdict_follows_steps_and_situation(results: list[StepResult], changes: dict[str, object], expected: Readiness):
    assert verdict(results, **changes) == expected


def test_the_text_names_the_vantage_and_the_cause():
    assert readiness_text(Readiness(ready=True, why="ready"), Vantage.SQL_HOST) == "vault side ready, seen from the SQL host"
    assert (
        readiness_text(Readiness(ready=False, why="not_ready"), Vantage.CENTRAL)
        == "vault side not ready, seen from a central host"
    )
    assert WHY["canary"] in readiness_text(Readiness(ready=None, why="canary"), Vantage.CENTRAL)


@pytest.mark.parametrize("unwrapped", [False, None])
@pytest.mark.parametrize("reason", [Reason.INTERNAL, Reason.SECRET_UNREADABLE, Reason.SECRET_TIMEOUT])
def test_an_exporter_side_reason_gives_no_verdict(*, reason: Reason, unwrapped: bool | None):
    results = [StepResult(step=Step.UNWRAP_KEY, outcome=Outcome.FAILED, reason=reason)]
    assert verdict(results, unwrapped=unwrapped) == Readiness(ready=None, why="exporter_fault")


@pytest.mark.parametrize(
    ("ready", "success", "state"),
    [
        (False, False, State.NOT_READY),
        (True, False, State.FAILING),
        (None, False, State.FAILING),
        (True, True, State.READY),
        (None, True, State.UNKNOWN),
        (None, None, State.UNKNOWN),
    ],
)
def test_state_follows_verdict_and_success(*, ready: bool | None, success: bool | None, state: State):
    assert state_of(Readiness(ready=ready, why="ready"), success=success) is state


@pytest.mark.parametrize(("ready", "step"), [(False, Step.UNWRAP_KEY), (True, Step.WRAP_KEY)])
def test_the_deciding_failure_is_a_needed_step_if_the_vault_side_is_not_ready(*, ready: bool, step: Step):
    failed = tuple(steps(wrap_key=Outcome.FAILED, unwrap_key=Outcome.FAILED))
    readiness = Readiness(ready=ready, why="ready")
    report = ProbeReport(target="a", started_at=0.0, duration=1.0, steps=failed, readiness=readiness)
    deciding = deciding_failure(report)
    assert deciding.step is step
    assert deciding_failure(replace(report, steps=tuple(steps()))) is None


def test_a_discarded_result_has_no_deciding_failure():
    readiness = Readiness(ready=None, why="discarded", stolen=0.9)
    report = ProbeReport(
        target="a", started_at=0.0, duration=1.0, steps=tuple(steps(unwrap_key=Outcome.FAILED)), readiness=readiness
    )
    assert deciding_failure(report) is None
    assert discarded_text(readiness) == "discarded: this host is too slow (90 % of the time lost)"


# How a ready target is called if several of its last probes failed.

THROTTLED = FailedProbe(Step.GET_KEY, 3011, Reason.THROTTLED)
SLOW = FailedProbe(Step.CHALLENGE, 3008, Reason.CONNECT_TIMEOUT)


@pytest.mark.parametrize(("failures", "runs"), [(FAILURES_OF_UNSTEADY - 1, 2), (39, 1)])
def test_few_failures_or_a_single_run_of_them_are_steady(failures, runs):
    assert assess_steadiness([THROTTLED] * failures, 40, runs) is None


@pytest.mark.parametrize(
    ("failed", "words", "most"),
    [
        ([THROTTLED] * 14, "unsteady: 3011 in 14 of the last 40 probes", THROTTLED),
        ([THROTTLED] * 2 + [SLOW], "unsteady: 3 of the last 40 probes failed, 2 with 3011", THROTTLED),
        ([THROTTLED, SLOW] * 2, "unsteady: 4 of the last 40 probes failed, 2 with 3008", SLOW),
        ([NO_FAILURE] * 3, "unsteady: 3 of the last 40 probes failed", NO_FAILURE),
    ],
)
def test_unsteady_target_has_its_most_frequent_failure(failed, words, most):
    found = assess_steadiness(failed, 40, 2)
    assert (str(found), found.most) == (words, most)


@pytest.mark.parametrize("generation", Generation)
def test_broken_probe_fails_its_first_step_without_a_verdict(generation):
    report = broken_report("sql", generation, started_at=1.0, duration=2.0, exception="KeyError")

    first, *others = report.steps
    assert (report.target, report.started_at, report.duration) == ("sql", 1.0, 2.0)
    assert (first.step, first.outcome, first.reason) == (Step.CHALLENGE, Outcome.FAILED, Reason.INTERNAL)
    assert first.code is not None
    assert first.facts.exception == "KeyError"
    assert {each.outcome for each in others} == {Outcome.SKIPPED}
    assert [each.step for each in report.steps] == list(Step)
    assert report.readiness.ready is None


# The result of an auxiliary probe from its steps: usable, refused or unknown.

WHOLE = tuple(Step)
WITHOUT_WRAP = tuple(step for step in Step if step is not Step.WRAP_KEY)
READING = (Step.CHALLENGE, Step.TOKEN, Step.GET_KEY)


def steps_made(made=WHOLE, **failures):
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
    assert assess_auxiliary(what, steps_made(made)) is True


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
    assert assess_auxiliary(AuxiliaryKind.NEWEST, steps_made(READING), read, at=100.0) is (not fault)
    assert assess_auxiliary(AuxiliaryKind.RETAINED, steps_made(WITHOUT_WRAP), read, at=100.0) is True


@pytest.mark.parametrize("what", [AuxiliaryKind.NEXT, AuxiliaryKind.RETAINED, AuxiliaryKind.RECOVERY])
def test_an_auxiliary_probe_without_unwrap_is_unknown(what):
    assert assess_auxiliary(what, steps_made(READING)) is None


@pytest.mark.parametrize("what", list(AuxiliaryKind))
@pytest.mark.parametrize("reason", sorted(CREDENTIAL_REFUSED))
def test_a_refused_credential_is_a_refusal_for_every_kind(what, reason):
    assert assess_auxiliary(what, steps_made(token=reason)) is False


@pytest.mark.parametrize("what", [AuxiliaryKind.RETAINED, AuxiliaryKind.RECOVERY])
@pytest.mark.parametrize("reason", sorted(KEY_REFUSED | CALLER_REFUSED))
def test_a_refused_key_or_caller_is_a_refusal_of_the_key(what, reason):
    assert assess_auxiliary(what, steps_made(unwrap_key=reason)) is False


@pytest.mark.parametrize("reason", sorted(KEY_REFUSED))
def test_the_key_state_leaves_a_staged_credential_unknown(reason):
    assert assess_auxiliary(AuxiliaryKind.NEXT, steps_made(get_key=reason)) is None
    assert assess_auxiliary(AuxiliaryKind.NEXT, steps_made(unwrap_key=reason)) is None


def test_a_staged_credential_that_only_unwraps_is_refused():
    assert assess_auxiliary(AuxiliaryKind.NEXT, steps_made(wrap_key=Reason.FORBIDDEN_RBAC)) is False


def test_an_expired_key_does_not_refuse_a_staged_credential():
    assert assess_auxiliary(AuxiliaryKind.NEXT, steps_made(wrap_key=Reason.KEY_EXPIRED)) is True


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
    assert assess_auxiliary(what, steps_made(**{step.value: reason})) is None


def test_the_first_failure_skips_wrap_unless_it_decides():
    assert first_failure(AuxiliaryKind.RETAINED, steps_made(wrap_key=Reason.FORBIDDEN)) is None
    assert first_failure(AuxiliaryKind.NEXT, steps_made(wrap_key=Reason.FORBIDDEN)).step is Step.WRAP_KEY
    assert first_failure(AuxiliaryKind.NEWEST, steps_made(get_key=Reason.THROTTLED)).step is Step.GET_KEY


def test_a_report_names_its_failure_and_what_it_is_about():
    failed = tuple(steps_made(READING, token=Reason.SECRET_EXPIRED))
    report = AuxiliaryResult(
        kind=AuxiliaryKind.NEXT, name="staged", vault="v", credential="c", at=0.0, usable=False, steps=failed
    )
    assert report.failure is first_failure(AuxiliaryKind.NEXT, failed)
    assert report.failure.step is Step.TOKEN
    assert report.identity == (AuxiliaryKind.NEXT, "staged", "v")


# A report that is kept holds no secret of this process; everything else of it stays, as the same objects.

SECRET = "Marked0secret8Q9w0123456789"
FACTS = Facts(
    fault=Fault.HTTP_STATUS, service_code="Forbidden", inner_code="ForbiddenByRbac", aadsts=7000215, detail="not allowed"
)
KEY = KeyFacts(
    name="Key0",
    version="0123456789abcdef",
    kid="https://contoso.vault.azure.net/keys/Key0/0123456789abcdef",
    kty="RSA",
    size_bits=2048,
    modulus=b"\xc0" * 256,
    exponent=b"\1\0\1",
    key_ops=("wrapKey", "unwrapKey"),
)
REPORT = ProbeReport(
    target="t",
    started_at=1.0,
    duration=0.1,
    steps=(
        StepResult(step=Step.CHALLENGE, outcome=Outcome.FAILED, facts=FACTS),
        StepResult(step=Step.TOKEN, outcome=Outcome.SKIPPED),
    ),
    readiness=Readiness(ready=None, why="no_probe_yet"),
)


# Texts that no server sends, and the id that its parser has checked already.
OWN_TEXTS = {
    "exception", "raised_at", "endpoint", "client_id", "secret_file", "proxy", "key_state", "request_id", "local_address",
}  # fmt: skip


@pytest.fixture(autouse=True)
def secret():
    remember(SECRET)
    remember("70002150")


@pytest.mark.parametrize(
    ("field", "sent", "kept"),
    [
        ("service_code", SECRET, None),
        ("aadsts", 70002150, None),
        ("service_code", "0a1b2c3d-0000-4000-8000-0123456789ab", None),
        ("inner_code", "203.0.113.7", None),
        ("service_code", "A" * 40, None),
        ("client_address", SECRET, None),
        ("object_id", SECRET, None),
        ("refused_issuer", SECRET, None),
        ("correlation_id", SECRET, None),
        ("detail", f"sent {SECRET} now", f"sent {MARK} now"),
    ],
)
def test_facts_lose_a_secret_alone(field, sent, kept):
    assert redacted_facts(replace(FACTS, **{field: sent})) == replace(FACTS, **{field: kept})


@pytest.mark.parametrize(
    ("field", "sent", "kept"),
    [
        ("version", SECRET, MARK),
        ("kty", SECRET, MARK),
        ("key_ops", ("wrapKey", SECRET), ("wrapKey",)),
        ("modulus", b"\xff" * 50 + SECRET.encode(), b""),
        ("exponent", SECRET.encode(), b""),
    ],
)
def test_key_loses_a_secret_alone(field, sent, kept):
    kid = f"https://contoso.vault.azure.net/keys/Key0/{sent}" if field == "version" else KEY.kid
    clean = redacted_key(replace(KEY, **{field: sent, "kid": kid}))
    assert clean == replace(KEY, **{field: kept, "kid": MARK if field == "version" else KEY.kid})


def test_every_text_of_a_server_in_the_facts_is_redacted():
    texts = {name for name, kind in get_type_hints(Facts).items() if kind in (str, str | None)}
    assert {name for name in texts if getattr(redacted_facts(Facts(**{name: SECRET})), name) == SECRET} == OWN_TEXTS


def test_report_loses_secrets_of_steps_key_and_tenant():
    facts = replace(FACTS, detail=SECRET)
    report = replace(REPORT, tenant=SECRET, key=replace(KEY, kid=SECRET), steps=(replace(REPORT.steps[0], facts=facts),))
    kept = redacted(report)
    assert (kept.tenant, kept.key.kid, kept.steps[0].facts.detail) == (MARK, MARK, MARK)
    assert SECRET not in repr(kept)


def test_report_without_a_secret_stays_as_it_is():
    report = replace(REPORT, tenant="contoso.onmicrosoft.com", key=KEY)
    assert redacted(report) is report
    assert redacted(REPORT) is REPORT
    assert redacted_facts(FACTS) is FACTS
