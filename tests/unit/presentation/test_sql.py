"""What SQL Servers proved themselves, and which fault of the vault is behind a code that they still show, in words and in JSON."""

from __future__ import annotations

import pytest

from exporter.core.values import Step
from exporter.knowledge.verdict import NO_FAILURE, NOT_TESTED, FailedProbe, State
from exporter.presentation.sql import (
    SqlProofs,
    ended_at,
    first_action,
    first_actions,
    is_of_the_wave,
    sql_servers_payload,
    urgency_text,
)
from exporter.sqlserver.document import Document, RegistryUri
from exporter.sqlserver.proof import server_proofs
from exporter.state.history import History
from exporter.state.record import ChangeKind, ObservedChange, TargetRecord
from tests.support.sql_readings import READ_AT, a_reading, an_unread_server, proof_rows, sections_of, unix, with_growing_logs
from tests.support.values import replace
from tests.support.web_factories import VERSION, bad, good, target

NOW = READ_AT + 60
DAY = "2026-11-26T"
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


def test_urgency_of_several_servers_names_the_only_one_or_the_number():
    failing = {"errors": [error("3303", "19:10:00", "19:50:00"), error("3041", "19:12:00", "19:50:00")]}
    one, two = a_server(**failing), a_server(a_reading(address="n1-other", sections=failing))
    assert urgency_text([one, a_server()], NOW) == "backups of SQLPRD01 on n1 fail since 19:10 UTC"
    assert urgency_text([one, one, two], NOW) == "backups of 2 SQL Servers fail since 19:10 UTC"
    assert urgency_text([a_server()], NOW) == ""


OTHER_IDENTITY = (
    "SQLPRD01 on n1 signs in with another identity than the probe, or uses another key. Compare identity and key with those of the probe "
    "(`verify.sql`): `ekm-exporter script verify.sql` has the queries."
)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "3303",
            "Look inside SQL Server, at credential [tde_cred]: the vault side works. Write the present secret with `ekm-exporter script alter-credential.sql`: on SQLPRD01 on n1, run what it prints, and",
        ),
        ("3008", "The exporter's network path works. Test the network path from SQLPRD01 on n1 to the vault"),
        ("3077", OTHER_IDENTITY),
        ("3076", OTHER_IDENTITY),
        (
            "2058",
            "The connector could not read or write its Windows registry key (2058). Run `ekm-exporter doctor TARGET` on the host of SQLPRD01 on n1:",
        ),
        (
            "3011",
            "Stop the caller that `callers.kql` shows, and repeat the log backups of SQLPRD01 on n1 after ten minutes without 429.",
        ),
        ("99999", "Read the lines of SQLPRD01 on n1: `EXEC sys.sp_readerrorlog"),
    ],
)
def test_first_action_follows_from_the_code(code, expected):
    assert first_action(a_server(errors=[error(code, "19:10:00", "19:50:00")])).startswith(expected)


@pytest.mark.parametrize(("code", "is_other"), [("3008", True), ("3077", True), ("3303", False), ("2058", False)])
def test_action_without_a_ready_probe_compares_with_none(code, is_other):
    server = a_server(errors=[error(code, "19:10:00", "19:50:00")])
    found = first_action(server, is_ready=False)
    unknown = f"No probe shows whether the vault side of SQLPRD01 on n1 is ready. `ekm-exporter explain {code}` has the causes and their actions."
    works = "Look inside SQL Server, at credential [tde_cred]: the vault side works. "
    assert found == (unknown if is_other else first_action(server).removeprefix(works))


@pytest.mark.parametrize("code", ["3303", "3011", "99999"])
@pytest.mark.parametrize("is_over", [False, True])
def test_closed_database_is_opened_before_its_log_is_backed_up(code, is_over):
    """In an availability group neither statement is right on a secondary: the restart of that service opens it."""
    errors = [error(code, "19:10:00", "19:50:00")]
    (row,) = sections_of()["databases"]
    alone = a_server(errors=errors, databases=[row | {"state": "RECOVERY_PENDING", "in_group": 0}])
    text = first_action(alone, NOW if is_over else None)
    assert text.lower().index("open it on sqlprd01 on n1: `alter database [sales] set online;`") < text.index("log backup")
    assert text.endswith("Then repeat the log backups.")
    for group in ({"in_group": 1, "ag": "AG1"}, {"in_group": 1}):  # without a right, its name is hidden
        text = first_action(
            a_server(errors=errors, databases=[row | {"state": "RECOVERY_PENDING"} | group]), NOW if is_over else None
        )
        assert "estart the service of SQLPRD01 on n1 alone" in text
        assert "`ALTER DATABASE [sales] SET HADR RESUME;`" in text
        assert "[sales] SET ONLINE" not in text
        assert "backup" not in text


def test_every_node_that_needs_the_statement_is_named():
    errors = [error("3303", "19:10:00", "19:50:00")]
    servers = [server_proofs(a_reading(host=f"n{each}", sections={"errors": errors}))[0] for each in range(1, 17)]
    text = first_actions(servers, servers[1], None, NOW)
    assert "on SQLPRD01 on n2, run what it prints" in text
    assert " Then do the same on SQLPRD01 on n1, SQLPRD01 on n3, " in text
    assert text.endswith("SQLPRD01 on n13 and 3 more.")


def test_node_whose_statement_has_other_names_has_its_own():
    servers = [
        server_proofs(a_reading(host=f"n{each}", sections={"keys": [WITHOUT_CREDENTIAL[0] | {"login": f"login{each}"}]}))[0]
        for each in (1, 1, 2, 3, 4, 5)
    ]
    text = first_actions(servers, servers[0], None, NOW)
    for each in (1, 2, 3, 4):
        assert f"`ALTER LOGIN [login{each}] ADD CREDENTIAL [" in text
    assert text.endswith("Then do the same on SQLPRD01 on n1, SQLPRD01 on n5.")


def test_stalled_log_is_a_first_sentence_of_its_own():
    failing = {"errors": [error("3303", "19:10:00", "19:50:00"), error("3041", "19:12:00", "19:50:00")]}
    server = a_server(replace(a_reading(sections=failing), stalled={"sales": (READ_AT - 600, 3495.0)}))
    assert urgency_text([server], NOW) == (
        "the log of [sales] of SQLPRD01 on n1 has not grown since 19:50 UTC, when its next virtual log file (VLF) was due: the database may no longer "
        "write. Backups of SQLPRD01 on n1 fail since 19:10 UTC"
    )


@pytest.mark.parametrize(("login", "named"), [("tde_login", "tde_login"), ("x];`DROP", "LOGIN"), ("", "LOGIN")])
def test_first_action_quotes_only_plain_logins(login, named):
    server = a_server(keys=WITHOUT_CREDENTIAL)
    text = first_action(replace(server, login=login))
    assert f"ALTER LOGIN [{named}] ADD CREDENTIAL [" in text
    assert text.count("`") == 2
    assert ("`ALTER LOGIN" in text) == (named == login)


def test_several_credentials_are_no_statement_to_copy():
    server = a_server(keys=WITHOUT_CREDENTIAL)
    text = first_action(replace(server, candidate=""))
    assert text.endswith(
        "ALTER LOGIN [tde_login] ADD CREDENTIAL [CREDENTIAL]; `ekm-exporter script verify.sql`, part 2, has the names."
    )


def test_proven_key_needs_no_action():
    assert first_action(a_server()) == ""


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
    uri = f"https://contoso-prod.vault.azure.net/keys/contosorsakey0/{VERSION.upper()}"
    known = replace(reading, document=replace(reading.document, key_uris=(RegistryUri("0x2c56", uri),)))
    (server,) = proofs_of(known).target_proofs(a_target(thumbprint=None))
    assert server.key_name == "key_2C56"


def test_key_uri_counts_before_a_thumbprint_of_several_versions():
    reading = a_reading()
    uri = f"https://contoso-prod.vault.azure.net/keys/contosorsakey0/{'0' * 32}"
    known = replace(reading, document=replace(reading.document, key_uris=(RegistryUri("0x2c56", uri),)))
    assert proofs_of(known).target_proofs(a_target()) == ()
    assert len(proofs_of(known).target_proofs(a_target(key_version=None))) == 1  # without a pin, the thumbprint alone is known


def test_servers_ignore_case_and_those_due_come_first():
    due = a_reading(address="n2", host="N2", sections={"credentials": credential(DAY + "19:00:00")})
    instances = (ON_N1, {"sql_instance": "sqlprd01", "host": "n2"}, ON_N1)
    found = proofs_of(a_reading(), due).target_proofs(a_target(instances=instances))
    assert [server.server for server in found] == ["SQLPRD01 on N2", "SQLPRD01 on n1"]


def test_worse_of_two_addresses_with_the_same_names_comes_first():
    liar = a_reading(address="10.0.0.5")
    closed = [{"name": "sales", "state": "RECOVERY_PENDING", "is_encrypted": 1}]
    honest = a_reading(address="10.0.0.6", contested=True, sections={"databases": closed})
    found = proofs_of(liar, honest).target_proofs(a_target())
    assert [(each.reading.address, each.state) for each in found] == [("10.0.0.6", "closed"), ("10.0.0.5", "proven")]
    assert found[0].server == "10.0.0.6 (answers as SQLPRD01 on n1)"
    assert len(proofs_of(liar, honest).target_proofs(a_target(instances=({"sql_instance": "SQLPRD01"},)))) == 2
    assert proofs_of(liar, replace(honest, document=Document())).target_proofs(a_target()) == (found[1],)


@pytest.mark.parametrize("changes", [{}, {"document": Document()}])
def test_instance_without_host_on_two_servers_has_no_proof(changes):
    other = a_reading(address="n2", host="n2", **changes)
    assert proofs_of(a_reading(), other).target_proofs(a_target(instances=({"sql_instance": "SQLPRD01"},))) == ()


def test_proofs_follow_each_new_reading():
    readings = [a_reading()]
    proofs = SqlProofs(lambda: readings)
    assert proofs.target_proofs(a_target()) == ()
    assert proofs.refresh()
    first = proofs.target_proofs(a_target())[0]
    assert proofs.target_proofs(a_target())[0] is first
    readings[0] = a_reading(sections={"backups": []})
    proofs.refresh()
    assert proofs.target_proofs(a_target())[0].source == "start"
    readings[0] = an_unread_server()
    assert not proofs.refresh()
    assert proofs.target_proofs(a_target()) == ()


def test_messages_without_a_code_have_their_repair():
    server = a_server(errors=[error("33111", "19:10:00", "19:50:00"), error("3041", "19:10:00", "19:50:00")])
    assert first_action(server).startswith(
        "SQLPRD01 on n1 did not get the key of its databases (33111). `ekm-exporter explain 33111` has"
    )
    (payload,) = sql_servers_payload([server], now=NOW)["sql_servers"]
    assert (payload["state"], payload["codes_since"], payload["backups_fail"]) == ("failing", ["33111"], True)


def test_payload_is_absent_without_reading():
    assert sql_servers_payload((), now=NOW) == {}


def test_payload_has_proof_and_log():
    reading = growing(limit_kb=102_400 + 1024 * 44)
    (shown,) = sql_servers_payload([a_server(reading)], now=NOW)["sql_servers"]
    assert shown == {
        "sql_instance": "SQLPRD01",
        "host": "n1",
        "contested": False,
        "read_at": "2026-11-26T20:00:00.000Z",
        "key_name": "key_2C56",
        "thumbprint": "0x2C56",
        "login": "tde_login",
        "credential": "tde_cred",
        "credential_altered_at": "2026-01-02T03:04:05.000Z",
        "state": "proven",
        "since": "2026-11-26T19:05:00.000Z",
        "proof_due": False,
        "proven_at": "2026-11-26T19:05:00.000Z",
        "proven_by": "log_backup",
        "database": "sales",
        "codes_since": [],
        "backups_fail": False,
        "trace_flag_15025": False,
        "logs_read_at": "2026-11-26T20:00:00.000Z",
        "log_full_in_seconds": 44 * 300,
        "log_full_database": "sales",
        "next_log_file_in_seconds": 64 * 300,
    }


def test_payload_without_proof_and_log_has_none():
    sections = {"credentials": credential("never"), "backups": [], "opened": [], "flags": []}
    (shown,) = sql_servers_payload([a_server(**sections)], now=NOW)["sql_servers"]
    names = ("proof_due", "proven_at", "proven_by", "database", "trace_flag_15025", "log_full_in_seconds", "log_full_database")
    assert {shown[name] for name in (*names, "next_log_file_in_seconds", "credential_altered_at")} == {None}


@pytest.mark.parametrize(
    ("instances", "readings", "expected"),
    [
        ((), [a_reading()], NOT_TESTED),
        ((ON_N1,), [], NOT_TESTED),
        ((ON_N1,), [a_reading()], ""),
        ((ON_N1,), [a_reading(sections={"credentials": credential(DAY + "19:00:00")})], NOT_TESTED),
        ((ON_N1,), [a_reading(sections={"credentials": credential("never")})], NOT_TESTED),
        ((ON_N1, {"sql_instance": "OTHER", "host": "n2"}), [a_reading()], f"{NOT_TESTED}, for OTHER on n2"),
        (
            (ON_N1, *({"sql_instance": "OTHER", "host": f"n{each}"} for each in range(2, 7))),
            [a_reading()],
            f"{NOT_TESTED}, for OTHER on n2, OTHER on n3, OTHER on n4 and 2 more",
        ),
    ],
)
def test_proof_by_each_server_leaves_nothing_untested(instances, readings, expected):
    assert proofs_of(*readings).not_tested(a_target(instances=instances), NOW) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(86400, ""), (86401, NOT_TESTED)])
def test_proof_that_is_not_read_for_a_day_tests_nothing(seconds, expected):
    now = READ_AT + seconds
    assert proofs_of(a_reading()).not_tested(a_target(), now) == expected
    (shown,) = sql_servers_payload([a_server()], now=now)["sql_servers"]
    assert shown["state"] == ("unknown" if expected else "proven")


def test_servers_that_are_not_read_have_a_kind_and_no_error_text():
    readings = [
        a_reading(),
        a_reading(address="n2", host="n2", failure="refused", refused=True),
        a_reading(address="n3", host="n3", failure="no answer"),
        an_unread_server("n4", sql_instance="SQLPRD01", host="n4"),
        an_unread_server("n5", sql_instance="SQLPRD01", host="n5"),
        an_unread_server("n6", sql_instance="OTHER", host="n6"),
    ]
    proofs = proofs_of(*readings)
    assert proofs.not_read(a_target(), NOW) == ""
    one = a_target(instances=(ON_N1, {"sql_instance": "SQLPRD01", "host": "n4"}))
    assert proofs.not_read(one, NOW) == "One SQL Server of this target is not read: SQLPRD01 on n4 (does not answer)."
    assert proofs.not_read(a_target(instances=[ON_N1 | {"host": f"n{each}"} for each in range(1, 7)]), READ_AT + 3601) == (
        "4 SQL Servers of this target are not read: SQLPRD01 on n2 (refused), SQLPRD01 on n3 (no answer), "
        "SQLPRD01 on n4 (does not answer) and 1 more."
    )


BEGAN, ENDED = unix(DAY + "19:10:30"), unix(DAY + "19:40:00")
FORBIDDEN, NO_NAME = FailedProbe(Step.UNWRAP_KEY, 3077, None), FailedProbe(Step.CHALLENGE, 3900, None)


def state(at, before, after, failure=FORBIDDEN):
    return ObservedChange(at, ChangeKind.STATE, before, after, failure=failure)


CHANGES = (state(BEGAN, "ready", "not_ready"), state(ENDED, "not_ready", "ready"))


def a_server_with(code="3077", last="19:20:00"):
    errors = [{"code": code, "lines": 2, "first_utc": DAY + "19:06:00", "last_utc": DAY + last}]
    (server,) = server_proofs(a_reading(sections={"errors": errors}))
    return server


def a_record(*changes, **known):
    return TargetRecord(target(interval=60.0), History(1), state=known.get("state", State.READY), changes=changes)


CHANGED = (
    state(BEGAN, "ready", "not_ready"),
    ObservedChange(BEGAN + 60, ChangeKind.CODE, "3077", "3900", failure=NO_NAME),
    ObservedChange(BEGAN + 90, ChangeKind.REGION, "a", "b"),
    state(ENDED, "not_ready", "ready", NO_NAME),
    state(ENDED + 60, "ready", "not_ready"),
)


@pytest.mark.parametrize(
    ("server", "record", "expected"),
    [
        (a_server_with(), a_record(*CHANGES), ENDED),
        (a_server_with("3113"), a_record(*CHANGES), ENDED),  # its number in the other connector
        (a_server_with(last="19:40:01"), a_record(*CHANGES), None),  # after the end
        (a_server_with(last="19:09:29"), a_record(*CHANGES), None),  # before its begin
        (a_server_with("3303"), a_record(*CHANGES), None),
        (a_server_with("3077"), a_record(*CHANGED), ENDED),  # a fault has all codes between two ready probes
        (a_server_with("3900"), a_record(*CHANGED), ENDED),
        (a_server_with("3900"), a_record(state(ENDED, "not_ready", "ready", NO_NAME)), ENDED),  # its begin is not known
        (a_server_with("3900"), a_record(state(BEGAN, "not_ready", "ready", NO_NAME), *CHANGES), None),
        (a_server_with("99999"), a_record(*CHANGES), None),
        (a_server_with(), a_record(state(BEGAN, "ready", "not_ready", NO_FAILURE), state(ENDED, "not_ready", "ready", NO_FAILURE)), None),
        (a_server_with(), a_record(*CHANGES, state=State.NOT_READY), None),
        (a_server_with(), None, None),
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
    assert ended_at(record, a_server_with()) is None
    assert [is_of_the_wave(record, a_server_with(code)) for code in ("3077", "3113", "3303", "99999")] == [
        True,
        True,
        False,
        False,
    ]
    assert not is_of_the_wave(None, a_server_with())


def test_action_after_an_ended_fault_accuses_no_identity():
    assert "Compare identity" in first_action(a_server_with())
    assert first_action(a_server_with(), ENDED) == "Repeat the failed log backups of SQLPRD01 on n1: they need no other change."
