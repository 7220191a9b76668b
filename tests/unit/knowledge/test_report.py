"""Success, first failure and the other properties of a report follow from its steps."""

import pytest

from exporter.core.values import Facts, Fault, Outcome, Phase, Readiness, Step
from exporter.knowledge.report import ProbeReport, StepResult
from tests.support.values import replace


def report_of(*outcomes):
    steps = tuple(StepResult(step=step, outcome=outcome) for step, outcome in zip(Step, outcomes, strict=False))
    return ProbeReport(target="t", started_at=0.0, duration=0.0, steps=steps, readiness=Readiness(ready=None, why="unpinned"))


OK, FAILED, SKIPPED = Outcome.OK, Outcome.FAILED, Outcome.SKIPPED


@pytest.mark.parametrize(
    ("outcomes", "success", "first_failure"),
    [
        ((OK, OK, OK, OK, OK), True, None),
        ((OK, OK, OK, SKIPPED, SKIPPED), True, None),
        ((OK, OK, OK, FAILED, OK), False, Step.WRAP_KEY),
        ((OK, FAILED, SKIPPED, SKIPPED, FAILED), False, Step.TOKEN),
        ((SKIPPED,) * 5, False, None),
        ((), False, None),
    ],
)
def test_a_probe_succeeds_if_a_step_ran_and_none_failed(outcomes, success, first_failure):
    made = report_of(*outcomes)
    assert made.success is success
    assert (made.first_failure.step if made.first_failure else None) is first_failure


def test_a_step_is_found_by_its_name():
    made = report_of(OK, FAILED)
    assert made.step(Step.TOKEN).outcome is FAILED
    assert made.step(Step.UNWRAP_KEY) is None


def report_with(fault: Fault, *, stolen: float | None = None) -> ProbeReport:
    outcome = Outcome.OK if fault is Fault.NONE else Outcome.FAILED
    step = StepResult(step=Step.GET_KEY, outcome=outcome, facts=Facts(fault=fault))
    readiness = Readiness(ready=None, why="not_tested", stolen=stolen)
    return ProbeReport(target="a", started_at=0.0, duration=1.0, steps=(step,), readiness=readiness)


def test_a_result_is_discarded_if_the_host_lost_the_time():
    assert not report_with(Fault.READ_TIMEOUT).discarded
    assert report_with(Fault.READ_TIMEOUT, stolen=0.6).discarded


@pytest.mark.parametrize(
    ("reached", "sent"), [(None, False), (Phase.DNS, False), (Phase.TLS, False), (Phase.WAIT, True), (Phase.TRANSFER, True)]
)
def test_a_request_is_sent_once_the_wait_phase_is_reached(reached: Phase | None, *, sent: bool):
    assert StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, facts=Facts(phase_reached=reached)).sent is sent
    assert not StepResult(step=Step.GET_KEY, outcome=Outcome.SKIPPED).sent


def test_a_probe_is_cut_if_the_scrape_cut_one_of_its_steps():
    whole = report_with(Fault.READ_TIMEOUT)
    cut = StepResult(step=Step.WRAP_KEY, outcome=Outcome.FAILED, facts=Facts(fault=Fault.READ_TIMEOUT, cut_by_scrape=True))
    assert not whole.cut_by_scrape
    assert replace(whole, steps=(*whole.steps, cut)).cut_by_scrape


def test_throttled_facts_are_those_of_failed_steps_with_429():
    throttled, refused = (Facts(fault=Fault.HTTP_STATUS, status=status) for status in (429, 403))
    steps = tuple(
        StepResult(step=step, outcome=outcome, facts=facts)
        for step, outcome, facts in (
            (Step.TOKEN, Outcome.OK, throttled),
            (Step.GET_KEY, Outcome.FAILED, throttled),
            (Step.WRAP_KEY, Outcome.FAILED, refused),
            (Step.UNWRAP_KEY, Outcome.FAILED, None),
        )
    )
    assert replace(report_with(Fault.NONE), steps=steps).throttled_facts == [throttled]


def test_the_time_of_a_purge_is_known_until_the_key_is_back_or_purged():
    gone = report_with(Fault.HTTP_STATUS)
    assert gone.purge_after(None) is None
    assert gone.purge_after(2.0) == 2.0
    assert replace(gone, purge_at=3.0).purge_after(2.0) == 3.0
    assert replace(gone, purged=True).purge_after(2.0) is None
