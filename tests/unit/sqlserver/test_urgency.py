"""Which databases are closed, and how long the logs of open ones have room, in words."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.sqlserver.proof import server_proofs
from exporter.sqlserver.urgency import closed_text, log_text, most_urgent, not_writing_text, room_text
from tests.support.sql_readings import READ_AT, a_reading, proof_rows, with_growing_logs
from tests.support.values import replace

NOW = READ_AT + 60


def a_server(reading=None, **sections: Any):
    """Return the only proof of a SQL Server, as read now."""
    (server,) = server_proofs(reading or a_reading(sections=sections))
    return server


def growing(**changes):
    return with_growing_logs(a_reading(sections={"logs": [proof_rows("sales")["logs"][0] | changes]}))


def test_log_text_has_times_at_present_rate():
    small = {"limit_kb": 102_400 + 1024 * 44, "vlf_mb": 1}
    expected = "the log of [sales] is full in 3 h 39 min; the next virtual log file (VLF) is due in about 5 min (trace flag 15025 is off)"
    assert log_text([a_server(growing(**small))], NOW) == f"once log backups fail, at the present rate {expected}"
    named = log_text([a_server(growing(**small))], NOW, named=True)
    assert named == f"once log backups fail, at the present rate {expected.replace('[sales]', '[sales] of SQLPRD01 on n1')}"


def test_log_text_has_the_shortest_times_of_all_databases():
    logs = proof_rows("hr", "sales")["logs"]
    sections = {"logs": [logs[0] | {"limit_kb": 102_400 + 1024}, logs[1] | {"vlf_mb": 12}]}
    server = a_server(with_growing_logs(a_reading("hr", "sales", sections=sections)))
    expected = "the log of [hr] is full in 4 min; the next virtual log file (VLF) of [sales] is due in about 1 h (trace flag 15025 is off)"
    assert log_text([server], NOW) == f"once log backups fail, at the present rate {expected}"


def test_log_without_room_is_full_already():
    assert log_text([a_server(growing(limit_kb=1, vlf_mb=1))], NOW).startswith(
        "once log backups fail, at the present rate the log of [sales] is full already;"
    )


def test_log_text_without_end_has_the_next_file_only():
    row = {name: value for name, value in proof_rows("sales")["logs"][0].items() if name not in ("limit_kb", "disk_free_kb")}
    server = a_server(with_growing_logs(a_reading(sections={"logs": [row | {"vlf_mb": 1}]})))
    assert (
        log_text([server], NOW)
        == "once log backups fail, at the present rate the next virtual log file (VLF) of [sales] is due in about 5 min (trace flag 15025 is off)"
    )


def test_log_text_needs_a_rate_of_the_last_hour():
    assert log_text([a_server(growing())], READ_AT + 3600)
    assert log_text([a_server(growing())], READ_AT + 3601) == ""
    assert log_text([a_server()], NOW) == ""
    assert log_text([], NOW) == ""


CLOSED = {"state": "RECOVERY_PENDING", "state_desc": "RECOVERY_PENDING"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), ""),
        (("pay",), "applications cannot use [pay] of SQLPRD01 on n1 (RECOVERY PENDING)"),
        (("a", "b", "c", "d"), "applications cannot use [a], [b], [c] and 1 more of SQLPRD01 on n1 (RECOVERY PENDING)"),
    ],
)
def test_closed_databases_are_named(names, expected):
    reading = a_reading()
    sections = {**reading.document.sections}
    sections["databases"] = (*sections["databases"], *(sections["databases"][0] | CLOSED | {"name": name} for name in names))
    reading = replace(reading, document=replace(reading.document, sections=sections))
    assert closed_text([a_server(reading)]) == expected


def test_server_whose_log_is_full_first_is_the_most_urgent():
    late, soon = a_server(growing()), a_server(growing(limit_kb=0))
    assert most_urgent([late, soon], NOW) is soon
    assert most_urgent([late, soon], READ_AT + 2 * 86400) is late  # no rate is of the present


def test_stalled_log_has_its_time_instead_of_an_estimate():
    stopped = replace(growing(), stalled={"sales": (READ_AT - 600, 3495.0)})
    expected = "the log of [sales] has not grown since 19:50 UTC, when its next virtual log file (VLF) was due: the database may no longer write"
    assert log_text([a_server(stopped)], NOW) == expected
    assert log_text([a_server(stopped)], NOW, named=True) == expected.replace("[sales]", "[sales] of SQLPRD01 on n1")


def test_databases_that_may_not_write_have_a_log_that_is_full_or_no_longer_grows():
    stopped = replace(growing(), stalled={"sales": (READ_AT - 600, 3495.0)})
    assert not_writing_text([a_server(growing())], NOW) == ""
    of_n1 = "[sales] of SQLPRD01 on n1 may no longer write"
    assert [not_writing_text([a_server(each)], NOW) for each in (stopped, growing(limit_kb=1))] == [of_n1] * 2
    assert not_writing_text([a_server(stopped)], READ_AT + 3601) == ""  # read too long ago
    many = [a_server(replace(stopped, host=f"n{number}")) for number in range(5)]
    assert not_writing_text(many, NOW).endswith("[sales] of SQLPRD01 on n2 and 2 more databases may no longer write")


def test_closed_databases_of_many_servers_are_bounded():
    sections = {
        "databases": [
            *a_reading().document.sections["databases"],
            a_reading().document.sections["databases"][0] | CLOSED | {"name": "pay"},
        ]
    }
    servers = [a_server(a_reading(address=f"n{number}", sections=sections)) for number in range(5)]
    assert closed_text(servers).endswith(" and databases of 2 more SQL Servers")


def test_room_text_names_the_most_urgent_log():
    assert room_text([a_server()], NOW) == ""
    assert room_text([a_server(growing(limit_kb=104_000))], NOW).startswith(
        "Stop what writes much in [sales] of SQLPRD01 on n1. Then: "
    )
    assert (
        room_text([a_server(growing(vlf_mb=1))], NOW) == "Before the next virtual log file (VLF) of [sales] of SQLPRD01 on n1: "
    )
    stopped = replace(growing(), stalled={"sales": (READ_AT - 600, 3495.0)})
    assert room_text([a_server(stopped)], NOW) == "For the log of [sales] of SQLPRD01 on n1: "
