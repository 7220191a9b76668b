"""What SQL Servers proved themselves, in words and in JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.presentation.sql_proofs import SqlProofs, sql_servers_payload
from exporter.tde.registry import RegistryUri
from exporter.tde.server_proof import codes_text, log_text, proof_text
from tests.support.sql_readings import READ_AT, a_reading, an_unread_server, proof_rows, sections_of, unix, with_growing_logs
from tests.support.web_factories import VERSION, target

NOW = READ_AT + 60
DAY = "2026-11-26T"
NO_SIGN_IN = "login [tde_login] has no credential, so SQL Server cannot sign in to the vault"
WITHOUT_CREDENTIAL = [{name: value for name, value in sections_of()["keys"][0].items() if name != "credential"}]
ON_N1 = {"sql_instance": "SQLPRD01", "host": "n1"}


def a_target(**changes):
    return target(**({"instances": (ON_N1,), "thumbprint": "0x2C56"} | changes))


def proofs_of(*readings):
    proofs = SqlProofs(lambda: readings)
    proofs.refresh()
    return proofs


def a_server(reading=None, **sections):
    """Return the only SQL Server of a target, as read now."""
    (server,) = proofs_of(reading or a_reading(sections=sections)).target_proofs(a_target())
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
        ({"credentials": credential(DAY + "18:02:00")}, "not proven since the credential was altered at 18:02 UTC"),
        ({"credentials": credential("2026-11-25T23:59:00")}, "54 min ago, log backup of [sales]"),
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
        ([error("3303", "02:10:00", "19:50:00")], "its error log shows 3303 since 19:05 UTC"),
        (
            [error("3077", "19:20:00", "19:50:00"), error("9999", "19:10:00", "19:55:00")],
            "its error log shows 9999 and 3077 (3113 on connector 1.0.5.0) since 19:10 UTC",
        ),
    ],
)
def test_codes_since_last_proof_are_named(errors, expected):
    server = a_server(errors=errors)
    assert codes_text(server, NOW) == expected
    assert server.has_stopped == bool(expected)


@pytest.mark.parametrize(("hours", "has_stopped"), [(24, False), (25, True)])
def test_proofs_have_stopped_after_a_day(hours, has_stopped):
    reading = a_reading()
    late = replace(reading, read_at={**reading.read_at, "backups": unix(DAY + "19:05:00") + hours * 3600})
    assert a_server(late).has_stopped == has_stopped


def test_secret_of_an_hour_ago_has_not_stopped_the_proofs():
    assert not a_server(credentials=credential(DAY + "19:00:00")).has_stopped


def test_log_text_has_times_at_present_rate():
    small = {"limit_kb": 102_400 + 1024 * 44, "vlf_mb": 1}
    expected = "the log of [sales] is full in 3 h 39 min; the next log file is due in about 5 min (trace flag 15025 is off)"
    assert log_text([a_server(growing(**small))], NOW) == f"at the present rate {expected}"
    named = log_text([a_server(growing(**small))], NOW, named=True)
    assert named == f"at the present rate {expected.replace('[sales]', '[sales] of SQLPRD01 on n1')}"


def test_log_text_has_the_shortest_times_of_all_databases():
    logs = proof_rows("hr", "sales")["logs"]
    sections = {"logs": [logs[0] | {"limit_kb": 102_400 + 1024}, logs[1] | {"vlf_mb": 12}]}
    server = a_server(with_growing_logs(a_reading("hr", "sales", sections=sections)))
    expected = "the log of [hr] is full in 4 min; the next log file is due in about 1 h (trace flag 15025 is off)"
    assert log_text([server], NOW) == f"at the present rate {expected}"


def test_log_without_room_is_full_already():
    assert log_text([a_server(growing(limit_kb=1, vlf_mb=1))], NOW).startswith(
        "at the present rate the log of [sales] is full already;"
    )


def test_log_text_without_end_has_the_next_file_only():
    row = {name: value for name, value in proof_rows("sales")["logs"][0].items() if name not in ("limit_kb", "disk_free_kb")}
    server = a_server(with_growing_logs(a_reading(sections={"logs": [row | {"vlf_mb": 1}]})))
    assert log_text([server], NOW) == "at the present rate the next log file is due in about 5 min (trace flag 15025 is off)"


def test_log_text_needs_a_rate_of_the_last_hour():
    assert log_text([a_server(growing())], READ_AT + 3600)
    assert log_text([a_server(growing())], READ_AT + 3601) == ""
    assert log_text([a_server()], NOW) == ""
    assert log_text([], NOW) == ""


def test_log_of_database_under_other_key_does_not_count():
    reading = with_growing_logs(a_reading(sections={"logs": [proof_rows("other")["logs"][0]]}))
    assert a_server(reading).logs == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"thumbprint": "0xAB"},
        {"thumbprint": None},
        {"thumbprint": None, "key_version": None},
        {"instances": ()},
        {"instances": ({"sql_instance": "SQLPRD01", "host": "n2"},)},
        {"instances": ({"sql_instance": "SQLPRD02"},)},
    ],
)
def test_target_with_other_key_or_server_has_no_proof(changes):
    assert proofs_of(a_reading()).target_proofs(a_target(**changes)) == ()


def test_target_without_thumbprint_has_proof_by_key_uri():
    reading = a_reading()
    assert reading.document is not None
    uri = f"https://contoso-prod.vault.azure.net/keys/contosorsakey0/{VERSION.upper()}"
    known = replace(reading, document=replace(reading.document, key_uris=(RegistryUri("0x2c56", uri),)))
    (server,) = proofs_of(known).target_proofs(a_target(thumbprint=None))
    assert server.proof.key_name == "key_2C56"


def test_servers_ignore_case_and_those_due_come_first():
    due = a_reading(address="n2", host="N2", sections={"credentials": credential(DAY + "19:00:00")})
    instances = (ON_N1, {"sql_instance": "sqlprd01", "host": "n2"}, ON_N1)
    found = proofs_of(a_reading(), due).target_proofs(a_target(instances=instances))
    assert [server.server for server in found] == ["sqlprd01 on n2", "SQLPRD01 on n1"]


def test_first_of_two_addresses_with_the_same_names_counts():
    first, late = a_reading(), a_reading(address="n1.example", attempted_at=READ_AT + 1, sections={"backups": []})
    (server,) = proofs_of(first, late).target_proofs(a_target())
    assert server.reading is first
    unread = replace(first, document=None)
    assert proofs_of(unread, late).target_proofs(a_target()) == ()


@pytest.mark.parametrize("instances", [({"sql_instance": "sqlprd01"},), (ON_N1, {"sql_instance": "sqlprd01"})])
def test_instance_without_host_is_the_only_server_of_its_name(instances):
    (server,) = proofs_of(a_reading(), a_reading(address="n2", sql_instance="OTHER")).target_proofs(a_target(instances=instances))
    assert server.reading.address == a_reading().address


@pytest.mark.parametrize("changes", [{}, {"document": None}])
def test_instance_without_host_on_two_servers_has_no_proof(changes):
    other = a_reading(address="n2", host="n2", **changes)
    assert proofs_of(a_reading(), other).target_proofs(a_target(instances=({"sql_instance": "SQLPRD01"},))) == ()


def test_proofs_follow_each_new_reading():
    readings = [a_reading()]
    proofs = SqlProofs(lambda: readings)
    assert proofs.target_proofs(a_target()) == ()
    assert proofs.refresh()
    first = proofs.target_proofs(a_target())[0]
    assert proofs.target_proofs(a_target())[0].proof is first.proof
    readings[0] = a_reading(sections={"backups": []})
    proofs.refresh()
    assert proofs.target_proofs(a_target())[0].proof.source == "start"
    readings[0] = an_unread_server()
    assert not proofs.refresh()
    assert proofs.target_proofs(a_target()) == ()


def test_payload_is_absent_without_reading():
    assert sql_servers_payload((), now=NOW) == {}


def test_payload_has_proof_and_log():
    reading = growing(limit_kb=102_400 + 1024 * 44)
    (shown,) = sql_servers_payload([a_server(reading)], now=NOW)["sql_servers"]
    assert shown == {
        "sql_instance": "SQLPRD01",
        "host": "n1",
        "read_at": "2026-11-26T20:00:00.000Z",
        "key_name": "key_2C56",
        "thumbprint": "0x2C56",
        "login": "tde_login",
        "credential": "tde_cred",
        "credential_altered_at": "2026-01-02T03:04:05.000Z",
        "proof_due": False,
        "proven_at": "2026-11-26T19:05:00.000Z",
        "proven_by": "log_backup",
        "database": "sales",
        "codes_since": [],
        "trace_flag_15025": False,
        "logs_read_at": "2026-11-26T20:00:00.000Z",
        "log_full_in_seconds": 44 * 300 - 60,
        "log_full_database": "sales",
        "next_log_file_in_seconds": 64 * 300,
    }


def test_payload_without_proof_and_log_has_none():
    sections = {"credentials": credential("never"), "backups": [], "opened": [], "flags": []}
    (shown,) = sql_servers_payload([a_server(**sections)], now=NOW)["sql_servers"]
    names = ("proof_due", "proven_at", "proven_by", "database", "trace_flag_15025", "log_full_in_seconds", "log_full_database")
    assert {shown[name] for name in (*names, "next_log_file_in_seconds", "credential_altered_at")} == {None}


def test_payload_shows_that_a_proof_is_due():
    server = a_server(credentials=credential(DAY + "19:00:00"), errors=[error("3303", "19:10:00", "19:50:00")])
    (shown,) = sql_servers_payload([server], now=NOW)["sql_servers"]
    assert (shown["proof_due"], shown["codes_since"]) == (True, ["3303"])
