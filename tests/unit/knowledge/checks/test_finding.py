"""Findings of checks: what each constructor makes, and the worst of several."""

from exporter.knowledge.checks import blocked, combined, failed, passed, skipped, unknown, warned
from exporter.knowledge.checks_vault import CheckOutcome

PASSED, WARNED, FAILED, SKIPPED, UNKNOWN = passed("p"), warned("w"), failed("f", code=3008), skipped("s"), unknown("u")


def test_worst_finding_gives_outcome_and_code_and_all_give_their_detail():
    found = combined(SKIPPED, PASSED, UNKNOWN, WARNED, FAILED)
    assert (found.outcome, found.code, found.detail) == (CheckOutcome.FAIL, 3008, "f; w; u; p; s")
    assert combined(PASSED, UNKNOWN).outcome is CheckOutcome.UNKNOWN
    assert combined(PASSED, SKIPPED).outcome is CheckOutcome.PASS
    assert combined(WARNED) == WARNED


def test_blocked_check_names_the_one_that_reports_the_cause():
    found = blocked("token")
    assert (found.outcome, found.blocked_by, found.detail) == (CheckOutcome.SKIPPED, "token", "")
