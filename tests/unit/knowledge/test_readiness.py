"""The verdict depends on steps, mode, pin, credential and vantage."""

from dataclasses import replace

import pytest

from exporter.core.values import Mode, Outcome, Readiness, Step, Vantage
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.verdict import WHY, State, assess, deciding_failure, readiness_text, state_of


def steps(**outcomes: Outcome) -> list[StepResult]:
    return [StepResult(step=step, outcome=outcomes.get(step, Outcome.OK)) for step in Step]


def verdict(results: list[StepResult], **changes: object) -> Readiness:
    situation: dict[str, object] = {
        "pinned": True,
        "mode": Mode.FULL,
        "managed_identity": False,
        "vantage": Vantage.CENTRAL,
        "unwrapped": True,
    }
    return assess(results, **(situation | changes))  # type: ignore[arg-type]


READY, NOT_READY = Readiness(ready=True, why="ready"), Readiness(ready=False, why="not_ready")
CUT = StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, reason=Reason.SCRAPE_TIMEOUT)
REFUSED = StepResult(step=Step.TOKEN, outcome=Outcome.FAILED, reason=Reason.SECRET_EXPIRED)


@pytest.mark.parametrize(
    ("results", "changes", "expected"),
    [
        (steps(), {}, READY),
        (steps(wrap_key=Outcome.FAILED), {}, READY),
        (steps(), {"managed_identity": True, "vantage": Vantage.SQL_HOST}, READY),
        *(
            (steps(**{step: Outcome.FAILED}), {"unwrapped": None}, NOT_READY)
            for step in ("challenge", "token", "get_key", "unwrap_key")
        ),
        (steps(get_key=Outcome.FAILED), {"mode": Mode.READ_ONLY, "unwrapped": None}, NOT_READY),
        (steps(unwrap_key=Outcome.SKIPPED), {"unwrapped": False}, NOT_READY),  # between round trips the last unwrap counts
        ([REFUSED, CUT], {"unwrapped": None}, NOT_READY),
        ([CUT], {"unwrapped": None}, Readiness(ready=None, why="scrape_timeout")),
        (steps(), {"pinned": False}, Readiness(ready=None, why="version_not_pinned")),
        (steps(), {"mode": Mode.CANARY}, Readiness(ready=None, why="canary")),
        (steps(), {"mode": Mode.READ_ONLY, "unwrapped": None}, Readiness(ready=None, why="read_only")),
        (steps(), {"managed_identity": True}, Readiness(ready=None, why="identity_of_another_host")),
        (steps(), {"unwrapped": None}, Readiness(ready=None, why="not_tested")),
        (steps(), {"own_module": False}, Readiness(ready=None, why="other_module")),
        (steps(token=Outcome.FAILED), {"own_module": False}, Readiness(ready=None, why="other_module")),
    ],
)
def test_verdict_follows_steps_and_situation(results: list[StepResult], changes: dict[str, object], expected: Readiness):
    assert verdict(results, **changes) == expected


def test_the_text_names_the_vantage_and_the_cause():
    assert readiness_text(Readiness(ready=True, why="ready"), Vantage.SQL_HOST) == "vault side ready, seen from the SQL host"
    assert (
        readiness_text(Readiness(ready=False, why="not_ready"), Vantage.CENTRAL)
        == "vault side not ready, seen from a central host"
    )
    assert WHY["canary"] in readiness_text(Readiness(ready=None, why="canary"), Vantage.CENTRAL)


@pytest.mark.parametrize("unwrapped", [False, None])
@pytest.mark.parametrize("reason", [Reason.INTERNAL, Reason.SECRET_UNREADABLE, Reason.SECRET_TIMEOUT])
def test_an_exporter_side_reason_gives_no_verdict(*, reason: Reason, unwrapped: bool | None):
    results = [StepResult(step=Step.UNWRAP_KEY, outcome=Outcome.FAILED, reason=reason)]
    assert verdict(results, unwrapped=unwrapped) == Readiness(ready=None, why="exporter_fault")


@pytest.mark.parametrize(
    ("ready", "success", "state"),
    [
        (False, False, State.NOT_READY),
        (True, False, State.FAILING),
        (None, False, State.FAILING),
        (True, True, State.READY),
        (None, True, State.UNKNOWN),
        (None, None, State.UNKNOWN),
    ],
)
def test_state_follows_verdict_and_success(*, ready: bool | None, success: bool | None, state: State):
    assert state_of(Readiness(ready=ready, why="ready"), success=success) is state


@pytest.mark.parametrize(("ready", "step"), [(False, Step.UNWRAP_KEY), (True, Step.WRAP_KEY)])
def test_the_deciding_failure_is_a_needed_step_if_the_vault_side_is_not_ready(*, ready: bool, step: Step):
    failed = tuple(steps(wrap_key=Outcome.FAILED, unwrap_key=Outcome.FAILED))
    readiness = Readiness(ready=ready, why="ready")
    report = ProbeReport(target="a", started_at=0.0, duration=1.0, steps=failed, readiness=readiness)
    deciding = deciding_failure(report)
    assert deciding.step is step
    assert deciding_failure(replace(report, steps=tuple(steps()))) is None


def test_a_discarded_result_has_no_deciding_failure():
    readiness = Readiness(ready=None, why="discarded", stolen=0.9)
    report = ProbeReport(
        target="a", started_at=0.0, duration=1.0, steps=tuple(steps(unwrap_key=Outcome.FAILED)), readiness=readiness
    )
    assert deciding_failure(report) is None
