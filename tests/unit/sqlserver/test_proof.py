"""Which keys SQL Server itself proved: starts and backups after the credential was altered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.sqlserver.document import KeyVersion, RegistryUri
from exporter.sqlserver.proof import ProofSource, ReportedCode, key_proofs, reported_codes, version_of
from tests.support.sql_readings import READ_AT, a_reading, an_unread_server, sections_of, unix

DAY = "2026-11-26T"
OPENED = {"database": "sales", "opened_utc": "2026-11-01T00:00:10", "encryption_state": 3}
CREDENTIAL = {"name": "tde_cred", "identity": "contoso-prod", "provider": "AzureKV"}


def altered(text, **changes):
    return [CREDENTIAL | {"modified_utc": text} | changes]


def backup(kind, started, finished, database="sales"):
    return {"database": database, "type": kind, "started_utc": started, "finished_utc": finished}


def proof_of(*databases, **sections):
    (proof,) = key_proofs(a_reading(*databases, sections=sections))
    return proof


def a_key(**changes):
    return [sections_of()["keys"][0] | changes]


def _without(row, *columns, **changes):
    return {name: value for name, value in row.items() if name not in columns} | {"has_sid": 0} | changes


def test_proofs_of_a_reading_are_made_once():
    reading = a_reading()
    assert key_proofs(reading) is key_proofs(reading)
    assert key_proofs(replace(reading, document=None)) == ()


def test_latest_backup_proves_key_of_its_database():
    proof = proof_of("hr", "sales", backups=[backup("L", DAY + "19:00:00", DAY + "19:05:00")])
    assert (proof.proven_at, proof.source, proof.database) == (unix(DAY + "19:05:00"), ProofSource.LOG_BACKUP, "sales")
    assert (proof.key_name, proof.thumbprint, proof.databases) == ("key_2C56", "0x2C56", ("hr", "sales"))
    assert (proof.login, proof.credential, proof.altered_at) == ("tde_login", "tde_cred", unix("2026-01-02T03:04:05"))


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("D", ProofSource.FULL_BACKUP),
        ("I", ProofSource.DIFFERENTIAL_BACKUP),
        ("L", ProofSource.LOG_BACKUP),
        ("F", ProofSource.START),
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
    assert (proof.source, proof.database) == ((ProofSource.LOG_BACKUP, "sales") if is_proven else (None, ""))


@pytest.mark.parametrize(
    ("set_utc", "is_proven"),
    [(None, True), ("1900-01-01T00:00:00", True), (DAY + "19:00:00", True), (DAY + "19:00:01", False)],
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
        ("2026-10-01T00:00:00", "2026-10-31T23:00:00", True),  # the start is late by the hour of daylight saving
        ("2026-10-01T00:00:00", "2026-10-31T22:59:59", False),  # opened before the start
        ("2026-11-01T00:00:00", "2026-11-01T00:00:10", False),  # altered at or after the start
        ("2026-11-20T00:00:00", "2026-11-21T00:00:00", False),
        ("never", "2026-11-01T00:00:10", True),
        ("2026-10-01T00:00:00", "never", False),
    ],
)
def test_start_proves_credential_altered_before_it(modified, opened, is_proven):
    proof = proof_of(credentials=altered(modified), opened=[OPENED | {"opened_utc": opened}], backups=[])
    assert (proof.source is ProofSource.START) == is_proven
    assert proof.proven_at == (unix(opened) if is_proven else None)


def test_opening_of_other_database_proves_nothing():
    assert proof_of(opened=[OPENED | {"database": "other"}], backups=[]).proven_at is None


@pytest.mark.parametrize("start", [[], [{"started_utc": "unknown"}]])
def test_opening_without_known_start_proves_nothing(start):
    assert proof_of(start=start, backups=[]).proven_at is None


def test_openings_read_before_last_start_prove_nothing():
    reading = a_reading(sections={"backups": [], "start": [{"started_utc": DAY + "19:00:00"}], "opened": [OPENED]})
    late = replace(reading, document=reading.document, read_at={**reading.read_at, "opened": unix(DAY + "18:59:00")})
    opened = [OPENED | {"opened_utc": DAY + "18:30:00"}]
    assert late.document is not None
    late = replace(late, document=replace(late.document, sections={**late.document.sections, "opened": tuple(opened)}))
    assert key_proofs(late)[0].proven_at is None
    assert key_proofs(replace(late, read_at={**late.read_at, "opened": READ_AT}))[0].source is ProofSource.START


def test_hidden_databases_count_for_key_without_others():
    databases = [{"name": "sales", "state": "ONLINE", "is_encrypted": 1, "in_group": 0}]
    proof = proof_of(encryption=[], databases=databases, backups=[backup("D", DAY + "01:00:00", DAY + "01:05:00")])
    assert (proof.databases, proof.source) == (("sales",), ProofSource.FULL_BACKUP)


def test_key_that_protects_nothing_has_no_proof():
    keys = [*a_key(), a_key(name="old", thumbprint="0xAB")[0]]
    assert [proof.key_name for proof in key_proofs(a_reading(sections={"keys": keys}))] == ["key_2C56"]


@pytest.mark.parametrize("reading", [an_unread_server(), a_reading(sections={"instance": None})])
def test_server_that_was_never_read_has_no_proof(reading):
    assert key_proofs(reading) == ()


def test_login_without_credential_is_reported():
    proof = proof_of(keys=[_without(a_key()[0], "credential", has_sid=1)])
    assert (proof.login, proof.credential, proof.altered_at) == ("tde_login", "", None)
    assert (proof.credential_missing, proof.is_due) == (True, True)


def test_provider_without_credential_is_reported():
    proof = proof_of(keys=[_without(a_key()[0], "credential", has_sid=1)], credentials=[])
    assert (proof.login, proof.credential, proof.altered_at) == ("tde_login", "", None)
    assert (proof.credential_missing, proof.is_due) == (True, True)


@pytest.mark.parametrize(("logins", "login"), [(["tde_login"], "tde_login"), (["tde_login", "other_login"], ""), ([], "")])
def test_provider_without_credential_is_reported_without_sid(logins, login):
    keys = [_without(a_key()[0], "login", "credential")]
    proof = proof_of(keys=keys, credentials=[], logins=[{"name": name} for name in logins])
    assert (proof.login, proof.credential, proof.credential_missing) == (login, "", True)
    assert (proof.is_due, proof.proven_at) == (True, unix(DAY + "19:05:00"))


def test_key_without_its_login_has_no_guessed_one():
    proof = proof_of(keys=[_without(a_key()[0], "login", "credential", has_sid=1)], credentials=[], logins=[{"name": "a"}])
    assert (proof.login, proof.credential_missing) == ("", True)


@pytest.mark.parametrize(("unknown", "is_missing"), [("credentials", False), ("logins", True)])
def test_unknown_credentials_are_not_missing(unknown, is_missing):
    reading = a_reading(sections={"credentials": None, "keys": [_without(a_key()[0], "login", "credential")]})
    assert reading.document is not None
    (proof,) = key_proofs(replace(reading, document=replace(reading.document, errors={unknown: "refused"})))
    assert (proof.credential_missing, proof.is_due) == (is_missing, is_missing)


def test_credential_that_is_not_listed_is_not_missing():
    proof = proof_of(credentials=[], backups=[], opened=[])
    assert (proof.credential, proof.credential_missing, proof.is_due) == ("tde_cred", False, None)


def test_key_without_sid_uses_credential_of_its_login():
    logins = [{"name": "tde_login", "provider": "AzureKV", "credential": "tde_cred"}]
    proof = proof_of(keys=[_without(a_key()[0], "login", "credential")], logins=logins)
    assert (proof.credential, proof.altered_at) == ("tde_cred", unix("2026-01-02T03:04:05"))
    assert (proof.credential_missing, proof.is_due) == (False, False)


def test_key_without_sid_names_its_login_without_credential():
    proof = proof_of(keys=[_without(a_key()[0], "login", "credential")], logins=[{"name": "tde_login"}])
    assert (proof.login, proof.credential, proof.credential_missing) == ("tde_login", "", True)


def test_uncertain_credential_counts_from_its_latest_change():
    credentials = [*altered(DAY + "14:00:00"), *altered(DAY + "15:00:00", name="other"), *altered("never", name="third")]
    proof = proof_of(credentials=credentials, keys=a_key(credential="gone"))
    assert (proof.altered_at, proof.proven_at) == (unix(DAY + "15:00:00"), unix(DAY + "19:05:00"))


def test_credential_follows_vault_of_the_servers_own_registry():
    credentials = [*altered(DAY + "14:00:00"), *altered(DAY + "15:00:00", name="new", identity="contoso-new")]
    logins = [
        {"name": "a_login", "provider": "AzureKV", "credential": "tde_cred"},
        {"name": "b_login", "provider": "AzureKV", "credential": "new"},
    ]
    sections = {"credentials": credentials, "keys": [_without(a_key()[0], "login", "credential")], "logins": logins}
    reading = a_reading(sections=sections)
    assert reading.document is not None
    uris = (RegistryUri("0x2c56", "https://contoso-new.vault.azure.net/keys/Key0/0123"),)
    (proof,) = key_proofs(replace(reading, document=replace(reading.document, key_uris=uris)))
    assert (proof.credential, proof.altered_at) == ("new", unix(DAY + "15:00:00"))


def test_credential_without_vault_does_not_hide_that_of_the_login():
    credentials = [*altered(DAY + "14:00:00", name="odd", identity="?"), *altered("2026-01-02T03:04:05")]
    logins = [{"name": "tde_login", "provider": "AzureKV", "credential": "tde_cred"}]
    proof = proof_of(credentials=credentials, keys=[_without(a_key()[0], "login", "credential")], logins=logins)
    assert proof.credential == "tde_cred"


def test_registry_names_version_of_thumbprint():
    reading = a_reading()
    assert reading.document is not None
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
        row("3900", "01:00:00", "19:05:00"),
        {"code": "3011", "lines": 0},
        {"code": "3012", "lines": 1, "first_utc": DAY + "19:50:00"},
    ]
    found = reported_codes(a_reading(sections={"errors": errors}), unix(DAY + "19:05:00"))
    assert [code.code for code in found] == ["3077", "3303"]
    assert found[1] == ReportedCode("3303", unix(DAY + "02:10:00"), unix(DAY + "19:50:00"))
