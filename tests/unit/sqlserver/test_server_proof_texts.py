"""What one SQL Server proved of one key, what fails there, and how long its logs have room, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exporter.sqlserver.proof import codes_text, proof_text, server_proofs
from exporter.sqlserver.urgency import closed_text, log_text, most_urgent, room_text
from tests.support.sql_readings import READ_AT, a_reading, proof_rows, sections_of, unix, with_growing_logs

NOW = READ_AT + 60
DAY = "2026-11-26T"
NO_SIGN_IN = "login [tde_login] has no credential, so SQL Server cannot sign in to the vault"
WITHOUT_CREDENTIAL = [{name: value for name, value in sections_of()["keys"][0].items() if name != "credential"}]


def a_server(reading=None, **sections: Any):
    """Return the only proof of a SQL Server, as read now."""
    (server,) = server_proofs(reading or a_reading(sections=sections))
    return server


def growing(**changes):
    return with_growing_logs(a_reading(sections={"logs": [proof_rows("sales")["logs"][0] | changes]}))


def credential(modified, **changes):
    return [sections_of()["credentials"][0] | {"modified_utc": modified} | changes]


def error(code, first, last):
    return {"code": code, "lines": 2, "first_utc": DAY + first, "last_utc": DAY + last}


def backup(kind, started, finished):
    return {"database": "sales", "type": kind, "started_utc": started, "finished_utc": finished}


@pytest.mark.parametrize(
    ("kind", "finished", "expected"),
    [
        ("L", "2026-11-26T19:49:00", "12 min ago, log backup of [sales]"),
        ("I", "2026-11-26T16:21:00", "3 h 40 min ago, differential backup of [sales]"),
        ("D", "2026-11-24T15:01:00", "2 d 5 h ago, full backup of [sales]"),
        ("L", "2026-11-26T20:00:59", "1 min ago, log backup of [sales]"),
        ("L", "2026-11-24T20:02:00", "47 h 59 min ago, log backup of [sales]"),
    ],
)
def test_proof_has_age_source_and_database(kind, finished, expected):
    assert proof_text(a_server(backups=[backup(kind, "2026-11-23T00:00:00", finished)]), NOW) == expected


def test_start_is_a_proof_with_a_database():
    assert proof_text(a_server(backups=[]), unix("2026-11-01T00:10:10")) == "10 min ago, start that opened [sales]"


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        (
            {"credentials": credential(DAY + "18:02:00")},
            (
                "not proven since the credential was altered at 18:02 UTC; a backup finished at 19:07 UTC since, and one that begins at 20:02 UTC or "
                "later proves the key"
            ),
        ),
        ({"credentials": credential("2026-11-25T23:59:00")}, "54 min ago, log backup of [sales]"),
        (
            {"providers": [sections_of()["providers"][0] | {"is_enabled": 0}]},
            "54 min ago, log backup of [sales], but its EKM provider is disabled, so SQL Server cannot use the key",
        ),
        (
            {"credentials": credential("2026-11-25T23:59:00"), "backups": []},
            "not proven since the credential was altered at 2026-11-25 23:59 UTC",
        ),
        (
            {"credentials": credential("never"), "backups": [], "opened": []},
            "not proven: no start and no finished backup is known",
        ),
        ({"keys": WITHOUT_CREDENTIAL, "backups": [], "opened": []}, f"not proven: {NO_SIGN_IN}"),
        ({"keys": WITHOUT_CREDENTIAL}, f"54 min ago, log backup of [sales], but {NO_SIGN_IN}"),
    ],
)
def test_missing_proof_names_its_cause(sections, expected):
    proven_at = [backup("L", DAY + "19:00:00", DAY + "19:07:00")]
    assert proof_text(a_server(**({"backups": proven_at} | sections)), NOW) == expected


def test_old_reading_shows_its_age():
    assert proof_text(a_server(), NOW + 3 * 3600).endswith(" (read 3 h 1 min ago)")


def test_names_of_databases_are_printable():
    assert proof_text(a_server(a_reading("sales\n\u202ex")), NOW) == "56 min ago, log backup of [sales??x]"


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([], ""),
        ([error("3303", "02:10:00", "19:00:00")], ""),  # a backup has succeeded since
        ([error("3303", "19:10:00", "19:50:00")], "its error log shows 3303 since 19:10 UTC"),
        ([error("3303", "02:10:00", "19:50:00")], "its error log shows 3303 since 19:00 UTC"),
        (
            [error("3077", "19:20:00", "19:50:00"), error("9999", "19:10:00", "19:55:00")],
            "its error log shows 9999 and 3077 (3113 on connector 1.0.5.0) since 19:10 UTC",
        ),
    ],
)
def test_codes_since_last_proof_are_named(errors, expected):
    server = a_server(errors=errors)
    assert codes_text(server, NOW) == expected


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([error("3303", "19:10:00", "19:50:00"), error("3041", "19:12:00", "19:50:00")], "its error log shows 3303 since 19:10 UTC, and backups fail"),
        ([error("18204", "19:12:00", "19:50:00")], "backups fail since 19:12 UTC"),
    ],
)  # fmt: skip
def test_failed_backups_without_credential_are_named(errors, expected):
    assert codes_text(a_server(errors=errors, keys=WITHOUT_CREDENTIAL), NOW) == expected


def test_log_text_has_times_at_present_rate():
    small = {"limit_kb": 102_400 + 1024 * 44, "vlf_mb": 1}
    expected = "the log of [sales] is full in 3 h 39 min; the next log file is due in about 5 min (trace flag 15025 is off)"
    assert log_text([a_server(growing(**small))], NOW) == f"once log backups fail, at the present rate {expected}"
    named = log_text([a_server(growing(**small))], NOW, named=True)
    assert named == f"once log backups fail, at the present rate {expected.replace('[sales]', '[sales] of SQLPRD01 on n1')}"


def test_log_text_has_the_shortest_times_of_all_databases():
    logs = proof_rows("hr", "sales")["logs"]
    sections = {"logs": [logs[0] | {"limit_kb": 102_400 + 1024}, logs[1] | {"vlf_mb": 12}]}
    server = a_server(with_growing_logs(a_reading("hr", "sales", sections=sections)))
    expected = "the log of [hr] is full in 4 min; the next log file of [sales] is due in about 1 h (trace flag 15025 is off)"
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
        == "once log backups fail, at the present rate the next log file of [sales] is due in about 5 min (trace flag 15025 is off)"
    )


def test_log_text_needs_a_rate_of_the_last_hour():
    assert log_text([a_server(growing())], READ_AT + 3600)
    assert log_text([a_server(growing())], READ_AT + 3601) == ""
    assert log_text([a_server()], NOW) == ""
    assert log_text([], NOW) == ""


def test_log_of_database_under_other_key_does_not_count():
    reading = with_growing_logs(a_reading(sections={"logs": [proof_rows("other")["logs"][0]]}))
    assert a_server(reading).logs == ()


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
    expected = (
        "the log of [sales] has not grown since 19:50 UTC, when its next log file was due: the database may no longer write"
    )
    assert log_text([a_server(stopped)], NOW) == expected
    assert log_text([a_server(stopped)], NOW, named=True) == expected.replace("[sales]", "[sales] of SQLPRD01 on n1")


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
    assert room_text([a_server(growing(limit_kb=104_000))], NOW).startswith("Free disk for the log of [sales] of SQLPRD01 on n1")
    assert room_text([a_server(growing(vlf_mb=1))], NOW) == "Before the next log file of [sales] of SQLPRD01 on n1: "
    stopped = replace(growing(), stalled={"sales": (READ_AT - 600, 3495.0)})
    assert room_text([a_server(stopped)], NOW) == "For the log of [sales] of SQLPRD01 on n1: "
