"""The report of a probe that an internal error ended."""

import pytest

from exporter.core.values import Generation, Outcome, Step
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import broken_report


@pytest.mark.parametrize("generation", Generation)
def test_broken_probe_fails_its_first_step_without_a_verdict(generation):
    report = broken_report("sql", generation, started_at=1.0, duration=2.0, exception="KeyError")

    first, *others = report.steps
    assert (report.target, report.started_at, report.duration) == ("sql", 1.0, 2.0)
    assert (first.step, first.outcome, first.reason) == (Step.CHALLENGE, Outcome.FAILED, Reason.INTERNAL)
    assert first.code is not None
    assert first.facts.exception == "KeyError"
    assert {each.outcome for each in others} == {Outcome.SKIPPED}
    assert report.readiness.ready is None
