"""Metrics of the preflight checks."""

from __future__ import annotations

from collections import Counter

from docs.generators.cardinality import OF_CHECKS
from exporter.knowledge.checks_vault import CheckOutcome, CheckResult
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
    """Return the values by family and label `check`; the key is None without the label."""
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


def test_before_the_first_run_there_is_no_series():
    assert OF_CHECKS.keys() & names_in(scrape(after())) == set()


def test_only_failed_checks_count_as_failed():
    assert shown(after(RESULTS)) == {
        "ekm_preflight_failed_checks": {None: 2},
        "ekm_preflight_failed": {"revocation": 1, "key_type": 1},
    }


def test_a_successful_run_replaces_a_failed_one():
    assert shown(after(RESULTS, RESULTS[:1])) == {"ekm_preflight_failed_checks": {None: 0}, "ekm_preflight_failed": {}}


def test_check_series_outlive_probes():
    recorder = after(RESULTS)
    before = shown(recorder)
    probed(recorder, a_report())

    assert shown(recorder) == before


def test_results_of_a_changed_target_are_dropped():
    assert OF_CHECKS.keys() & names_in(scrape(after(RESULTS, None))) == set()


def test_checks_add_one_series_and_one_for_each_failure():
    before, with_checks = (Counter(name for name, *_ in series(scrape(recorder))) for recorder in (after(), after(RESULTS)))

    assert with_checks - before == Counter({"ekm_preflight_failed_checks": 1, "ekm_preflight_failed": 2})
