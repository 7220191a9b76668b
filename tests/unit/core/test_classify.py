"""The classification is total, has no dead row, and every row of it matters."""

from itertools import product

import pytest

from exporter.core import classify as module
from exporter.core.classify import ENTRA_REASONS, FAULT_RULES, STATUS_RULES, VAULT_REASONS, Classification, classify
from exporter.core.faults import Fault, Reason
from exporter.core.model import Facts, Step
from tests.unit.core.promised import PROMISED, Promise

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
        classification = classify(step, facts)
        assert isinstance(classification.code, int)
        assert isinstance(classification.reason, Reason)


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
            assert classify(step, Facts(fault=rule.fault)) == Classification(rule.code, rule.reason)


def test_each_fault_but_none_and_the_statuses_has_a_row():
    covered = {rule.fault for rule in FAULT_RULES}
    assert set(Fault) - covered == {Fault.NONE, Fault.HTTP_STATUS, Fault.PROXY_STATUS, Fault.INTERNAL}


def test_each_reason_is_given_for_some_input():
    given = {classify(step, facts).reason for step, facts in every_input()}
    given.add(classify(Step.TOKEN, Facts(fault=Fault.READ_TIMEOUT, cut_by_scrape=True)).reason)
    assert set(Reason) - given == set()


@pytest.mark.parametrize("promise", PROMISED, ids=str)
def test_the_promised_code_and_reason(promise: Promise):
    for step, facts in promise.cases():
        assert classify(step, facts) == Classification(promise.code, promise.reason), (step, facts)


def test_each_fault_is_promised_something():
    assert {facts.fault for promise in PROMISED for _, facts in promise.cases()} == set(Fault)


def test_a_probe_cut_by_the_scrape_says_so_and_keeps_the_code():
    facts = Facts(fault=Fault.READ_TIMEOUT, cut_by_scrape=True)
    assert classify(Step.WRAP_KEY, facts) == Classification(3008, Reason.SCRAPE_TIMEOUT)


def test_an_error_body_of_the_vault_does_not_speak_for_a_proxy():
    facts = Facts(fault=Fault.PROXY_STATUS, status=403, inner_code="ForbiddenByFirewall")
    assert classify(Step.GET_KEY, facts) == Classification(3077, Reason.PROXY_STATUS)
