"""Every reason has its own text."""

from dataclasses import replace

import pytest

from exporter.core.values import Facts, Outcome, Step
from exporter.knowledge.advice import cause, meaning, observed_cause, open_detail, owner_of_failure
from exporter.knowledge.code_row import Owner
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult


def test_every_reason_has_its_own_text():
    assert len({reason.row.text for reason in Reason}) == len(Reason)


def test_reason_text_continues_a_sentence():
    assert [reason for reason in Reason if reason.row.text.endswith(".") or len(reason.row.text) > 90] == []
    assert cause(Reason.SECRET_EXPIRED, Step.TOKEN) == "the client secret has expired"
    assert cause(None, Step.TOKEN) == "the reason is not known"
    assert "vault" in cause(Reason.FORBIDDEN, Step.GET_KEY)
    assert "Entra ID does not send" in cause(Reason.FORBIDDEN, Step.TOKEN)


def test_the_detail_is_open_only_without_a_specific_reason():
    facts = Facts(detail="Client address is not authorized")
    failed = StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, reason=Reason.FORBIDDEN, facts=facts)
    assert open_detail(failed) == "Client address is not authorized"
    assert open_detail(replace(failed, reason=Reason.SECRET_EXPIRED)) == ""
    assert open_detail(replace(failed, facts=None)) == ""


def test_cause_is_observed_only_with_a_specific_reason():
    failed = StepResult(step=Step.TOKEN, outcome=Outcome.FAILED, reason=Reason.SECRET_EXPIRED)
    assert observed_cause(failed) == "The client secret has expired."
    assert observed_cause(replace(failed, reason=Reason.CREDENTIALS_REFUSED)) == ""
    assert observed_cause(replace(failed, reason=None)) == ""


@pytest.mark.parametrize(
    ("reason", "step", "facts", "text"),
    [
        (
            Reason.PROXY_AUTH,
            Step.CHALLENGE,
            Facts(status=407),
            "The proxy requires a login (407); no request reached the vault.",
        ),
        (Reason.PROXY_STATUS, Step.TOKEN, Facts(), "The proxy refused the connection; no request reached Entra ID."),
        (Reason.PROXY_STATUS, Step.GET_KEY, None, "The proxy refused the connection; no request reached the vault."),
        (Reason.BAD_REQUEST, Step.GET_KEY, Facts(status=400), "of the code"),
        (None, Step.GET_KEY, None, "of the code"),
    ],
)
def test_meaning_is_of_the_proxy_if_it_responded(reason, step, facts, text):
    failed = StepResult(step=step, outcome=Outcome.FAILED, code=3012, reason=reason, facts=facts)
    assert meaning(failed, "of the code") == text


def test_page_of_a_proxy_is_repaired_by_the_network_team():
    failed = StepResult(step=Step.TOKEN, outcome=Outcome.FAILED, reason=Reason.ANSWER_NOT_JSON, facts=Facts(has_page=True))
    assert owner_of_failure(failed, Owner.IDENTITY) is Owner.NETWORK
    assert owner_of_failure(replace(failed, facts=Facts()), Owner.IDENTITY) is Owner.IDENTITY
    assert owner_of_failure(replace(failed, facts=None), Owner.IDENTITY) is Owner.IDENTITY
    assert owner_of_failure(replace(failed, reason=Reason.FORBIDDEN, step=Step.GET_KEY), Owner.VAULT) is Owner.VAULT


@pytest.mark.parametrize(
    ("reason", "step", "status", "of_code", "owner"),
    [
        (None, Step.GET_KEY, 403, Owner.VAULT, Owner.VAULT),
        (Reason.SCRAPE_TIMEOUT, Step.GET_KEY, None, Owner.NETWORK, Owner.EXPORTER),
        (Reason.CLOCK_SKEW, Step.TOKEN, 401, Owner.IDENTITY, Owner.EXPORTER),
        (Reason.PROXY_AUTH, Step.TOKEN, 407, Owner.IDENTITY, Owner.NETWORK),
        (Reason.OUTDATED_TLS, Step.TOKEN, 400, Owner.IDENTITY, Owner.NETWORK),
        (Reason.FORBIDDEN, Step.TOKEN, 403, Owner.VAULT, Owner.NETWORK),  # Entra ID does not send a 403
        (Reason.SECRET_EXPIRED, Step.TOKEN, 403, Owner.VAULT, Owner.IDENTITY),
        (Reason.BAD_REQUEST, Step.WRAP_KEY, 400, Owner.DBA, Owner.VAULT),
        (Reason.FORBIDDEN_RBAC, Step.GET_KEY, 403, Owner.VAULT, Owner.VAULT),
        (Reason.KEY_UNSUPPORTED, Step.GET_KEY, 200, Owner.DBA, Owner.DBA),
        (Reason.SECRET_TOO_SHORT, Step.TOKEN, None, Owner.DBA, Owner.DBA),
    ],
)
def test_reason_decides_which_team_repairs_a_failure(reason, step, status, of_code, owner):
    failed = StepResult(step=step, outcome=Outcome.FAILED, reason=reason, facts=Facts(status=status))
    assert owner_of_failure(failed, of_code) is owner
