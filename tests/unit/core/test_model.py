"""Properties of reports and step results."""

import pytest

from exporter.core.faults import Fault
from exporter.core.model import Facts, Outcome, Phase, ProbeReport, Readiness, Step, StepResult


def report(fault: Fault, *, tainted: bool) -> ProbeReport:
    outcome = Outcome.OK if fault is Fault.NONE else Outcome.FAILED
    step = StepResult(step=Step.GET_KEY, outcome=outcome, facts=Facts(fault=fault))
    readiness = Readiness(ready=None, why="not_tested")
    return ProbeReport(target="a", started_at=0.0, duration=1.0, steps=(step,), readiness=readiness, tainted=tainted)


@pytest.mark.parametrize(
    ("fault", "tainted", "inconclusive"),
    [
        (Fault.READ_TIMEOUT, True, True),
        (Fault.READ_TIMEOUT, False, False),
        (Fault.INTERNAL, True, True),
        (Fault.SECRET_UNREADABLE, True, True),
        (Fault.CONNECTION_CLOSED, True, True),
        (Fault.INTERNAL, False, False),
        (Fault.CHALLENGE_ABSENT, True, False),
        (Fault.HTTP_STATUS, True, False),
        (Fault.NONE, True, False),
    ],
)
def test_a_tainted_failure_without_response_is_inconclusive(fault: Fault, *, tainted: bool, inconclusive: bool):
    assert report(fault, tainted=tainted).inconclusive is inconclusive


@pytest.mark.parametrize(
    ("reached", "sent"), [(None, False), (Phase.DNS, False), (Phase.TLS, False), (Phase.WAIT, True), (Phase.TRANSFER, True)]
)
def test_a_request_is_sent_once_the_wait_phase_is_reached(reached: Phase | None, *, sent: bool):
    assert StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, facts=Facts(phase_reached=reached)).sent is sent
    assert not StepResult(step=Step.GET_KEY, outcome=Outcome.SKIPPED).sent
