"""Whose word counts if Entra ID and a date contradict each other."""

import pytest

from exporter.core.values import Outcome, Step
from exporter.knowledge.expiry import (
    ACCEPTED,
    REFUSED,
    CredentialExpiry,
    EntraAnswer,
    Source,
    entra_answer,
    mark_wrong_dates,
    wrong_dates,
)
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult

DAY, NOW = 86400.0, 1767323045.0


def token(outcome=Outcome.OK, reason=None):
    return [StepResult(step=Step.CHALLENGE, outcome=Outcome.OK), StepResult(step=Step.TOKEN, outcome=outcome, reason=reason)]


def date(days, source=Source.DECLARED, **more):
    return CredentialExpiry(credential="sql", source=source, expires_at=None if days is None else NOW + days * DAY, **more)


@pytest.mark.parametrize("reason", [Reason.SECRET_EXPIRED, Reason.CERTIFICATE_EXPIRED])
def test_a_credential_is_expired_since_the_first_refusal(reason):
    first = entra_answer(token(Outcome.FAILED, reason), 5.0, EntraAnswer(at=4.0))
    assert first == EntraAnswer(at=5.0, expired_since=5.0)
    assert entra_answer(token(Outcome.FAILED, reason), 6.0, first) == EntraAnswer(at=6.0, expired_since=5.0)
    assert entra_answer(token(), 7.0, first) == EntraAnswer(at=7.0)


@pytest.mark.parametrize("steps", [[], token(Outcome.SKIPPED), token(Outcome.FAILED, Reason.SECRET_WRONG)])
def test_another_failure_changes_no_answer(steps):
    before = EntraAnswer(at=1.0, expired_since=1.0)
    assert entra_answer(steps, 2.0, before) is before


@pytest.mark.parametrize("source", [Source.DECLARED, Source.GRAPH, Source.KEY_VAULT, Source.CERTIFICATE])
def test_a_later_date_of_a_refused_credential_is_wrong(source):
    found = mark_wrong_dates("sql", [date(80, source)], EntraAnswer(at=NOW, expired_since=NOW - 9))
    assert [(end.source, end.wrong) for end in found] == [(source, REFUSED), (Source.ENTRA, "")]
    assert (found[1].expires_at, found[1].looked_up_at) == (NOW - 9, NOW)


def test_a_passed_date_of_a_refused_credential_is_right():
    known = [date(-3), date(None, Source.GRAPH, failure="HTTP 403"), date(None, Source.KEY_VAULT)]
    assert wrong_dates(mark_wrong_dates("sql", known, EntraAnswer(at=NOW, expired_since=NOW))) == ""


def test_no_expiry_at_all_is_wrong_for_a_refused_credential():
    found = mark_wrong_dates("sql", [date(None, Source.GRAPH, looked_up_at=NOW)], EntraAnswer(at=NOW, expired_since=NOW))
    assert wrong_dates(found) == "the Graph date (none) is wrong"


def test_a_refused_credential_without_a_source_has_expired():
    (own,) = mark_wrong_dates("sql", [], EntraAnswer(at=NOW, expired_since=NOW))
    assert (own.credential, own.source) == ("sql", Source.ENTRA)


@pytest.mark.parametrize(("days", "wrong"), [(-1.5, ACCEPTED), (-0.5, ""), (80, "")])
def test_a_passed_date_of_an_accepted_credential_is_wrong(days, wrong):
    (found,) = mark_wrong_dates("sql", [date(days, Source.CERTIFICATE)], EntraAnswer(at=NOW))
    assert found.wrong == wrong


def test_without_an_answer_no_date_is_wrong():
    assert mark_wrong_dates("sql", [date(-9)], None) == (date(-9),)


def test_wrong_dates_are_named_by_their_source():
    found = mark_wrong_dates("sql", [date(80), date(90, Source.CERTIFICATE)], EntraAnswer(at=NOW, expired_since=NOW))
    assert wrong_dates(found) == "the declared date 2026-03-23 is wrong, the certificate's date 2026-04-02 is wrong"
