"""The history of a target: reports come back exactly, and what several entries share is stored and counted once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.values import Facts, Fault, Outcome, Phase, Readiness, Step, VaultHeaders
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.state.history import OVERHEAD, History
from tests.support.factories import DISCARDED, a_failure, a_report
from tests.support.values import replace

_READ = {Phase.WAIT: 0.02, Phase.TRANSFER: 0.001}

# Few values of each fact, so that reports in a row are often alike.
times = st.floats(0, 4e9)
facts = st.builds(
    Facts,
    fault=st.sampled_from([Fault.NONE, Fault.HTTP_STATUS]),
    status=st.sampled_from([200, 403]),
    request_id=st.none() | st.text(max_size=3),
    correlation_id=st.none() | st.text(max_size=3),
    addresses=st.lists(st.text(max_size=3), max_size=2).map(tuple),
    local_address=st.none() | st.text(max_size=3),
    server_time=st.none() | times,
    retry_after_seconds=st.none() | st.just(1.0),
    phases=st.sampled_from([_READ, {}, dict.fromkeys(Phase, 1.0), dict(reversed(_READ.items()))]),
    vault=st.sampled_from([None, VaultHeaders(region="westeurope"), VaultHeaders(region="northeurope")]),
)
steps = st.builds(
    StepResult,
    step=st.sampled_from([Step.GET_KEY, Step.TOKEN]),
    outcome=st.sampled_from(Outcome),
    duration=times,
    facts=st.none() | facts,
    shared=st.booleans(),
    disturbed=st.booleans(),
)
reports = st.builds(
    ProbeReport,
    target=st.just("payroll"),
    started_at=times,
    duration=times,
    steps=st.lists(steps, max_size=2).map(tuple),
    readiness=st.sampled_from([Readiness(ready=True, why="ready"), Readiness(ready=None, why="read_only"), DISCARDED]),
)


def filled(reports, *, limit=100, most_bytes=1e9):
    history = History(limit)
    for number, report in enumerate(reports, 1):
        history.add(report, number, most_bytes=most_bytes)
    return history


def measured(number, **more):
    """A report whose measured values follow from the number."""
    known = {"request_id": f"r{number}", "server_time": number + 0.5, "phases": dict.fromkeys(_READ, number / 7)}
    known |= {"correlation_id": f"c{number}", "addresses": (f"10.0.0.{number}",), "local_address": f"10.1.0.{number}"}
    steps = [StepResult(step=step, outcome=Outcome.OK, duration=number / 3, facts=Facts(**(known | more))) for step in Step]
    return replace(a_report("payroll", *steps, at=float(number)), duration=number / 2)


@given(st.lists(reports, max_size=8))
def test_every_report_comes_back_as_it_was(added):
    found = [entry.report for entry in filled(added)]

    assert repr(found) == repr(added[::-1])


@given(st.lists(reports, max_size=8), st.integers(1, 4), st.integers(0, 3000))
def test_the_size_is_that_of_everything_the_entries_hold(added, limit, most_bytes):
    history = filled(added, limit=limit, most_bytes=most_bytes)
    rings = (list(history._recent.entries), list(history._failures.entries))

    assert history.size == sum(
        OVERHEAD * len(entries)
        + sum(len(entry.measured) for entry in entries)
        + sum(
            len(entry.packed) for place, entry in enumerate(entries) if not place or entries[place - 1].packed is not entry.packed
        )
        for entries in rings
    )


def test_a_phase_has_its_own_time_whatever_the_order_of_phases():
    added = [measured(1, phases=dict(order)) for order in ([*_READ.items()], [*reversed(_READ.items())])]

    assert [entry.report for entry in filled(added)] == added[::-1]


def test_a_report_that_cannot_be_packed_is_never_shown_as_an_earlier_one():
    history = filled([measured(1)])
    for number in (2, 3):
        with pytest.raises(OverflowError):
            history.add(measured(number, status=2**70), number, most_bytes=1e9)

    assert [entry.report for entry in history] == [measured(1)]


def test_probes_that_differ_as_measured_share_one_packed_report():
    history = filled([measured(number) for number in range(20)])

    assert len({id(entry.packed) for entry in history}) == 1
    assert max(len(entry.measured) for entry in history) < 400


def test_reports_remain_readable_after_the_first_of_their_kind_is_dropped():
    added = [measured(number) for number in range(9)]

    assert [entry.report for entry in filled(added, limit=3)] == added[:5:-1]


def test_a_failure_between_good_probes_comes_back_with_them():
    added = [measured(1), a_failure(at=2.0), measured(3), measured(4), a_failure(at=5.0, detail="other")]

    assert [entry.report for entry in filled(added)] == added[::-1]


def test_failures_are_the_newest_first():
    discarded = replace(a_failure(at=4.0), readiness=DISCARDED)  # says nothing of the vault
    history = filled([a_report("payroll", at=1.0), *(a_failure("payroll", at=float(at)) for at in (2, 3)), discarded])
    assert [entry.report.started_at for entry in history.failures()] == [3.0, 2.0]
