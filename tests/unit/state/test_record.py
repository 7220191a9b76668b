"""The record of a target: counters, last known facts, verdict, changes, and when a failure began."""

import pickle
import sys

import pytest

from exporter.core.values import Facts, Outcome, PeerCertificate, Phase, Readiness, Step, VaultHeaders
from exporter.knowledge.expiry import EntraAnswer
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import FAILURES_OF_UNSTEADY, AuxiliaryKind, AuxiliaryResult, State
from exporter.state.history import History
from exporter.state.record import (
    ENDED_SECONDS,
    MAX_CHANGES,
    RECENT,
    TargetRecord,
    beginning_of,
    ended_at,
    readiness_at,
    restore,
    snapshot,
    unsteady_at,
)
from exporter.state.store import StateStore
from tests.support import metric_factories
from tests.support.factories import DISCARDED, a_failure, a_fleet, a_key, a_report, a_target
from tests.support.metric_factories import START, failed
from tests.support.values import replace
from tests.support.web_factories import auxiliary_result, key

# The record of a target: counters, last known facts, verdict and history.

KEY = a_key(modulus=b"\1" * 256, exponent=b"\1\0\1")


@pytest.fixture
def state():
    return StateStore(history_limit=5)


def recorded(state, *reports):
    """The record of the target after these reports."""
    return [state.record(a_target(), report) for report in reports][-1]


def reports_of(record):
    return [entry.report for entry in record.history]


def test_a_good_probe_ends_the_counted_run_of_failures(state):
    record = recorded(state, a_report(at=1.0), a_failure(at=2.0), a_failure(at=3.0))
    assert (record.probes, record.failures, record.consecutive_failures, record.consecutive_unready) == (3, 2, 2, 2)
    assert (record.last_success_at, record.last_probe_at) == (1.0, 3.0)
    recorded(state, a_report(at=4.0))
    assert (record.consecutive_failures, record.consecutive_unready, record.last_success_at) == (0, 0, 4.0)


def test_a_failure_with_verdict_ready_is_no_unready_probe(state):
    record = state.record(a_target(), a_failure(step=Step.WRAP_KEY, ready=True))
    assert (record.consecutive_failures, record.consecutive_unready) == (1, 0)


def test_a_failed_wrap_alone_ends_a_run_of_blocking_failures(state):
    record = recorded(state, a_failure(step=Step.GET_KEY), a_failure(step=Step.UNWRAP_KEY))
    assert record.consecutive_blocking == 2
    recorded(state, a_failure(step=Step.WRAP_KEY, ready=True))
    assert (record.consecutive_failures, record.consecutive_blocking) == (3, 0)
    recorded(state, a_failure(step=Step.CHALLENGE))
    assert record.consecutive_blocking == 1
    recorded(state, a_report())
    assert record.consecutive_blocking == 0


def test_a_failure_without_verdict_keeps_the_unready_run(state):
    assert recorded(state, a_failure(), a_failure(), a_failure(ready=None)).consecutive_unready == 2
    assert recorded(state, a_report(ready=None)).consecutive_unready == 0


def test_ready_since_is_the_first_of_a_run_of_ready_probes(state):
    record = recorded(state, *(a_report(at=at) for at in (100.0, 160.0, 220.0)))
    assert (record.ready_since, record.not_ready_at) == (100.0, None)
    recorded(state, a_failure(at=280.0))
    assert (record.ready_since, record.not_ready_at) == (None, 280.0)
    recorded(state, a_report(at=340.0))
    assert (record.ready_since, record.not_ready_at) == (340.0, 280.0)


def test_probe_without_a_verdict_ends_the_ready_run(state):
    record = recorded(state, a_report(at=100.0), a_report(at=160.0, ready=None))
    assert (record.ready_since, record.not_ready_at) == (None, None)


def test_pause_of_more_than_three_intervals_ends_the_ready_run(state):
    assert recorded(state, a_report(at=100.0), a_report(at=280.0)).ready_since == 100.0  # the interval is 60 s
    assert recorded(state, a_report(at=460.1)).ready_since == 460.1


def test_changed_key_or_configuration_ends_the_ready_run(state):
    target = a_target()
    record = recorded(state, a_failure(at=40.0), a_report(at=100.0))
    state.invalidate_verdict(target.name)
    assert (record.ready_since, record.not_ready_at) == (None, 40.0)
    state.record(target, a_report(at=160.0))
    state.expect(replace(target, key_version="1" * 32))
    assert (record.ready_since, record.not_ready_at) == (None, None)


def test_last_unwrap_is_that_of_the_last_round_trip(state):
    target = a_target()
    assert state.record(target, a_report(at=100.0)).unwrapped_at == 100.0
    without = [StepResult(step=step, outcome=Outcome.OK, duration=0.02) for step in (Step.CHALLENGE, Step.TOKEN, Step.GET_KEY)]
    skipped = [StepResult(step=step, outcome=Outcome.SKIPPED) for step in (Step.WRAP_KEY, Step.UNWRAP_KEY)]
    assert state.record(target, a_report("payroll", *without, *skipped, at=160.0)).unwrapped_at == 100.0
    assert state.record(target, a_failure(step=Step.UNWRAP_KEY, at=220.0)).unwrapped_at == 100.0
    record = state.record(target, a_failure(step=Step.WRAP_KEY, at=280.0, ready=True))
    assert record.unwrapped_at == 100.0
    state.invalidate_verdict(target.name)
    assert (record.unwrapped_at, record.key_unwrapped_at) == (None, 100.0)  # the key was unwrapped, with whatever credential
    state.record(target, a_report(at=340.0))
    state.expect(replace(target, key_version="1" * 32))
    assert (record.unwrapped_at, record.key_unwrapped_at) == (None, None)


def test_last_known_facts_outlive_failures(state):
    target = a_target()
    headers = VaultHeaders(region="westeurope", service_version="1.9", connection="private")
    step = StepResult(step=Step.GET_KEY, outcome=Outcome.OK, facts=Facts(vault=headers))
    state.record(target, a_report("payroll", step, key=KEY, tenant="t1"))
    record = state.record(target, a_failure())
    assert (record.key, record.vault, record.tenant) == (KEY, headers, "t1")


def test_a_purge_date_is_known_until_recovery_or_purge(state):
    target, deleted = a_target(), replace(a_failure(step=Step.GET_KEY), purge_at=9.0)
    assert state.record(target, deleted).purge_at == 9.0
    assert state.record(target, a_failure(step=Step.GET_KEY)).purge_at == 9.0  # the deleted keys were not read
    assert state.record(target, replace(a_failure(step=Step.GET_KEY), purged=True)).purge_at is None
    state.record(target, deleted)
    assert state.record(target, replace(a_report(), key=KEY)).purge_at is None


def test_a_missing_header_keeps_its_last_known_value(state):
    steps = [
        StepResult(
            step=Step.GET_KEY, outcome=Outcome.OK, facts=Facts(vault=VaultHeaders(region="westeurope", connection="public"))
        ),
        StepResult(step=Step.UNWRAP_KEY, outcome=Outcome.OK, facts=Facts(vault=VaultHeaders(connection="private"))),
        StepResult(step=Step.TOKEN, outcome=Outcome.OK, facts=Facts(vault=VaultHeaders(region="entra"))),
    ]
    record = state.record(a_target(), a_report("payroll", *steps))
    assert record.vault == VaultHeaders(region="westeurope", connection="private")


def test_another_key_or_vault_drops_the_facts(state):
    state.record(a_target(), a_report(key=KEY))
    record = state.expect(a_target(labels={"team": "dba"}))
    assert (record.key, record.probes) == (KEY, 1)
    record = state.expect(a_target(key_version="1" * 32))
    assert (record.key, record.probes) == (None, 1)
    record = state.expect(a_target(vault="other.vault.azure.net"))
    assert (record.probes, list(record.history)) == (0, [])


def test_another_recovery_vault_drops_the_last_recovery_only(state):
    state.record(a_target(recovery_vault="dr"), a_report(key=KEY))
    recovered = AuxiliaryResult(
        kind=AuxiliaryKind.RECOVERY, name="dr", vault="dr", credential="c", at=3.0, usable=True, steps=(), key=KEY
    )
    assert state.add_auxiliary(a_target(recovery_vault="dr"), recovered).proof_at == 3.0
    record = state.expect(a_target(recovery_vault="dr2"))
    assert (record.key, record.proof_at) == (KEY, None)


def test_an_invalidated_verdict_keeps_the_last_probe(state):
    state.record(a_target(), a_report(at=1000.0))
    state.invalidate_verdict("payroll")
    state.invalidate_verdict("unknown")
    record = state.expect(a_target())
    assert (record.verdict, record.verdict_at, record.last.success) == (None, None, True)
    assert readiness_at(record.target, record, 1001.0) == Readiness(ready=None, why="no_probe_yet")


def test_a_verdict_outlives_unrelated_changes(state):
    state.record(a_target(), a_report(at=1000.0))
    record = state.expect(a_target(labels={"team": "dba"}, interval=30.0))
    assert readiness_at(record.target, record, 1001.0).ready is True


def test_a_forgotten_target_is_unknown(state):
    state.record(a_target(), a_report())
    state.forget("payroll")
    state.forget("payroll")
    assert state.get("payroll") is None


def test_a_verdict_older_than_three_intervals_is_stale(state):
    target = a_target(interval=60.0)
    state.record(target, a_report(at=1000.0))
    state.expect(a_target("never probed"))
    assert state.stale(1180.0) == set()
    assert state.stale(1180.1) == {"payroll"}
    record = state.get("payroll")
    assert readiness_at(target, record, 1180.0) == Readiness(ready=True, why="ready")
    assert readiness_at(target, record, 1180.1) == Readiness(ready=None, why="stale")
    assert readiness_at(target, state.get("never probed"), 1180.1) == Readiness(ready=None, why="no_probe_yet")
    assert readiness_at(target, None, 1180.1) == Readiness(ready=None, why="no_probe_yet")


def discarded(at):
    return replace(a_report(at=at), readiness=DISCARDED)


def test_a_target_without_a_result_for_two_intervals_is_not_measured(state):
    target = a_target(interval=60.0)
    record = state.record(target, a_report(at=1000.0))
    assert not record.unmeasured_at(2000.0)  # it was not probed: stale
    state.record(target, discarded(1060.0))
    state.record(target, replace(discarded(1115.0), readiness=replace(DISCARDED, stolen=0.7)))
    assert (record.last.started_at, record.probes, record.consecutive_failures) == (1000.0, 1, 0)
    assert readiness_at(target, record, 1120.0).ready is True
    assert state.unmeasured(1120.0) == {}
    assert readiness_at(target, record, 1120.1) == replace(DISCARDED, stolen=0.7)
    assert state.unmeasured(1120.1) == {"payroll": 0.7}
    assert (record.last, record.discarded_since, record.last_probe_at) == (None, 1060.0, 1000.0)
    assert state.stale(1200.0) == set()
    state.record(target, a_report(at=1180.0))
    assert (readiness_at(target, record, 1300.0).ready, record.unmeasured_at(1360.0)) == (True, False)
    assert (record.ready_since, record.discarded_since) == (1180.0, None)


def test_a_target_that_never_had_a_result_is_not_measured_two_intervals_after_its_first_probe(state):
    target = a_target(interval=60.0)
    record = state.record(target, discarded(1000.0))
    assert readiness_at(target, record, 1120.0) == Readiness(ready=None, why="no_probe_yet")
    assert readiness_at(target, record, 1120.1) == DISCARDED


def test_the_history_keeps_failures_longer_than_good_probes(state):
    outage = [a_failure(at=float(number)) for number in range(3)]
    good = [a_report(at=float(number)) for number in range(10, 14)]
    record = recorded(state, *outage, *good)
    assert [report.started_at for report in reports_of(record)] == [13.0, 12.0, 11.0, 10.0, 2.0, 1.0, 0.0]
    assert len(record.history) == 7


def test_a_history_entry_has_an_id_that_fits_in_a_url(state):
    for number in range(7):
        record = state.record(a_target(), a_failure(at=1e9 + number))
        state.record(a_target("other"), a_report(at=1e9 + number))
    ids = [entry.id for entry in record.history]
    assert len(set(ids)) == 5
    assert all(set(entry_id) <= set("0123456789-") for entry_id in ids)
    assert {entry.id: entry.report.started_at for entry in record.history}[ids[3]] == 1e9 + 3


def a_full_failure(number):
    steps = [
        StepResult(
            step=step,
            outcome=Outcome.FAILED,
            code=3077,
            reason=Reason.FORBIDDEN,
            facts=Facts(
                status=403,
                detail=f"{number}: " + "the user, group or application does not have the permission " * 4,
                request_id=f"{number:036}",
                phases=dict.fromkeys(Phase, number / 7),
            ),
        )
        for step in Step
    ]
    return replace(a_report("payroll", *steps, at=float(number), ready=False), key=replace(KEY))


def test_a_history_entry_is_smaller_than_its_report():
    state = StateStore(history_limit=50)
    for number in range(50):
        state.record(a_target(), a_full_failure(number))
    entry = next(iter(state.get("payroll").history))
    size = entry.size_next_to(None)
    assert size < 1500
    assert len(entry.packed) < len(pickle.dumps(entry.report)) / 2
    assert sys.getsizeof(entry) + sys.getsizeof(entry.packed) + sys.getsizeof(entry.id) <= size


def test_an_unchanged_key_is_stored_once():
    state = StateStore(history_limit=50)
    for number in range(20):
        state.record(a_target(), a_full_failure(number))
        state.record(a_target(), a_failure(at=float(number)))
    assert len({id(entry.key) for entry in state.get("payroll").history if entry.key is not None}) == 1


def test_reports_and_auxiliary_results_share_an_unchanged_key(state):
    record = recorded(state, a_report(key=a_key()), a_report(key=a_key()))
    newest = AuxiliaryResult(
        kind=AuxiliaryKind.NEWEST, name="k", vault="v", credential="c", at=1.0, usable=True, steps=(), key=a_key()
    )
    state.add_auxiliary(a_target(), newest)
    assert record.last.key is record.auxiliary[newest.identity].key is record.key
    assert record.key == newest.key
    assert record.key is not newest.key


def test_an_answer_of_entra_that_arrives_late_replaces_no_newer_one(state):
    """The probes of two targets end in any order."""
    recorded(state, a_report(at=5.0), a_failure(step=Step.TOKEN, code=3303, reason=Reason.SECRET_EXPIRED, at=4.0))
    assert state.entra_answer(a_target().credential) == EntraAnswer(at=5.0)


def test_records_without_failures_and_changes_share_the_empty_ones(state):
    one, other = (state.expect(a_target(name)) for name in ("payroll", "billing"))
    assert one.last_failures is other.last_failures
    assert one.changes is other.changes


def test_all_histories_together_stay_within_their_limit():
    state = StateStore(history_limit=100, history_bytes=200_000)
    for number in range(100):
        for target in a_fleet(20):
            state.record(target, replace(a_full_failure(number), target=target.name))
    assert 100_000 < sum(state.get(target.name).history.size for target in a_fleet(20)) <= 200_000
    assert all(len(state.get(target.name).history) >= 3 for target in a_fleet(20))


def test_the_newest_probe_is_stored_beyond_the_limit():
    state = StateStore(history_limit=100, history_bytes=1)
    for number in range(10):
        record = state.record(a_target(), a_full_failure(number))
    assert [report.started_at for report in reports_of(record)] == [9.0]


def test_ten_failures_are_summarised_for_a_restart(state):
    record = recorded(state, *(a_failure(at=float(number), request_id=f"r{number}") for number in range(12)))
    assert [summary.at for summary in record.last_failures] == [float(number) for number in range(2, 12)]
    last = record.last_failures[-1]
    assert (last.step, last.code, last.reason, last.http_status, last.request_id) == ("get_key", 3077, "forbidden", 403, "r11")


def test_a_probe_without_steps_is_no_success(state):
    skipped = [StepResult(step=step, outcome=Outcome.SKIPPED) for step in Step]
    record = state.record(a_target(), a_report("payroll", *skipped, at=5.0, ready=None))
    assert (record.consecutive_failures, record.last_success_at) == (1, None)
    assert (record.last_failures[0].at, record.last_failures[0].step) == (5.0, "")


def test_a_state_lasts_since_its_first_probe(state):
    for at, report in enumerate((a_report(), a_failure(), a_failure(step=Step.TOKEN, code=3303), a_report(ready=None))):
        record = state.record(a_target(), replace(report, started_at=float(at)))
        assert record.state_since == (0.0, 1.0, 1.0, 3.0)[at]
    assert (record.state, record.recent) == (State.UNKNOWN, "rnnu")


def test_only_the_last_forty_states_are_kept(state):
    assert recorded(state, *[a_failure()] * RECENT, a_report()).recent == "n" * (RECENT - 1) + "r"


def test_failures_older_than_forty_probes_make_no_target_unsteady(state):
    throttled = a_failure(code=3011, reason=Reason.THROTTLED)
    record = recorded(state, throttled, a_report(), *[throttled] * (FAILURES_OF_UNSTEADY - 1))
    assert unsteady_at(record, 0.0) is None  # not ready now
    state.record(a_target(), a_report())
    assert str(unsteady_at(record, 0.0)) == "unsteady: 3011 in 3 of the last 5 probes"
    assert unsteady_at(record, 1e6) is None  # the verdict is stale
    assert record.verdict.ready
    recorded(state, *[a_report()] * (RECENT - FAILURES_OF_UNSTEADY))
    assert (unsteady_at(record, 0.0), len(record.recent_failures)) == (None, FAILURES_OF_UNSTEADY - 1)


def test_a_lost_packet_makes_no_target_unsteady(state):
    record = recorded(state, a_report(), a_failure(code=3008, reason=Reason.CONNECT_TIMEOUT), a_report())
    assert unsteady_at(record, 0.0) is None


def test_another_key_starts_a_new_state(state):
    state.record(a_target(), a_failure())
    record = state.expect(a_target(key_version="1" * 32))
    assert (record.state, record.state_since, record.recent, record.recent_failures) == (None, None, "", ())


# When a failure began: a time that a probe observed, or only the first one that saw it.

MINUTE = 60.0


def probed(letters, *, record=None, start=START):
    """The record of a target after probes a minute apart: `n` is not ready, `r` is ready."""
    record = record or TargetRecord(metric_factories.a_target(), History(0))
    refused = failed(Step.GET_KEY, 3077, Reason.FORBIDDEN_RBAC)
    for number, letter in enumerate(letters):
        steps = [refused] if letter == "n" else []
        record.add_report(metric_factories.a_report(ready=letter == "r", steps=steps, started_at=start + number * MINUTE))
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
    restored = TargetRecord(metric_factories.a_target(), History(0))
    restore(restored, snapshot(probed(before)))
    assert beginning(probed("n", record=restored, start=START + 3 * MINUTE)) == began


def test_another_key_version_is_first_seen():
    record = probed("rn")
    record.update_target(metric_factories.a_target(key_version="9" * 32))
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
    record = TargetRecord(metric_factories.a_target(), History(0))
    for number, ready in enumerate((False, True)):
        record.add_report(metric_factories.a_report(ready=ready, started_at=START + number * MINUTE))
    assert ended_at(record, START + 2 * MINUTE) is None


# Changes of a target: which are recorded, and which are not.


def a_good_report(at=0.0, *, region="westeurope", issuer="CN=Microsoft", version="1" * 32):
    certificate = PeerCertificate(not_after=1.9e9, issuer=issuer)
    facts = Facts(vault=VaultHeaders(region=region), endpoint="contoso:443", certificate=certificate)
    step = StepResult(step=Step.GET_KEY, outcome=Outcome.OK, facts=facts)
    return a_report("payroll", step, at=at, key=replace(key(), version=version))


def changes_of(state, *reports):
    for report in reports:
        record = state.record(a_target(), report)
    return [(change.at, change.what.value, change.before, change.after, change.subject) for change in record.changes]


def test_every_kind_of_change_is_recorded(state):
    found = changes_of(
        state,
        a_good_report(),
        a_good_report(1.0, region="northeurope", issuer="CN=Proxy", version="2" * 32),
        a_failure(at=2.0),
        a_failure(at=3.0, code=3303, step=Step.TOKEN),
        a_failure(at=3.5, code=3303, step=Step.TOKEN, reason=Reason.SECRET_EXPIRED),
        a_good_report(4.0, region="northeurope", issuer="CN=Proxy", version="2" * 32),
    )
    assert found == [
        (1.0, "region", "westeurope", "northeurope", ""),
        (1.0, "key_version", "1" * 32, "2" * 32, ""),
        (1.0, "certificate_issuer", "CN=Microsoft", "CN=Proxy", "contoso:443"),
        (2.0, "state", "ready", "not_ready", ""),
        (3.0, "code", "3077", "3303", ""),
        (3.5, "reason", "forbidden", "secret_expired", ""),
        (4.0, "state", "not_ready", "ready", ""),
    ]


def test_change_of_state_has_the_failure_that_began_or_ended(state):
    changes_of(state, a_good_report(), a_failure(at=1.0), a_good_report(2.0))
    began, ended = state.get("payroll").changes
    assert began.failure == ended.failure == (Step.GET_KEY, 3077, Reason.FORBIDDEN)


def test_a_newer_key_version_is_a_change(state):
    for at, version in ((1.0, "1" * 32), (2.0, "2" * 32)):
        newest = auxiliary_result(AuxiliaryKind.NEWEST, at=at, key=replace(key(), version=version))
        record = state.add_auxiliary(a_target(), newest)
    assert [(each.at, each.what, each.after) for each in record.changes] == [(2.0, "newest_version", "2" * 32)]


def test_only_the_last_changes_are_kept(state):
    for at in range(3 * MAX_CHANGES):
        record = state.record(a_target(), a_good_report(float(at), region=f"region{at}"))
    assert len(record.changes) == MAX_CHANGES
    assert record.changes[-1].after == f"region{3 * MAX_CHANGES - 1}"
