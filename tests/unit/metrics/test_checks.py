"""What a scrape shows of the doctor's checks."""

from __future__ import annotations

from collections import Counter

from docs.generators.cardinality import OF_CHECKS
from exporter.core.checks import CheckOutcome, CheckResult
from tests.support.metric_factories import a_recorder, a_report, a_target, names_in, probed, scrape, series

RESULTS = (
    CheckResult(check="dns_vault", outcome=CheckOutcome.PASS),
    CheckResult(check="revocation", outcome=CheckOutcome.FAIL),
    CheckResult(check="clock", outcome=CheckOutcome.WARN),
    CheckResult(check="tenant", outcome=CheckOutcome.SKIPPED),
    CheckResult(check="key_type", outcome=CheckOutcome.FAIL, code=3),
    CheckResult(check="event_log", outcome=CheckOutcome.UNKNOWN),
)


def shown(recorder):
    """By family: the label `check`, or nothing, to the value."""
    found = {name: {} for name in OF_CHECKS}
    for (name, *labels), value in series(scrape(recorder)).items():
        if name in found:
            found[name][dict(labels).get("check")] = value
    return found


def after(*runs):
    recorder = a_recorder(a_target())
    for results in runs:
        recorder.checked("t", results)
    return recorder


def test_before_the_first_run_nothing_is_shown():
    assert OF_CHECKS.keys() & names_in(scrape(after())) == set()


def test_only_what_failed_counts_as_failed():
    assert shown(after(RESULTS)) == {
        "ekm_preflight_failed_checks": {None: 2},
        "ekm_preflight_failed": {"revocation": 1, "key_type": 1},
    }


def test_a_run_without_a_failure_is_0_and_replaces_the_one_before():
    assert shown(after(RESULTS, RESULTS[:1])) == {"ekm_preflight_failed_checks": {None: 0}, "ekm_preflight_failed": {}}


def test_what_is_said_stays_while_probes_go_on():
    recorder = after(RESULTS)
    before = shown(recorder)
    probed(recorder, a_report())

    assert shown(recorder) == before


def test_what_is_of_something_else_now_is_taken_back():
    assert OF_CHECKS.keys() & names_in(scrape(after(RESULTS, None))) == set()


def test_a_target_that_was_forgotten_meanwhile_is_ignored():
    recorder = after()
    recorder.forget("t")
    recorder.checked("t", RESULTS)

    assert OF_CHECKS.keys() & names_in(scrape(recorder)) == set()


def test_a_target_has_one_series_more_and_one_for_each_failed_check():
    before, with_checks = (Counter(name for name, *_ in series(scrape(recorder))) for recorder in (after(), after(RESULTS)))

    assert with_checks - before == Counter({"ekm_preflight_failed_checks": 1, "ekm_preflight_failed": 2})
