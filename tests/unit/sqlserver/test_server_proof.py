"""What SQL Server's own proof of a key amounts to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exporter.sqlserver.proof import (
    ProofState,
    ServerProof,
    codes_text,
    proof_text,
    refusal_text,
    server_proofs,
    shows_refusal,
    with_refusals,
)
from tests.support.sql_readings import READ_AT, a_reading, proof_rows, sections_of, unix, with_growing_logs

DAY = "2026-11-26T"
PROVEN_AT = unix(DAY + "19:05:00")
WITHOUT_CREDENTIAL = [{name: value for name, value in sections_of()["keys"][0].items() if name != "credential"}]
DISABLED = [sections_of()["providers"][0] | {"is_enabled": 0}]
CLOSED = [*sections_of()["databases"], sections_of()["databases"][0] | {"name": "claims", "state": "RECOVERY_PENDING"}]
SWITCHED_OFF = [sections_of()["configurations"][0] | {"value_in_use": 0}]


def the_proof(*, backups_read_at: float = READ_AT, **sections: Any) -> ServerProof:
    reading = a_reading(sections=sections)
    (server,) = server_proofs(replace(reading, read_at={**reading.read_at, "backups": backups_read_at}))
    return server


def altered(modified: str) -> list[dict[str, Any]]:
    return [sections_of()["credentials"][0] | {"modified_utc": modified}]


def error(code: str, first: str, last: str) -> dict[str, Any]:
    return {"code": code, "lines": 2, "first_utc": DAY + first, "last_utc": DAY + last}


def backup(kind: str) -> list[dict[str, Any]]:
    return [row for row in proof_rows("sales")["backups"] if row["type"] == kind]


@pytest.mark.parametrize(
    ("sections", "state", "since"),
    [
        ({}, ProofState.PROVEN, PROVEN_AT),
        ({"backups": []}, ProofState.PROVEN, unix("2026-11-01T00:00:10")),  # a node without backups
        ({"credentials": altered(DAY + "19:30:00")}, ProofState.DUE, unix(DAY + "19:30:00")),
        ({"credentials": altered("never"), "backups": [], "opened": []}, ProofState.UNKNOWN, None),
        ({"providers": DISABLED, "keys": WITHOUT_CREDENTIAL}, ProofState.PROVIDER_DISABLED, PROVEN_AT),
        ({"configurations": SWITCHED_OFF}, ProofState.PROVIDER_DISABLED, PROVEN_AT),
        ({"configurations": []}, ProofState.PROVEN, PROVEN_AT),
        ({"keys": WITHOUT_CREDENTIAL}, ProofState.NO_CREDENTIAL, PROVEN_AT),
        ({"errors": [error("3303", "19:10:00", "19:50:00")]}, ProofState.FAILING, unix(DAY + "19:10:00")),
        ({"errors": [error("3303", "02:10:00", "19:50:00")]}, ProofState.FAILING, unix(DAY + "19:00:00")),
        ({"errors": [error("3303", "02:10:00", "19:00:00")]}, ProofState.PROVEN, PROVEN_AT),
        ({"errors": [error("18204", "19:10:00", "19:50:00")]}, ProofState.PROVEN, PROVEN_AT),
        ({"keys": WITHOUT_CREDENTIAL, "errors": [error("3303", "19:10:00", "19:50:00")]}, ProofState.NO_CREDENTIAL, PROVEN_AT + 300),
    ],
)  # fmt: skip
def test_state_follows_from_proof_and_error_log(sections, state, since):
    server = the_proof(**sections)
    assert (server.state, server.since) == (state, since)
    assert server.state.is_bad == (state in {ProofState.PROVIDER_DISABLED, ProofState.NO_CREDENTIAL, ProofState.FAILING})
    assert server.state.is_open == (state not in {ProofState.PROVEN, ProofState.UNKNOWN})
    assert server.has_stopped == server.state.is_bad


@pytest.mark.parametrize("message", ["33027", "33111"])
def test_message_without_a_code_counts_while_backups_fail(message):
    errors = [error(message, "19:10:00", "19:50:00"), error("3041", "19:10:00", "19:50:00")]
    server = the_proof(errors=errors)
    assert (server.state, server.since, bool(server.failed)) == (ProofState.FAILING, unix(DAY + "19:10:00"), True)
    assert ([each.code for each in server.signs], server.codes) == ([message], ())
    coded = the_proof(errors=[*errors, error("3303", "19:10:00", "19:50:00")])
    assert [each.code for each in coded.signs] == ["3303"]
    assert the_proof(errors=[error(message, "18:10:00", "18:50:00"), errors[1]]).state is ProofState.PROVEN


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("18:00:00", "19:59:00", False),  # the last good backup began at 19:00
        ("18:00:00", "20:00:00", True),
        ("19:30:00", "20:29:59", False),
        ("19:30:00", "20:30:00", True),
    ],
)
@pytest.mark.parametrize("message", ["3041", "18204"])
def test_backups_that_fail_for_an_hour_without_a_code_prove_nothing(message, first, last, expected):
    server = the_proof(errors=[error(message, first, last)])
    assert (server.state, bool(server.failed)) == (ProofState.STOPPED if expected else ProofState.PROVEN, expected)
    assert (server.is_old, server.has_stopped) == (False, expected)
    assert ("backups fail since" in codes_text(server, READ_AT)) == expected
    assert not the_proof(errors=[error(message, first, last)], databases=CLOSED).failed


def of_node(server: ServerProof, node: str) -> ServerProof:
    return replace(server, server=node, reading=replace(server.reading, address=node))


def repaired(altered_at: str = DAY + "14:00:00", before: str | None = None, **sections: Any) -> ServerProof:
    """The node that failed from 12:00 to 13:50."""
    credentials = [altered(altered_at)[0] | ({} if before is None else {"earlier_utc": before})]
    return of_node(the_proof(errors=[error("3303", "12:00:00", "13:50:00")], credentials=credentials, **sections), "n2")


def left_behind(other: ServerProof, **sections: Any) -> ServerProof:
    """The proof of a node that shares the client id."""
    found = {each.server: each for each in with_refusals([other, of_node(the_proof(**sections), "n1")])}
    assert found["n2"].refusal is None
    return found["n1"]


def test_only_a_code_of_a_refused_secret_shows_a_refusal():
    assert shows_refusal(a_reading(sections={"errors": [error("3303", "12:00:00", "13:50:00")]}))
    assert not shows_refusal(a_reading(sections={"errors": [error("3041", "12:00:00", "13:50:00"), {"lines": 1}]}))


NOT_SINCE: dict[str, Any] = {"backups": []}  # its proof is its start of long ago


@pytest.mark.parametrize(
    ("other", "sections", "expected"),
    [
        (repaired(), NOT_SINCE, True),
        (repaired(), {}, False),  # a backup of 19:00
        (repaired(), {"credentials": altered(DAY + "12:00:00"), **NOT_SINCE}, False),  # altered since the refusal
        (repaired(), {"credentials": altered("never"), **NOT_SINCE}, True),
        (repaired(DAY + "11:00:00"), NOT_SINCE, False),  # not repaired
        (of_node(the_proof(), "n2"), NOT_SINCE, False),  # nothing was refused
        (repaired(before="2026-01-02T00:00:00"), NOT_SINCE, True),
        (repaired(before="2025-12-20T03:00:00"), NOT_SINCE, True),  # two weeks earlier: one roll-over
        (repaired(before="2025-12-19T03:00:00"), NOT_SINCE, False),  # it had another secret
        (repaired(before=DAY + "11:00:00"), NOT_SINCE, False),  # it was typed wrong
        (repaired(before=DAY + "13:00:00"), NOT_SINCE, True),  # it was typed wrong after the refusal
    ],
)
def test_credential_as_old_as_a_refused_one_needs_a_proof_since(other, sections, expected):
    server = left_behind(other, **sections)
    assert server.state is (ProofState.LEFT_BEHIND if expected else the_proof(**sections).state)
    assert (refusal_text(server, READ_AT) != "") == expected
    if expected:
        assert (server.since, server.state.is_open, server.state.is_bad) == (unix(DAY + "12:00:00"), True, False)


@pytest.mark.parametrize(("started", "expected"), [("14:00:00", True), ("14:00:01", False)])
def test_backup_two_hours_after_the_refusal_elsewhere_proves_another_secret(started, expected):
    late = backup("L")[0] | {"started_utc": DAY + started, "finished_utc": DAY + "14:05:00"}
    assert (left_behind(repaired(), backups=[late]).state is ProofState.LEFT_BEHIND) == expected


def test_start_after_the_refusal_elsewhere_proves_another_secret():
    start = {"start": [{"started_utc": DAY + "12:30:00"}], "opened": [{"database": "sales", "opened_utc": DAY + "12:30:10"}]}
    assert left_behind(repaired(), backups=[], **start).state is ProofState.PROVEN


def test_credential_that_is_left_behind_is_named_with_the_other_server():
    text = proof_text(left_behind(repaired(), **NOT_SINCE), READ_AT)
    assert text == (
        "25 d 19 h ago, start that opened [sales]; its credential was altered at 2026-01-02 03:04 UTC, before Entra ID refused the secret of n2 "
        "since 12:00 UTC, so it may have that secret too"
    )
    assert "altered at an unknown time, before" in refusal_text(
        left_behind(repaired(), credentials=altered("never"), **NOT_SINCE), READ_AT
    )
    failing = left_behind(repaired(), errors=[error("3303", "19:10:00", "19:50:00")], **NOT_SINCE)
    assert (failing.state, refusal_text(failing, READ_AT)) == (ProofState.FAILING, "")


def test_long_backup_hides_no_code_that_follows_its_start():
    full = backup("D")[0] | {"started_utc": DAY + "17:00:00", "finished_utc": DAY + "19:58:00"}
    errors = [error("3303", "19:00:00", "19:45:00"), error("3041", "19:00:30", "19:45:00")]
    server = the_proof(backups=[full], errors=errors)
    assert (server.state, bool(server.failed), server.since) == (ProofState.FAILING, True, unix(DAY + "19:00:00"))
    over = backup("L")[0] | {"started_utc": DAY + "19:50:00", "finished_utc": DAY + "19:51:00"}
    assert the_proof(backups=[full, over], errors=errors).state is ProofState.PROVEN


@pytest.mark.parametrize(
    ("started", "expected"), [("19:25:00", ProofState.DUE), ("19:24:00", ProofState.FAILING), ("19:20:00", ProofState.FAILING)]
)
def test_backup_after_the_last_failed_one_ends_failing(started, expected):
    errors = [error("3303", "18:00:00", "19:24:30"), error("3041", "18:00:00", "19:24:30")]
    late = backup("L")[0] | {"started_utc": DAY + started, "finished_utc": DAY + "19:26:00"}
    server = the_proof(backups=[late], errors=errors, credentials=altered(DAY + "19:24:00"))
    assert (server.state, bool(server.failed)) == (expected, expected is ProofState.FAILING)


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"errors": [error("3303", "19:10:00", "19:50:00"), error("3041", "19:12:00", "19:50:00")]}, True),
        ({"errors": [error("3303", "19:10:00", "19:50:00"), error("3041", "18:12:00", "19:00:00")]}, False),
        ({"errors": [error("3041", "19:12:00", "19:50:00")]}, False),  # of another cause
        ({"errors": [error("3041", "19:12:00", "19:50:00")], "keys": WITHOUT_CREDENTIAL}, True),
    ],
)
def test_backups_fail_with_code_or_without_credential(sections, expected):
    server = the_proof(**sections)
    assert bool(server.failed) is expected
    assert server.since == (
        PROVEN_AT if server.state is ProofState.PROVEN else unix(DAY + ("19:12:00" if not server.codes else "19:10:00"))
    )


@pytest.mark.parametrize(("kind", "finished", "days"), [("L", "19:05:00", 1), ("I", "13:05:00", 8), ("D", "01:05:00", 8)])
def test_proofs_stop_with_the_rhythm_of_their_backups(kind, finished, days):
    last = unix(DAY + finished) + days * 86400
    assert the_proof(backups=backup(kind), backups_read_at=last).state is ProofState.PROVEN
    stopped = the_proof(backups=backup(kind), backups_read_at=last + 1)
    assert (stopped.state, stopped.has_stopped) == (ProofState.STOPPED, True)


@pytest.mark.parametrize(("seconds", "expected"), [(86400, False), (86401, True)])
def test_proof_that_is_due_for_a_day_has_stopped(seconds, expected):
    late = the_proof(credentials=altered(DAY + "19:30:00"), backups_read_at=unix(DAY + "19:30:00") + seconds)
    assert (late.state, late.has_stopped) == (ProofState.DUE, expected)


@pytest.mark.parametrize(("seconds", "expected"), [(86400, True), (86401, False)])
def test_server_is_read_while_its_backups_are_of_a_day(seconds, expected):
    assert the_proof().is_read(READ_AT + seconds) is expected


@pytest.mark.parametrize("section", ["keys", "credentials", "encryption", "errors"])
def test_proof_is_as_old_as_what_it_follows_from(section):
    reading = a_reading()
    (server,) = server_proofs(replace(reading, read_at={**reading.read_at, section: READ_AT - 3 * 86400}))
    assert not server.is_read(READ_AT)
    assert proof_text(server, READ_AT).endswith("(read 3 d ago)")
    never = {name: at for name, at in reading.read_at.items() if name != "backups"}
    assert not server_proofs(replace(reading, read_at=never))[0].is_read(READ_AT)


def test_logs_are_those_of_databases_under_the_key():
    logs = proof_rows("hr", "sales", "other")["logs"]
    sizes = (
        {"limit_kb": 102_400 + 2048, "vlf_mb": 2},
        {"limit_kb": 102_400 + 4096, "vlf_mb": 1},
        {"limit_kb": 102_400, "vlf_mb": 0},
    )
    sections = {"logs": [row | size for row, size in zip(logs, sizes, strict=True)]}
    (server,) = server_proofs(with_growing_logs(a_reading("sales", "hr", sections=sections)))
    assert (server.first_full.full_in, server.first_full.database, server.next_file.next_file_in) == (600, "hr", 300)
    assert server.server == "SQLPRD01 on n1"


def test_log_without_rate_has_no_times():
    server = the_proof()
    assert (server.first_full, server.next_file) == (None, None)


@pytest.mark.parametrize(
    ("sections", "cause", "since"),
    [
        ({}, ProofState.CLOSED, PROVEN_AT),
        ({"errors": [error("33111", "18:10:00", "18:10:00")]}, ProofState.CLOSED, unix(DAY + "18:10:00")),
        ({"errors": [error("3077", "18:10:00", "18:10:00")]}, ProofState.FAILING, unix(DAY + "18:10:00")),
        ({"keys": WITHOUT_CREDENTIAL}, ProofState.NO_CREDENTIAL, PROVEN_AT),
        ({"providers": DISABLED}, ProofState.PROVIDER_DISABLED, PROVEN_AT),
    ],
)
def test_closed_database_is_the_most_urgent_state(sections, cause, since):
    server = the_proof(databases=CLOSED, **sections)
    assert (server.state, server.cause, server.since) == (ProofState.CLOSED, cause, since)
    assert server.proof.closed == (("claims", "RECOVERY_PENDING"),)
    assert server.state.is_bad
    assert the_proof(errors=[error("33111", "19:50:00", "19:50:00")]).state is ProofState.PROVEN  # as a restore elsewhere
