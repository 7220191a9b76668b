"""When a failure began: a time that a probe observed, or only the first one that saw it."""

import pytest

from exporter.core.values import Step
from exporter.knowledge.reasons import Reason
from exporter.state.history import History
from exporter.state.record import ENDED_SECONDS, TargetRecord, beginning_of, ended_at
from exporter.state.snapshot import restore, snapshot
from tests.support.metric_factories import START, a_report, a_target, failed

MINUTE = 60.0


def probed(letters, *, record=None, start=START):
    """The record of a target after probes a minute apart: `n` is not ready, `r` is ready."""
    record = record or TargetRecord(a_target(), History(0))
    refused = failed(Step.GET_KEY, 3077, Reason.FORBIDDEN_RBAC)
    for number, letter in enumerate(letters):
        steps = [refused] if letter == "n" else []
        record.add_report(a_report(ready=letter == "r", steps=steps, started_at=start + number * MINUTE))
    return record


def beginning(record, *, unsteady=False):
    at, is_first_seen = beginning_of(record, record.last.started_at, unsteady=unsteady)
    return (at - START) / MINUTE, is_first_seen


@pytest.mark.parametrize(
    ("letters", "began"), [("rrnn", (2.0, False)), ("nn", (0.0, True)), ("nrn", (2.0, False)), ("n", (0.0, True))]
)
def test_a_failure_began_if_a_ready_probe_came_before(letters, began):
    assert beginning(probed(letters)) == began


def test_a_failure_after_a_pause_is_only_first_seen():
    assert beginning(probed("nn", record=probed("rr"), start=START + 60 * MINUTE)) == (60.0, True)
    assert beginning(probed("nn", record=probed("rr"), start=START + 4 * MINUTE)) == (4.0, False)


@pytest.mark.parametrize(("before", "began"), [("rn", (1.0, False)), ("nn", (0.0, True)), ("rr", (3.0, False))])
def test_a_restart_with_state_keeps_when_a_failure_began(before, began):
    restored = TargetRecord(a_target(), History(0))
    restore(restored, snapshot(probed(before)))
    assert beginning(probed("n", record=restored, start=START + 3 * MINUTE)) == began


def test_another_key_version_is_first_seen():
    record = probed("rn")
    record.update_target(a_target(key_version="9" * 32))
    assert beginning(record) == (1.0, True)
    assert beginning(probed("n", record=record, start=START + 3 * MINUTE)) == (3.0, True)


@pytest.mark.parametrize(
    ("letters", "began"),
    [("rrnrnnr", (2.0, False)), ("nrnrnr", (0.0, True)), ("rr" + "n" * 12 + "r", (2.0, False))],
    ids=["known failures", "from the first probe", "more failures than are kept"],
)
def test_an_unsteady_failure_began_with_the_first_recent_one(letters, began):
    assert beginning(probed(letters), unsteady=True) == began


@pytest.mark.parametrize(
    ("letters", "ended"),
    [
        ("rrnnnr", (2.0, 5.0)),
        ("rrnrrr", (2.0, 3.0)),
        ("nnrr", (0.0, 2.0)),
        ("rr" + "n" * 12 + "rr", (2.0, 14.0)),
        ("n" * 12 + "rr", (0.0, 12.0)),
    ],
    ids=["a run", "one failure", "from the first probe", "more failures than are kept", "both"],
)
def test_a_single_run_of_failures_has_ended(letters, ended):
    found = ended_at(probed(letters), START + len(letters) * MINUTE)
    assert tuple((at - START) / MINUTE for at in (found.began, found.at)) == ended
    assert (found.step, found.reason) == (Step.GET_KEY, Reason.FORBIDDEN_RBAC)


@pytest.mark.parametrize("letters", ["rr", "rn", "nrnnr", "rnu"], ids=["ready", "not ready", "unsteady", "unknown"])
def test_a_failure_that_goes_on_or_returns_has_not_ended(letters):
    assert ended_at(probed(letters), START + len(letters) * MINUTE) is None


def test_an_end_is_forgotten_after_an_hour():
    record = probed("rnr" + "r" * 30)
    assert ended_at(record, START + 2 * MINUTE + ENDED_SECONDS) is not None
    assert ended_at(record, START + 2 * MINUTE + ENDED_SECONDS + 1) is None
    assert ended_at(None, START) is None


def test_a_failure_without_a_step_has_no_end():
    record = TargetRecord(a_target(), History(0))
    for number, ready in enumerate((False, True)):
        record.add_report(a_report(ready=ready, started_at=START + number * MINUTE))
    assert ended_at(record, START + 2 * MINUTE) is None
