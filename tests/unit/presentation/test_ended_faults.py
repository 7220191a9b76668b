"""Which fault of the vault is behind the code that a SQL Server still shows."""

from __future__ import annotations

import pytest

from exporter.core.values import Step
from exporter.knowledge.verdict import NO_FAILURE, FailedProbe, State
from exporter.presentation.sql import EndedFault, ended_at, ended_faults, first_action, is_of_the_wave
from exporter.sqlserver.proof import server_proofs
from exporter.state.history import History
from exporter.state.record import ChangeKind, ObservedChange, TargetRecord
from tests.support.sql_readings import a_reading, unix
from tests.support.web_factories import bad, good, target

DAY = "2026-11-26T"
BEGAN, ENDED = unix(DAY + "19:10:30"), unix(DAY + "19:40:00")
FORBIDDEN, NO_NAME = FailedProbe(Step.UNWRAP_KEY, 3077, None), FailedProbe(Step.CHALLENGE, 3900, None)


def state(at, before, after, failure=FORBIDDEN):
    return ObservedChange(at, ChangeKind.STATE, before, after, failure=failure)


CHANGES = (state(BEGAN, "ready", "not_ready"), state(ENDED, "not_ready", "ready"))


def a_server(code="3077", last="19:20:00"):
    errors = [{"code": code, "lines": 2, "first_utc": DAY + "19:06:00", "last_utc": DAY + last}]
    (server,) = server_proofs(a_reading(sections={"errors": errors}))
    return server


def a_record(*changes, **known):
    return TargetRecord(target(interval=60.0), History(1), state=known.get("state", State.READY), changes=changes)


def test_fault_has_all_codes_between_two_ready_probes():
    changes = [
        state(100, "not_ready", "ready", NO_NAME),
        state(200, "ready", "not_ready"),
        ObservedChange(230, ChangeKind.CODE, "3077", "3900", failure=NO_NAME),
        ObservedChange(240, ChangeKind.REGION, "a", "b"),
        state(300, "not_ready", "ready", NO_NAME),
        state(400, "ready", "not_ready"),
    ]
    first, second = ended_faults(changes, slack=60)
    assert first == EndedFault(float("-inf"), 100, frozenset({3900}))
    assert second == EndedFault(140, 300, frozenset({3077, 3900}))


@pytest.mark.parametrize(
    ("server", "record", "expected"),
    [
        (a_server(), a_record(*CHANGES), ENDED),
        (a_server("3113"), a_record(*CHANGES), ENDED),  # its number in the other connector
        (a_server(last="19:40:01"), a_record(*CHANGES), None),  # after the end
        (a_server(last="19:09:29"), a_record(*CHANGES), None),  # before its begin
        (a_server("3303"), a_record(*CHANGES), None),
        (a_server("99999"), a_record(*CHANGES), None),
        (a_server(), a_record(state(BEGAN, "ready", "not_ready", NO_FAILURE), state(ENDED, "not_ready", "ready", NO_FAILURE)), None),
        (a_server(), a_record(*CHANGES, state=State.NOT_READY), None),
        (a_server(), None, None),
        (server_proofs(a_reading())[0], a_record(*CHANGES), None),
    ],
)  # fmt: skip
def test_code_belongs_to_the_fault_of_its_time(server, record, expected):
    assert ended_at(record, server) == expected


def test_target_in_waves_has_no_ended_fault():
    record = a_record(*CHANGES)
    for number in range(9):
        at = ENDED + 60.0 * number
        record.add_report(
            bad(step=Step.UNWRAP_KEY, code=3077, reason=None, started_at=at) if number % 3 == 1 else good(started_at=at)
        )
    assert record.state is State.READY
    assert ended_at(record, a_server()) is None
    assert [is_of_the_wave(record, a_server(code)) for code in ("3077", "3113", "3303", "99999")] == [True, True, False, False]
    assert not is_of_the_wave(None, a_server())


def test_action_after_an_ended_fault_accuses_no_identity():
    assert "Compare identity" in first_action(a_server())
    assert first_action(a_server(), ENDED) == "Repeat the failed log backups of SQLPRD01 on n1: they need no other change."
