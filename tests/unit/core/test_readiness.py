"""The verdict depends on steps, mode, pin, credential and vantage."""

from dataclasses import replace

import pytest

from exporter.core.faults import Reason
from exporter.core.model import Mode, Outcome, ProbeReport, Readiness, Step, StepResult, Vantage
from exporter.core.readiness import WHY, State, assess, deciding_failure, in_words, state_of


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


def test_a_good_round_trip_is_ready():
    assert verdict(steps()) == Readiness(ready=True, why="ready")


def test_a_failed_wrap_alone_keeps_the_verdict():
    assert verdict(steps(wrap_key=Outcome.FAILED)).ready is True


@pytest.mark.parametrize("step", ["challenge", "token", "get_key", "unwrap_key"])
def test_a_failed_step_other_than_wrap_is_not_ready(step: str):
    assert verdict(steps(**{step: Outcome.FAILED}), unwrapped=None) == Readiness(ready=False, why="not_ready")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"pinned": False}, "version_not_pinned"),
        ({"mode": Mode.CANARY}, "canary"),
        ({"mode": Mode.READ_ONLY, "unwrapped": None}, "read_only"),
        ({"managed_identity": True}, "identity_of_another_host"),
        ({"unwrapped": None}, "not_tested"),
    ],
)
def test_probes_that_prove_too_little_have_no_verdict(changes: dict[str, object], why: str):
    assert verdict(steps(), **changes) == Readiness(ready=None, why=why)


def test_a_managed_identity_on_its_own_host_has_a_verdict():
    assert verdict(steps(), managed_identity=True, vantage=Vantage.SQL_HOST).ready is True


def test_mode_read_only_can_be_not_ready():
    assert verdict(steps(get_key=Outcome.FAILED), mode=Mode.READ_ONLY, unwrapped=None).ready is False


def test_between_round_trips_the_last_unwrap_counts():
    assert verdict(steps(unwrap_key=Outcome.SKIPPED), unwrapped=False).ready is False


def test_the_text_names_the_vantage_and_the_cause():
    assert in_words(Readiness(ready=True, why="ready"), Vantage.SQL_HOST) == "vault side ready, seen from the SQL host"
    assert in_words(Readiness(ready=False, why="not_ready"), Vantage.CENTRAL) == "vault side not ready, seen from a central host"
    assert WHY["canary"] in in_words(Readiness(ready=None, why="canary"), Vantage.CENTRAL)


def test_another_module_gives_no_verdict():
    assert verdict(steps(), own_module=False) == Readiness(ready=None, why="other_module")
    assert verdict(steps(token=Outcome.FAILED), own_module=False).ready is None


def test_a_scrape_timeout_gives_no_verdict():
    cut = StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, reason=Reason.SCRAPE_TIMEOUT)
    refused = StepResult(step=Step.TOKEN, outcome=Outcome.FAILED, reason=Reason.SECRET_EXPIRED)
    assert verdict([cut], unwrapped=None) == Readiness(ready=None, why="scrape_timeout")
    assert verdict([refused, cut], unwrapped=None) == Readiness(ready=False, why="not_ready")


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
    report = ProbeReport(target="a", started_at=0.0, duration=1.0, steps=failed, readiness=readiness, tainted=False)
    deciding = deciding_failure(report)
    assert deciding is not None
    assert deciding.step is step
    assert deciding_failure(replace(report, steps=tuple(steps()))) is None
