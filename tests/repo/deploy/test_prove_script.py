"""The rows of prove.sql, from imitated system views: which statements it prints, and which of them it would run."""

import re

import pytest
import sqlglot
from sqlglot import exp

from tests.repo.deploy.pretend import (
    CALLER,
    EKM_KEY,
    FUNCTIONS,
    OBEYED,
    OLD_THUMBPRINT,
    PROVIDER,
    PROVIDER_CREDENTIAL,
    REFUSAL,
    batches,
    rows_of,
    without_database,
)

(BATCH,) = batches("prove.sql")
STATEMENTS = [one for one in sqlglot.parse(BATCH, dialect="tsql") if one is not None]
(QUERY,) = (without_database(one) for one in STATEMENTS if one.args.get("with_") or one.args.get("with"))
SHOWN, LOOP = STATEMENTS[-3], STATEMENTS[-1]
NEW = b"\x8d\x1f"


def database(number, name, thumbprint, megabytes, **more):
    """Return the rows of one database in its three views."""
    return (
        {"database_id": number, "name": name, "state": 0} | more,
        {"database_id": number, "encryptor_type": "ASYMMETRIC KEY", "encryptor_thumbprint": thumbprint},
        {"database_id": number, "type_desc": "ROWS", "size": megabytes * 128},
    )


def key(name, thumbprint, **more):
    return EKM_KEY | {"name": name, "thumbprint": thumbprint} | more


TDE = key("tde", OLD_THUMBPRINT)


def proof(*databases, keys=(TDE,), callers=(), altered=("2026-11-24 10:00:00",), files=()):
    named, encrypted, data = zip(*databases, strict=True)
    return rows_of(
        QUERY,
        databases=named,
        dm_database_encryption_keys=encrypted,
        master_files=[*data, *files],
        asymmetric_keys=keys,
        cryptographic_providers=[PROVIDER],
        credentials=[
            PROVIDER_CREDENTIAL | {"credential_id": number, "name": f"cred{number}", "modify_date": date}
            for number, date in enumerate(altered, 1)
        ],
        server_principals=[{"principal_id": 7, "sid": "s"}],
        server_principal_credentials=[
            {"principal_id": 7, "credential_id": 1},
            *({"principal_id": CALLER, "credential_id": number} for number in callers),
        ],
    )


SALES, HR = database(5, "sales", OLD_THUMBPRINT, 900), database(6, "h]r", OLD_THUMBPRINT, 20)


def test_backup_takes_the_smallest_database_of_the_key():
    log = {"database_id": 6, "type_desc": "LOG", "size": 1_000_000}
    _, backup = proof(SALES, HR, files=[log])

    assert backup["statement_to_run"] == "BACKUP DATABASE [h]]r] TO DISK = N'NUL' WITH COPY_ONLY;"
    assert (backup["way"], backup["key_name"], backup["size_mb"], backup["may_run"]) == (2, "tde", 20, 1)


def test_key_is_opened_in_tempdb_and_dropped_only_there():
    opened, _ = proof(SALES, callers=[1])

    assert opened["statement_to_run"] == (
        "USE tempdb; CREATE ASYMMETRIC KEY [ekm_proof_tde] FROM PROVIDER [AzureKV] WITH PROVIDER_KEY_NAME = "
        "'ContosoRSAKey0/0123456789abcdef0123456789abcdef', CREATION_DISPOSITION = OPEN_EXISTING; "
        "IF ASYMKEY_ID(N'ekm_proof_tde') IS NOT NULL DROP ASYMMETRIC KEY [ekm_proof_tde];"
    )
    assert (opened["way"], opened["your_credential"], opened["may_run"]) == (1, "cred1", 1)


def test_key_without_its_name_in_the_vault_is_not_opened():
    keys = [key("tde", NEW)]
    opened, backup = proof(database(5, "sales", NEW, 1), keys=keys, callers=[1])

    assert "PROVIDER_KEY_NAME = 'NAME/VERSION'," in opened["statement_to_run"]
    assert (opened["may_run"], backup["may_run"]) == (0, 1)


def test_caller_without_a_credential_opens_no_key():
    opened, backup = proof(SALES)
    assert (opened["your_credential"], opened["may_run"], backup["may_run"]) == (None, 0, 1)


@pytest.mark.parametrize(("sid", "since"), [("s", "2026-11-24 12:00:00"), (None, "2026-11-24 15:02:00")])
def test_new_secret_is_proven_two_hours_after_its_change(sid, since):
    """The credential of the key's login counts; if nothing shows that login, the provider's newest."""
    keys = [key("tde", OLD_THUMBPRINT, sid=sid)]
    found = proof(SALES, keys=keys, altered=("2026-11-24 10:00:00", "2026-11-24 13:02:00"))
    assert {row["new_secret_from"] for row in found} == {since}


@pytest.mark.parametrize(
    ("permission", "sysadmin", "remark"),
    [
        (1, 0, None),
        (0, 0, "you lack the right"),
        (None, 0, "the database does not show your right, as one that cannot be read here: run this as a sysadmin"),
        (None, 1, None),
    ],
)
def test_right_that_a_database_does_not_show_is_said(monkeypatch, permission, sysadmin, remark):
    monkeypatch.setitem(FUNCTIONS, "has_perms_by_name", lambda *_: permission)
    monkeypatch.setitem(FUNCTIONS, "is_srvrolemember", lambda *_: sysadmin)
    _, backup = proof(SALES)
    assert (backup["remark"], backup["may_run"]) == (remark, int(remark is None))


def test_way_that_does_not_run_prints_why():
    opened, backup = proof(SALES)
    assert (opened["remark"], backup["remark"]) == ("your login has no credential of this provider", None)
    assert "N' did not run: ', r.remark, N'.'';')" in BATCH


@pytest.mark.parametrize(
    "other",
    [
        database(7, "closed", NEW, 1, state=3),
        database(7, "snapshot", NEW, 1, source_database_id=5),
        database(2, "tempdb", NEW, 1),
        database(7, "under a certificate", b"\2", 1),
    ],
    ids=lambda views: views[0]["name"],
)
def test_key_without_an_open_database_has_no_proof(other):
    keys = [TDE, key("new", NEW), {"name": "own", "thumbprint": b"\2"}]
    assert {row["key_name"] for row in proof(SALES, other, keys=keys)} == {"tde"}


def test_each_key_has_both_ways_in_order():
    keys = [TDE, key("a'b", NEW)]
    found = proof(SALES, database(7, "new", NEW, 3), keys=keys)

    assert [(row["number"], row["key_name"], row["way"]) for row in found] == [
        (1, "a'b", 1),
        (2, "a'b", 2),
        (3, "tde", 1),
        (4, "tde", 2),
    ]
    assert "ASYMKEY_ID(N'ekm_proof_a''b')" in found[0]["statement_to_run"]


@pytest.mark.parametrize("text", OBEYED)
def test_name_that_sqlcmd_would_obey_has_no_statement(text):
    _, backup = proof(database(6, text, OLD_THUMBPRINT, 20))
    opened, _ = proof(SALES, keys=[key(text, OLD_THUMBPRINT)], callers=[1])

    assert {(row["statement_to_run"], row["may_run"]) for row in (backup, opened)} == {(REFUSAL, 0)}


def test_script_runs_nothing_unless_the_reader_sets_run():
    assert "DECLARE @run bit = 0;\n" in BATCH
    assert re.findall(r"(?m)^(?!--).*\bEXEC\b.*$", BATCH) == ["    EXEC sys.sp_executesql @statement;"]
    assert LOOP.sql("tsql").startswith("WHILE @run = 1 AND @number <= (SELECT COUNT(*) FROM #proof) BEGIN ")
    assert "r.number = @number AND r.may_run = 1" in LOOP.sql("tsql")


def test_printed_columns_are_those_of_the_query():
    assert isinstance(SHOWN, exp.Select)
    assert ["number", *SHOWN.named_selects] == QUERY.named_selects
