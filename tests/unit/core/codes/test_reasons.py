"""Every reason has its own text."""

from dataclasses import replace

from exporter.core.codes.model import Owner
from exporter.core.codes.reasons import OPEN_REASONS, REASON_TEXTS, cause, observed_cause, open_detail, owner_of_failure
from exporter.core.faults import Reason
from exporter.core.model import Facts, Outcome, Step, StepResult


def test_every_reason_has_its_own_text():
    assert set(REASON_TEXTS) == set(Reason)
    assert len(set(REASON_TEXTS.values())) == len(Reason)


def test_reason_text_continues_a_sentence():
    assert [words for words in REASON_TEXTS.values() if words.endswith(".") or len(words) > 90] == []
    assert cause(Reason.SECRET_EXPIRED, Step.TOKEN) == "the client secret has expired"
    assert cause(None, Step.TOKEN) == "the reason is not known"
    assert "vault" in cause(Reason.FORBIDDEN, Step.GET_KEY)
    assert "Entra ID does not send" in cause(Reason.FORBIDDEN, Step.TOKEN)


def test_the_detail_is_open_only_without_a_specific_reason():
    open_reason = next(iter(OPEN_REASONS))
    facts = Facts(detail="Client address is not authorized")
    failed = StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, reason=open_reason, facts=facts)
    assert open_detail(failed) == "Client address is not authorized"
    assert open_detail(replace(failed, reason=Reason.SECRET_EXPIRED)) == ""
    assert open_detail(replace(failed, facts=None)) == ""


def test_cause_is_observed_only_with_a_specific_reason():
    failed = StepResult(step=Step.TOKEN, outcome=Outcome.FAILED, reason=Reason.SECRET_EXPIRED)
    assert observed_cause(failed) == "The client secret has expired."
    assert observed_cause(replace(failed, reason=Reason.CREDENTIALS_REFUSED)) == ""
    assert observed_cause(replace(failed, reason=None)) == ""


def test_page_of_a_proxy_is_repaired_by_the_network_team():
    failed = StepResult(step=Step.TOKEN, outcome=Outcome.FAILED, reason=Reason.ANSWER_NOT_JSON, facts=Facts(has_page=True))
    assert owner_of_failure(failed, Owner.IDENTITY) is Owner.NETWORK
    assert owner_of_failure(replace(failed, facts=Facts()), Owner.IDENTITY) is Owner.IDENTITY
    assert owner_of_failure(replace(failed, facts=None), Owner.IDENTITY) is Owner.IDENTITY
    assert owner_of_failure(replace(failed, reason=Reason.FORBIDDEN), Owner.VAULT) is Owner.VAULT
