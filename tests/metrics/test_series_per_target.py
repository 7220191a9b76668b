"""How many series one target has, at the very most."""

from __future__ import annotations

from collections import Counter
from datetime import date

from exporter.core.faults import Reason
from exporter.core.model import Step
from exporter.metrics.document import MOST_SERIES, series_of_a_target
from tests.metrics.scenes import (
    CONNECTED,
    START,
    Standing,
    a_key,
    a_recorder,
    a_report,
    a_target,
    certificate,
    failed,
    headers,
    ok,
    scrape,
    series,
)

ENDPOINT = {"endpoint": "e:443", "server_time": START, "certificate": certificate()}


def fullest(**changes):
    """Everything about it is known, and its only failure, at wrap, leaves all five steps made and adds what failures add."""
    target = a_target(backup_on=date(2026, 1, 1), next_credential="sql-prod", labels={"team": "dba"}, **changes)
    recorder = a_recorder(target)
    report = a_report(
        steps=[
            ok(Step.CHALLENGE, vault=headers(), phases=CONNECTED, **ENDPOINT),
            ok(Step.TOKEN, phases=CONNECTED, **ENDPOINT),
            failed(Step.WRAP_KEY, 3011, Reason.THROTTLED, status=429, retry_after_seconds=5.0),
        ],
        ready=True,
        key=a_key(expires=START, not_before=START),
        tenant="11111111-2222-3333-4444-555555555555",
    )
    recorder.record(report, Standing(last_success_at=START, next_probe_at=START))
    return [key for key in series(scrape(recorder)) if ("target", "t") in key]


def test_the_fullest_target_has_at_most_125_series():
    assert len(fullest()) <= MOST_SERIES == 125


def test_each_declared_sql_server_adds_one():
    instances = ({"sql_instance": "SQLPRD01"}, {"sql_instance": "SQLPRD02"})

    assert len(fullest(instances=instances)) == len(fullest()) + 2


def test_the_fullest_target_has_each_family_that_the_documentation_counts_as_often_as_it_says():
    suffixes = ("_bucket", "_count", "_sum")
    counted = Counter(
        next((name.removesuffix(each) for each in suffixes if name.endswith("duration_seconds" + each)), name)
        for name, *_ in fullest(instances=({"sql_instance": "SQLPRD01"},))
    )

    assert counted == {spec.name: count for spec, count in series_of_a_target()}
