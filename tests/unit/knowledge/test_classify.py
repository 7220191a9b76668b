"""The classification covers every input, and every row of it has an effect."""

from itertools import product

import pytest

from exporter.core.values import Facts, Fault, Step
from exporter.knowledge.classify import FAULT_RULES, STATUS_RULES, Classification, classify
from exporter.knowledge.reasons import ENTRA_REASONS, VAULT_REASONS, Reason
from tests.unit.knowledge.promised import PROMISED, Promise, aadsts_with

EVERY_STATUS = (None, 0, 100, 204, 302, *range(400, 600), 600, 999)
DISTINCT_STATUSES = (None, 302, 400, 401, 402, 403, 404, 405, 407, 409, 410, 428, 429, 430, 499, 500, 503, 599, 600)
MARKERS = sorted({marker for rule in (*STATUS_RULES, *ENTRA_REASONS, *VAULT_REASONS) for marker in rule.markers})


def facts_with(marker: str | None, *, fault: Fault = Fault.HTTP_STATUS, status: int | None = None) -> Facts:
    """Return facts with exactly this marker, in a spelling that servers use."""
    if marker is None:
        return Facts(fault=fault, status=status)
    if marker.startswith("aadsts"):
        return Facts(fault=fault, status=status, aadsts=aadsts_with(marker))
    if marker.startswith("akv"):
        return Facts(fault=fault, status=status, akv=int(marker.removeprefix("akv")))
    if marker.startswith("key:"):
        return Facts(fault=fault, status=status, key_state=marker.removeprefix("key:"))
    if marker == "body:page":
        return Facts(fault=fault, status=status, has_page=True)
    return Facts(fault=fault, status=status, inner_code=marker.upper())


def every_input(statuses: tuple[int | None, ...] = DISTINCT_STATUSES) -> list[tuple[Step, Facts]]:
    with_status = product(Step, (Fault.HTTP_STATUS, Fault.PROXY_STATUS), statuses, (None, *MARKERS))
    return [
        *((step, Facts(fault=fault)) for step, fault in product(Step, Fault)),
        *((step, facts_with(marker, fault=fault, status=status)) for step, fault, status, marker in with_status),
    ]


def test_every_input_gets_a_code_and_a_reason():
    for step, facts in every_input(EVERY_STATUS):
        classification = classify(step, facts)
        assert isinstance(classification.code, int)
        assert isinstance(classification.reason, Reason)


def test_each_fault_row_is_the_first_match_for_some_step():
    for rule in FAULT_RULES:
        for step in rule.steps or tuple(Step):
            assert classify(step, Facts(fault=rule.fault)) == Classification(rule.code, rule.reason)


def test_each_fault_without_a_status_has_a_row():
    covered = {rule.fault for rule in FAULT_RULES}
    assert set(Fault) - covered == {Fault.NONE, Fault.HTTP_STATUS, Fault.PROXY_STATUS, Fault.INTERNAL}


def test_each_reason_results_from_some_input():
    given = {classify(step, facts).reason for step, facts in every_input()}
    given.add(classify(Step.TOKEN, Facts(fault=Fault.READ_TIMEOUT, cut_by_scrape=True)).reason)
    assert set(Reason) - given == set()


@pytest.mark.parametrize("promise", PROMISED, ids=str)
def test_the_promised_code_and_reason(promise: Promise):
    for step, facts in promise.cases():
        assert classify(step, facts) == Classification(promise.code, promise.reason), (step, facts)


def test_each_reason_has_a_promise():
    promised = {promise.reason for promise in PROMISED}
    assert set(Reason) - promised == {Reason.SCRAPE_TIMEOUT}, "its row in promised.py"  # a step has it in place of its own


def test_each_fault_has_a_promise():
    assert {facts.fault for promise in PROMISED for _, facts in promise.cases()} == set(Fault)


def test_a_scrape_timeout_has_its_reason_and_keeps_the_code():
    facts = Facts(fault=Fault.READ_TIMEOUT, cut_by_scrape=True)
    assert classify(Step.WRAP_KEY, facts) == Classification(3008, Reason.SCRAPE_TIMEOUT)
