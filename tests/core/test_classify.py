"""The classification is total, has no dead row, and every row of it matters."""

from itertools import product

import pytest

from exporter.core import classify as module
from exporter.core.classify import ENTRA_REASONS, FAULT_RULES, STATUS_RULES, UNKNOWN, VAULT_REASONS, Judgement, classify
from exporter.core.faults import Fault, Reason
from exporter.core.model import Facts, Step

EVERY_STATUS = (None, 0, 100, 204, 302, *range(400, 600), 600, 999)
TELLING_STATUSES = (None, 302, 400, 401, 402, 403, 404, 405, 407, 409, 410, 428, 429, 430, 499, 500, 503, 599, 600)
MARKERS = sorted({marker for rule in (*STATUS_RULES, *ENTRA_REASONS, *VAULT_REASONS) for marker in rule.markers})


def facts_saying(marker: str | None, *, fault: Fault = Fault.HTTP_STATUS, status: int | None = None) -> Facts:
    """Facts whose error body carries exactly this marker, in the spelling a server might use."""
    if marker is None:
        return Facts(fault=fault, status=status)
    if marker.startswith("aadsts"):
        return Facts(fault=fault, status=status, aadsts=int(marker.removeprefix("aadsts")))
    if marker.startswith("akv"):
        return Facts(fault=fault, status=status, akv=int(marker.removeprefix("akv")))
    if marker.startswith("key:"):
        return Facts(fault=fault, status=status, key_state=marker.removeprefix("key:"))
    return Facts(fault=fault, status=status, inner_code=marker.upper())


def every_input(statuses: tuple[int | None, ...] = TELLING_STATUSES) -> list[tuple[Step, Facts]]:
    with_status = product(Step, (Fault.HTTP_STATUS, Fault.PROXY_STATUS), statuses, (None, *MARKERS))
    return [
        *((step, Facts(fault=fault)) for step, fault in product(Step, Fault)),
        *((step, facts_saying(marker, fault=fault, status=status)) for step, fault, status, marker in with_status),
    ]


def test_every_combination_of_step_fault_status_and_marker_gets_a_code_and_a_reason():
    for step, facts in every_input(EVERY_STATUS):
        judgement = classify(step, facts)
        assert isinstance(judgement.code, int)
        assert isinstance(judgement.reason, Reason)


@pytest.mark.parametrize("table", ["STATUS_RULES", "ENTRA_REASONS", "VAULT_REASONS"])
def test_no_row_of_a_status_table_can_be_taken_out_unnoticed(table: str, monkeypatch: pytest.MonkeyPatch):
    inputs = every_input()
    before = [classify(step, facts) for step, facts in inputs]
    rows = getattr(module, table)
    for index, row in enumerate(rows):
        monkeypatch.setattr(module, table, rows[:index] + rows[index + 1 :])
        after = [classify(step, facts) for step, facts in inputs]
        # Codes of one reason differ, or reasons of one code do: either way somebody would be told something else.
        assert before != after, f"{row} is shadowed by the rows before it or repeats those behind it"


def test_each_fault_row_is_the_first_match_for_some_step():
    for rule in FAULT_RULES:
        for step in rule.steps or tuple(Step):
            assert classify(step, Facts(fault=rule.fault)) == Judgement(rule.code, rule.reason)


def test_each_fault_but_none_and_the_statuses_has_a_row():
    covered = {rule.fault for rule in FAULT_RULES}
    assert set(Fault) - covered == {Fault.NONE, Fault.HTTP_STATUS, Fault.PROXY_STATUS, Fault.INTERNAL}


def test_each_reason_is_given_for_some_input_or_belongs_to_a_later_look_up():
    given = {classify(step, facts).reason for step, facts in every_input()}
    given.add(classify(Step.TOKEN, Facts(fault=Fault.READ_TIMEOUT, cut_by_scrape=True)).reason)
    assert set(Reason) - given == {Reason.KEY_SOFT_DELETED}


# The public promise, row by row: (step, what happened, code, reason).
PROMISED = [
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=401), 3303, Reason.CREDENTIALS_REFUSED),
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=401, aadsts=7000222), 3303, Reason.SECRET_EXPIRED),
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=401, aadsts=7000215), 3303, Reason.SECRET_WRONG),
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=401, aadsts=700027), 3303, Reason.CERTIFICATE_UNKNOWN),
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=401, aadsts=700024), 3303, Reason.CLOCK_SKEW),
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=400), 3128, Reason.BAD_REQUEST),
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=400, aadsts=700016), 3128, Reason.APPLICATION_UNKNOWN),
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=400, aadsts=7000112), 3128, Reason.APPLICATION_DISABLED),
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=400, aadsts=90002), 3128, Reason.TENANT_UNKNOWN),
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=400, aadsts=90038), 3128, Reason.WRONG_CLOUD),
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=400, aadsts=500011), 3128, Reason.RESOURCE_PRINCIPAL_MISSING),
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=400, aadsts=53003), 3128, Reason.CONDITIONAL_ACCESS),
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=429, aadsts=90055), 3011, Reason.THROTTLED),
    (
        Step.TOKEN,
        Facts(fault=Fault.HTTP_STATUS, status=429, service_code="temporarily_unavailable"),
        3011,
        Reason.THROTTLED,
    ),
    (
        Step.TOKEN,
        Facts(fault=Fault.HTTP_STATUS, status=400, service_code="temporarily_unavailable"),
        3128,
        Reason.ENTRA_UNAVAILABLE,
    ),
    (Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=503), 3013, Reason.ENTRA_UNAVAILABLE),
    (Step.TOKEN, Facts(fault=Fault.ANSWER_NOT_JSON, status=200), 3307, Reason.ANSWER_NOT_JSON),
    (Step.TOKEN, Facts(fault=Fault.TOKEN_MISSING, status=200), 3306, Reason.ANSWER_INCOMPLETE),
    (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=401), 3010, Reason.TOKEN_REJECTED),
    (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=401, akv=10022), 3305, Reason.TOKEN_WRONG_AUDIENCE),
    (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=401, akv=10032), 3305, Reason.TOKEN_WRONG_ISSUER),
    (Step.CHALLENGE, Facts(fault=Fault.HTTP_STATUS, status=401, akv=10022), 3010, Reason.TOKEN_REJECTED),
    (Step.WRAP_KEY, Facts(fault=Fault.HTTP_STATUS, status=403), 3077, Reason.FORBIDDEN),
    (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=403, inner_code="ForbiddenByPolicy"), 3077, Reason.FORBIDDEN_POLICY),
    (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=403, inner_code="ForbiddenByRbac"), 3077, Reason.FORBIDDEN_RBAC),
    (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=403, inner_code="ForbiddenByFirewall"), 3077, Reason.FORBIDDEN_FIREWALL),
    (
        Step.CHALLENGE,
        Facts(fault=Fault.HTTP_STATUS, status=403, inner_code="ForbiddenByConnection"),
        3077,
        Reason.FORBIDDEN_CONNECTION,
    ),
    (Step.UNWRAP_KEY, Facts(fault=Fault.HTTP_STATUS, status=403, inner_code="KeyDisabled"), 3077, Reason.KEY_DISABLED),
    (
        Step.WRAP_KEY,
        Facts(fault=Fault.HTTP_STATUS, status=403, inner_code="ForbiddenByPolicy", key_state="expired"),
        3077,
        Reason.KEY_EXPIRED,
    ),
    (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=404, service_code="KeyNotFound"), 3076, Reason.KEY_NOT_FOUND),
    (Step.CHALLENGE, Facts(fault=Fault.HTTP_STATUS, status=404), 3076, Reason.NOT_FOUND),
    (Step.UNWRAP_KEY, Facts(fault=Fault.HTTP_STATUS, status=429, service_code="Throttled"), 3011, Reason.THROTTLED),
    (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=400), 3012, Reason.BAD_REQUEST),
    (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=409), 3012, Reason.CONFLICT),
    (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=418), 3012, Reason.CLIENT_ERROR),
    (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=500), 3013, Reason.SERVER_ERROR),
    (Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=600), UNKNOWN, Reason.UNEXPECTED_STATUS),
    (Step.CHALLENGE, Facts(fault=Fault.PROXY_STATUS, status=407), 3012, Reason.PROXY_AUTH),
    (Step.CHALLENGE, Facts(fault=Fault.PROXY_STATUS, status=502), 3013, Reason.PROXY_STATUS),
    (Step.CHALLENGE, Facts(fault=Fault.DNS_NOT_FOUND), 3900, Reason.DNS_NOT_FOUND),
    (Step.TOKEN, Facts(fault=Fault.DNS_TEMPORARY), 3900, Reason.DNS_TEMPORARY),
    (Step.CHALLENGE, Facts(fault=Fault.NETWORK_DOWN), 3005, Reason.NETWORK_DOWN),
    (Step.CHALLENGE, Facts(fault=Fault.CONNECT_REFUSED), 3008, Reason.CONNECT_REFUSED),
    (Step.WRAP_KEY, Facts(fault=Fault.BODY_TRUNCATED), 3019, Reason.BODY_TRUNCATED),
    (Step.GET_KEY, Facts(fault=Fault.REDIRECT, status=302), UNKNOWN, Reason.REDIRECT),
    (Step.CHALLENGE, Facts(fault=Fault.CHALLENGE_ABSENT, status=401), 3017, Reason.CHALLENGE_ABSENT),
    (Step.GET_KEY, Facts(fault=Fault.INTERNAL), UNKNOWN, Reason.INTERNAL),
]


@pytest.mark.parametrize(("step", "facts", "code", "reason"), PROMISED)
def test_the_promised_code_and_reason(step: Step, facts: Facts, code: int, reason: Reason):
    assert classify(step, facts) == Judgement(code, reason)


def test_a_probe_cut_by_the_scrape_says_so_and_keeps_the_code():
    facts = Facts(fault=Fault.READ_TIMEOUT, cut_by_scrape=True)
    assert classify(Step.WRAP_KEY, facts) == Judgement(3008, Reason.SCRAPE_TIMEOUT)


def test_an_error_body_of_the_vault_does_not_speak_for_a_proxy():
    facts = Facts(fault=Fault.PROXY_STATUS, status=403, inner_code="ForbiddenByFirewall")
    assert classify(Step.GET_KEY, facts) == Judgement(3077, Reason.PROXY_STATUS)
