"""Which keys SQL Server itself proved, what that amounts to, and in words."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.sqlserver.document import Document, KeyVersion, RegistryUri
from exporter.sqlserver.proof import (
    ProofState,
    ReportedCode,
    ServerProof,
    codes_text,
    proof_text,
    server_proofs,
    version_of,
)
from tests.support.sql_readings import READ_AT, a_reading, an_unread_server, proof_rows, sections_of, unix, with_growing_logs
from tests.support.values import replace

DAY = "2026-11-26T"
OPENED = {"database": "sales", "opened_utc": "2026-11-01T00:00:10", "encryption_state": 3}


def altered(text, **changes):
    return [sections_of()["credentials"][0] | {"modified_utc": text} | changes]


def backup(kind, started, finished, database="sales"):
    return {"database": database, "type": kind, "started_utc": started, "finished_utc": finished}


def proof_of(*databases, **sections):
    (proof,) = server_proofs(a_reading(*databases, sections=sections))
    return proof


def a_key(**changes):
    return [sections_of()["keys"][0] | changes]


def _without(row, *columns, **changes):
    return {name: value for name, value in row.items() if name not in columns} | {"has_sid": 0} | changes


def test_proofs_of_a_reading_are_made_once():
    reading = a_reading()
    assert server_proofs(reading) is server_proofs(reading)
    assert server_proofs(replace(reading, document=Document())) == ()


def test_latest_backup_proves_key_of_its_database():
    proof = proof_of("hr", "sales", backups=[backup("L", DAY + "19:00:00", DAY + "19:05:00")])
    assert (proof.proven_at, proof.source, proof.database) == (unix(DAY + "19:05:00"), "log_backup", "sales")
    assert (proof.key_name, proof.thumbprint, proof.databases) == ("key_2C56", "0x2C56", ("hr", "sales"))
    assert (proof.login, proof.credential, proof.altered_at) == ("tde_login", "tde_cred", unix("2026-01-02T03:04:05"))


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("D", "full_backup"),
        ("I", "differential_backup"),
        ("L", "log_backup"),
        ("F", "full_backup"),
        ("P", "full_backup"),
        ("G", "differential_backup"),
        ("Q", "differential_backup"),
        ("X", "start"),
    ],
)
def test_backup_type_is_source_of_proof(kind, source):
    assert proof_of(backups=[backup(kind, DAY + "19:00:00", DAY + "19:05:00")]).source is source


@pytest.mark.parametrize(
    ("started", "is_proven"), [("15:59:59", False), ("16:00:00", True), ("13:00:00", False), ("19:00:00", True)]
)
def test_backup_proves_secret_two_hours_after_alter(started, is_proven):
    backups = [backup("L", DAY + started, DAY + "19:30:00")]
    proof = proof_of(credentials=altered(DAY + "14:00:00"), backups=backups)
    assert (proof.proven_at is not None) == is_proven
    assert proof.altered_at == unix(DAY + "14:00:00")
    assert (proof.source, proof.database) == (("log_backup", "sales") if is_proven else (None, ""))


@pytest.mark.parametrize(
    ("set_utc", "is_proven"), [(None, True), ("1900-01-01T00:00:00", True), (DAY + "17:00:00", True), (DAY + "17:00:01", False)]
)
def test_backup_before_the_database_had_the_key_proves_nothing(set_utc, is_proven):
    rows = [OPENED | {"opened_utc": "never"} | ({} if set_utc is None else {"set_utc": set_utc})]
    backups = [backup("L", DAY + "19:00:00", DAY + "19:05:00")]
    assert (proof_of(opened=rows, backups=backups).proven_at is not None) == is_proven


def test_proof_counts_from_the_latest_start_of_a_backup():
    full, log = backup("D", DAY + "17:00:00", DAY + "19:58:00"), backup("L", DAY + "18:00:00", DAY + "18:01:00")
    proof = proof_of(backups=[full, log])
    assert (proof.proven_at, proof.proven_from) == (unix(DAY + "19:58:00"), unix(DAY + "18:00:00"))


def test_backup_of_database_under_other_key_proves_nothing():
    backups = [backup("L", DAY + "19:00:00", DAY + "19:05:00", database="unencrypted")]
    assert proof_of(backups=backups, opened=[]).proven_at is None


@pytest.mark.parametrize("column", ["started_utc", "finished_utc", "database", "type"])
def test_backup_without_time_or_name_proves_nothing(column):
    row = backup("L", DAY + "19:00:00", DAY + "19:05:00")
    del row[column]
    assert proof_of(backups=[row], opened=[]).proven_at is None


@pytest.mark.parametrize(
    ("modified", "opened", "is_proven"),
    [
        ("2026-10-01T00:00:00", "2026-11-01T00:00:10", True),
        ("2026-10-01T00:00:00", "2026-10-01T02:00:00", True),  # without a start, as a backup
        ("2026-10-01T00:00:00", "2026-10-01T01:59:59", False),
        ("2026-11-01T00:00:00", "2026-11-01T00:00:10", False),  # altered at or after the start
        ("2026-11-20T00:00:00", "2026-11-20T02:00:00", True),
        ("never", "2026-11-01T00:00:10", False),  # it may have been altered since
        ("2026-10-01T00:00:00", "never", False),
    ],
)
def test_start_proves_credential_altered_before_it(modified, opened, is_proven):
    proof = proof_of(credentials=altered(modified), opened=[OPENED | {"opened_utc": opened}], backups=[])
    assert (proof.source == "start") == is_proven
    assert proof.proven_at == (unix(opened) if is_proven else None)


def test_opening_of_other_database_proves_nothing():
    assert proof_of(opened=[OPENED | {"database": "other"}], backups=[]).proven_at is None


@pytest.mark.parametrize("start", [[], [{"started_utc": "unknown"}]])
def test_opening_without_known_start_counts_as_a_backup(start):
    assert proof_of(start=start, backups=[]).source == "start"
    assert proof_of(start=start, backups=[], credentials=altered("2026-11-01T00:00:00")).proven_at is None


def test_openings_read_before_last_start_prove_nothing():
    reading = a_reading(sections={"backups": [], "start": [{"started_utc": DAY + "19:00:00"}], "opened": [OPENED]})
    late = replace(reading, document=reading.document, read_at={**reading.read_at, "opened": unix(DAY + "18:59:00")})
    opened = [OPENED | {"opened_utc": DAY + "18:30:00"}]
    late = replace(late, document=replace(late.document, sections={**late.document.sections, "opened": tuple(opened)}))
    assert server_proofs(late)[0].proven_at is None
    assert server_proofs(replace(late, read_at={**late.read_at, "opened": READ_AT}))[0].source == "start"


def test_hidden_databases_of_a_key_without_others_prove_nothing():
    databases = [{"name": "sales", "state": "ONLINE", "is_encrypted": 1, "in_group": 0}]
    proof = proof_of(encryption=[], databases=databases, backups=[backup("D", DAY + "01:00:00", DAY + "01:05:00")])
    assert (proof.databases, proof.source) == (("sales",), None)


def test_key_that_protects_nothing_has_no_proof():
    keys = [*a_key(), a_key(name="old", thumbprint="0xAB")[0]]
    assert [proof.key_name for proof in server_proofs(a_reading(sections={"keys": keys}))] == ["key_2C56"]


@pytest.mark.parametrize("reading", [an_unread_server(), a_reading(sections={"instance": None})])
def test_server_that_was_never_read_has_no_proof(reading):
    assert server_proofs(reading) == ()


WITHOUT_LOGIN, NO_CREDENTIAL = [_without(a_key()[0], "login", "credential")], [_without(a_key()[0], "credential", has_sid=1)]
OF_NO_LOGIN = [_without(a_key()[0], "login", "credential", has_sid=1)]
LOGINS = [{"name": "tde_login", "provider": "AzureKV", "credential": "tde_cred"}]
SEVERAL = [*altered(DAY + "14:00:00"), *altered(DAY + "15:00:00", name="other")]
ODD = [*altered(DAY + "14:00:00", name="odd", identity="?"), *altered("2026-01-02T03:04:05")]
OLD = "2026-01-02T03:04:05"


@pytest.mark.parametrize(
    ("sections", "login", "credential", "is_missing", "altered_at"),
    [
        ({"keys": NO_CREDENTIAL}, "tde_login", "", True, None),
        ({"keys": NO_CREDENTIAL, "credentials": []}, "tde_login", "", True, None),
        # Without a SID, the only login is that of the key.
        ({"keys": WITHOUT_LOGIN, "credentials": [], "logins": [{"name": "tde_login"}]}, "tde_login", "", True, None),
        ({"keys": WITHOUT_LOGIN, "credentials": [], "logins": [{"name": "tde_login"}, {"name": "other_login"}]}, "", "", True, None),
        ({"keys": WITHOUT_LOGIN, "credentials": [], "logins": []}, "", "", True, None),
        ({"keys": OF_NO_LOGIN, "credentials": [], "logins": [{"name": "a"}]}, "", "", True, None),
        ({"keys": WITHOUT_LOGIN, "logins": [{"name": "tde_login"}]}, "tde_login", "", True, None),
        ({"keys": WITHOUT_LOGIN, "logins": LOGINS}, "", "tde_cred", False, OLD),
        ({"keys": WITHOUT_LOGIN, "logins": LOGINS, "credentials": ODD}, "", "tde_cred", False, OLD),  # one without a vault hides none
        ({"credentials": []}, "tde_login", "tde_cred", False, None),  # one that is not listed is not missing
        ({"keys": a_key(credential="gone"), "credentials": SEVERAL}, "tde_login", "tde_cred", False, DAY + "15:00:00"),  # the latest change counts
        ({"keys": a_key(credential="gone"), "credentials": [*SEVERAL, *altered("never", name="third")]}, "tde_login", "tde_cred", False, None),
    ],
)  # fmt: skip
def test_credential_of_a_key(sections, login, credential, is_missing, altered_at):
    proof = proof_of(**sections)
    assert (proof.login, proof.credential, proof.credential_missing) == (login, credential, is_missing)
    assert proof.altered_at == (altered_at and unix(altered_at))
    is_unknown = not is_missing and altered_at is None  # nothing proves a secret that was altered nobody knows when
    assert (proof.is_due, proof.proven_at) == ((None, None) if is_unknown else (is_missing, unix(DAY + "19:05:00")))


def test_credential_that_is_not_listed_is_not_due():
    assert proof_of(credentials=[], backups=[], opened=[]).is_due is None


@pytest.mark.parametrize(("unknown", "is_missing", "is_due"), [("credentials", False, None), ("logins", True, True)])
def test_unknown_credentials_are_not_missing(unknown, is_missing, is_due):
    reading = a_reading(sections={"credentials": None, "keys": WITHOUT_LOGIN})
    (proof,) = server_proofs(replace(reading, document=replace(reading.document, errors={unknown: "refused"})))
    assert (proof.credential_missing, proof.is_due) == (is_missing, is_due)


def test_credential_follows_vault_of_the_servers_own_registry():
    credentials = [*altered(DAY + "14:00:00"), *altered(DAY + "15:00:00", name="new", identity="contoso-new")]
    logins = [
        {"name": f"{name}_login", "provider": "AzureKV", "credential": of} for name, of in (("a", "tde_cred"), ("b", "new"))
    ]
    reading = a_reading(sections={"credentials": credentials, "keys": WITHOUT_LOGIN, "logins": logins})
    uris = (RegistryUri("0x2c56", "https://contoso-new.vault.azure.net/keys/Key0/0123"),)
    (proof,) = server_proofs(replace(reading, document=replace(reading.document, key_uris=uris)))
    assert (proof.credential, proof.altered_at) == ("new", unix(DAY + "15:00:00"))


def test_registry_names_version_of_thumbprint():
    reading = a_reading()
    uris = RegistryUri("0xAB", "https://a.vault.azure.net/keys/K/1"), RegistryUri("0x2c56", "https://b.vault.azure.net/keys/K/2")
    known = replace(reading, document=replace(reading.document, key_uris=uris))
    assert version_of(known, "0x2C56") == KeyVersion("b.vault.azure.net", "K", "2")
    assert version_of(known, "0xCD") is None
    assert version_of(an_unread_server(), "0x2C56") is None


def test_provider_codes_after_last_proof_are_reported():
    def row(code, first, last):
        return {"code": code, "lines": 3, "first_utc": DAY + first, "last_utc": DAY + last}

    errors = [
        row("other", "02:10:00", "19:50:00"),
        row("18204", "02:10:00", "19:50:00"),
        row("3041", "02:10:00", "19:50:00"),
        row("3303", "02:10:00", "19:50:00"),
        row("3077", "02:10:00", "19:55:00"),
        row("3900", "01:00:00", "19:00:00"),
        {"code": "3011", "lines": 0},
        {"code": "3012", "lines": 1, "first_utc": DAY + "19:50:00"},
    ]
    found = the_proof(errors=errors).codes
    assert [code.code for code in found] == ["3077", "3303"]
    assert found[1] == ReportedCode("3303", unix(DAY + "02:10:00"), unix(DAY + "19:50:00"))


PROVEN_AT = unix(DAY + "19:05:00")
WITHOUT_CREDENTIAL = [{name: value for name, value in sections_of()["keys"][0].items() if name != "credential"}]
DISABLED = [sections_of()["providers"][0] | {"is_enabled": 0}]
CLOSED = [*sections_of()["databases"], sections_of()["databases"][0] | {"name": "claims", "state": "RECOVERY_PENDING"}]
SWITCHED_OFF = [sections_of()["configurations"][0] | {"value_in_use": 0}]


def the_proof(*, backups_read_at: float = READ_AT, **sections: Any) -> ServerProof:
    reading = a_reading(sections=sections)
    (server,) = server_proofs(replace(reading, read_at={**reading.read_at, "backups": backups_read_at}))
    return server


def error(code, first, last):
    return {"code": code, "lines": 2, "first_utc": DAY + first, "last_utc": DAY + last}


def last_backup(kind):
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
    ("message", "failed", "expected"),
    [
        (("19:10:00", "19:10:00"), ("19:20:00", "19:50:00"), True),
        (("19:10:00", "19:10:00"), ("19:20:01", "19:50:00"), False),  # as a restore at another time
        (("19:10:00", "19:40:00"), ("19:30:00", "19:30:00"), True),
        (("18:10:00", "19:40:00"), ("18:10:00", "19:20:00"), False),  # the last proof began between the two
    ],
)
def test_message_without_a_code_counts_near_a_failed_backup(message, failed, expected):
    server = the_proof(errors=[error("33111", *message), error("3041", *failed)])
    assert (server.state is ProofState.FAILING, bool(server.failed)) == (expected, expected)


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


def test_long_backup_hides_no_code_that_follows_its_start():
    full = last_backup("D")[0] | {"started_utc": DAY + "17:00:00", "finished_utc": DAY + "19:58:00"}
    errors = [error("3303", "19:00:00", "19:45:00"), error("3041", "19:00:30", "19:45:00")]
    server = the_proof(backups=[full], errors=errors)
    assert (server.state, bool(server.failed), server.since) == (ProofState.FAILING, True, unix(DAY + "19:00:00"))
    over = last_backup("L")[0] | {"started_utc": DAY + "19:50:00", "finished_utc": DAY + "19:51:00"}
    assert the_proof(backups=[full, over], errors=errors).state is ProofState.PROVEN


@pytest.mark.parametrize(
    ("started", "expected"), [("19:25:00", ProofState.DUE), ("19:24:00", ProofState.FAILING), ("19:20:00", ProofState.FAILING)]
)
def test_backup_after_the_last_failed_one_ends_failing(started, expected):
    errors = [error("3303", "18:00:00", "19:24:30"), error("3041", "18:00:00", "19:24:30")]
    late = last_backup("L")[0] | {"started_utc": DAY + started, "finished_utc": DAY + "19:26:00"}
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


@pytest.mark.parametrize(("kind", "finished", "hours"), [("L", "19:05:00", 25), ("I", "13:05:00", 192), ("D", "01:05:00", 192)])
def test_proofs_stop_with_the_rhythm_of_their_backups(kind, finished, hours):
    last = unix(DAY + finished) + hours * 3600
    assert the_proof(backups=last_backup(kind), backups_read_at=last).state is ProofState.PROVEN
    stopped = the_proof(backups=last_backup(kind), backups_read_at=last + 1)
    assert (stopped.state, stopped.has_stopped) == (ProofState.STOPPED, True)


@pytest.mark.parametrize(("seconds", "expected"), [(86400, False), (86401, True)])
def test_proof_that_is_due_for_a_day_has_stopped(seconds, expected):
    late = the_proof(credentials=altered(DAY + "19:30:00"), backups_read_at=unix(DAY + "19:30:00") + seconds)
    assert (late.state, late.has_stopped) == (ProofState.DUE, expected)


@pytest.mark.parametrize(("seconds", "expected"), [(86400, True), (86401, False)])
def test_server_is_read_while_its_backups_are_of_a_day(seconds, expected):
    assert the_proof().state_at(READ_AT + seconds) is (ProofState.PROVEN if expected else ProofState.UNKNOWN)
    assert the_proof(databases=CLOSED).state_at(READ_AT + seconds) is ProofState.CLOSED


@pytest.mark.parametrize("section", ["keys", "credentials", "encryption", "errors"])
def test_proof_is_as_old_as_what_it_follows_from(section):
    reading = a_reading()
    (server,) = server_proofs(replace(reading, read_at={**reading.read_at, section: READ_AT - 3 * 86400}))
    assert server.state_at(READ_AT) is ProofState.UNKNOWN
    assert proof_text(server, READ_AT).endswith("(read 3 d ago)")
    never = {name: at for name, at in reading.read_at.items() if name != "backups"}
    assert server_proofs(replace(reading, read_at=never))[0].state_at(READ_AT) is ProofState.UNKNOWN


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
    assert server.closed == (("claims", "RECOVERY_PENDING"),)
    assert server.state.is_bad
    assert the_proof(errors=[error("33111", "19:50:00", "19:50:00")]).state is ProofState.PROVEN  # as a restore elsewhere


LATER = READ_AT + 60
NO_SIGN_IN = "login [tde_login] has no credential, so SQL Server cannot sign in to the vault"


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
    assert proof_text(the_proof(backups=[backup(kind, "2026-11-23T00:00:00", finished)]), LATER) == expected


def test_start_is_a_proof_with_a_database():
    assert proof_text(the_proof(backups=[]), unix("2026-11-01T00:10:10")) == "10 min ago, start that opened [sales]"


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        (
            {"credentials": altered(DAY + "18:02:00")},
            (
                "not proven since the credential was altered at 18:02 UTC; a backup finished at 19:07 UTC since, and one that begins at 20:02 UTC or "
                "later proves the key"
            ),
        ),
        ({"credentials": altered("2026-11-25T23:59:00")}, "54 min ago, log backup of [sales]"),
        (
            {"providers": [sections_of()["providers"][0] | {"is_enabled": 0}]},
            "54 min ago, log backup of [sales], but its EKM provider is disabled, so SQL Server cannot use the key",
        ),
        (
            {"credentials": altered("2026-11-25T23:59:00"), "backups": []},
            "not proven since the credential was altered at 2026-11-25 23:59 UTC",
        ),
        (
            {"credentials": altered("never"), "backups": [], "opened": []},
            "not known: SQL Server does not show when the credential was altered",
        ),
        ({"keys": WITHOUT_CREDENTIAL, "backups": [], "opened": []}, f"not proven: {NO_SIGN_IN}"),
        ({"keys": WITHOUT_CREDENTIAL}, f"54 min ago, log backup of [sales], but {NO_SIGN_IN}"),
    ],
)
def test_missing_proof_names_its_cause(sections, expected):
    proven_at = [backup("L", DAY + "19:00:00", DAY + "19:07:00")]
    assert proof_text(the_proof(**({"backups": proven_at} | sections)), LATER) == expected


def test_names_of_databases_are_printable():
    assert proof_text(server_proofs(a_reading("sales\n\u202ex"))[0], LATER) == "56 min ago, log backup of [sales??x]"


@pytest.mark.parametrize(("code", "expected"), [("3303", 3303), ("9999", None), ("other", None)])
def test_latest_code_is_that_of_the_catalogue(code, expected):
    line = {"code": code, "lines": 1, "first_utc": DAY + "19:10:00", "last_utc": DAY + "19:30:00"}
    latest = the_proof(errors=[line]).latest
    assert (None if latest is None else latest.code) == expected


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
    server = the_proof(errors=errors)
    assert codes_text(server, LATER) == expected


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([error("3303", "19:10:00", "19:50:00"), error("3041", "19:12:00", "19:50:00")], "its error log shows 3303 since 19:10 UTC, and backups fail"),
        ([error("18204", "19:12:00", "19:50:00")], "backups fail since 19:12 UTC"),
    ],
)  # fmt: skip
def test_failed_backups_without_credential_are_named(errors, expected):
    assert codes_text(the_proof(errors=errors, keys=WITHOUT_CREDENTIAL), LATER) == expected
