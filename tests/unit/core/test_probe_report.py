"""Success and first failure of a report follow from its steps."""

import pytest

from exporter.core.values import Outcome, Readiness, Step
from exporter.knowledge.report import ProbeReport, StepResult


def report(*outcomes):
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
    made = report(*outcomes)
    assert made.success is success
    assert (made.first_failure.step if made.first_failure else None) is first_failure


def test_a_step_is_found_by_its_name():
    made = report(OK, FAILED)
    assert made.step(Step.TOKEN).outcome is FAILED
    assert made.step(Step.UNWRAP_KEY) is None
