"""inventory.sql and inventory.ps1: rows that the command reads, and a wrapper that changes nothing."""

import re

import pytest
from sqlglot import exp

from exporter.core.quoting import sql_text
from exporter.knowledge.code_row import ENTRIES
from exporter.sqlserver.document import read_documents
from exporter.sqlserver.instance import EkmOption, instance_of
from exporter.sqlserver.read import KEY_URI, SUBKEYS
from tests.repo.deploy.pretend import EKM_KEY, PROVIDER, PROVIDER_CREDENTIAL, SCRIPTS, credential
from tests.repo.deploy.section_scripts import INVENTORY, parsed, section_rows
from tests.support.sql_inventory import lines_of, sqlcmd

WRAPPER = SCRIPTS / "inventory.ps1"


@pytest.mark.parametrize("statement", [SUBKEYS, KEY_URI])
def test_registry_statement_calls_a_procedure_that_reads(statement):
    (call,) = parsed(statement.format(path=sql_text(ENTRIES)))
    assert isinstance(call, exp.Execute)
    assert call.this.sql(dialect="tsql") in {"master.dbo.xp_regenumkeys", "master.dbo.xp_regread"}
    assert [literal.name for literal in call.find_all(exp.National)][:2] == ["HKEY_LOCAL_MACHINE", ENTRIES]


def test_script_rows_become_an_instance():
    found = section_rows(
        INVENTORY,
        cryptographic_providers=[PROVIDER | {"dll_path": "C:\\x.dll"}],
        dm_os_loaded_modules=[{"name": "c:\\X.DLL", "file_version": "15.0:2000.440"}],  # Windows ignores the case
        credentials=[
            credential("tde_cred", "2026-01-02 05:04:05", "2026-02-02 05:04:05", credential_id=9),
            {"credential_id": 10, "name": "share", "credential_identity": "x", "target_type": None, "target_id": 0},
        ],
        asymmetric_keys=[
            EKM_KEY | {"name": "tde", "thumbprint": b"\x2c\x56", "key_length": 2048, "public_key": b"\1\2", "sid": b"\7"},
            {"name": "own", "thumbprint": b"\1", "provider_type": None},
        ],
        server_principals=[{"name": "tde_login", "principal_id": 270, "sid": b"\7"}],
        server_principal_credentials=[{"principal_id": 270, "credential_id": 9}],
        dm_database_encryption_keys=[
            {"database_id": 5, "encryption_state": 3, "encryptor_type": "ASYMMETRIC KEY", "encryptor_thumbprint": b"\x2c\x56"}
        ],
        databases=[
            {"name": "sales", "database_id": 5, "state": 0, "state_desc": "ONLINE", "is_encrypted": 1, "replica_id": "r"},
            {"name": "plain", "database_id": 6, "state": 0, "state_desc": "ONLINE", "is_encrypted": 0},
            {"name": "archive", "database_id": 7, "state": 1, "state_desc": "RESTORING", "is_encrypted": 1},
            {"name": "tempdb", "database_id": 2, "state": 0, "is_encrypted": 0, "create_date": "2026-11-01 02:30:00"},
        ],
        availability_groups=[{"group_id": "a", "name": "AG7", "is_distributed": 0}],
        availability_replicas=[
            {
                "replica_id": "r",
                "group_id": "a",
                "replica_server_name": "N1\\SQLPRD01",
                "availability_mode_desc": "SYNCHRONOUS_COMMIT",
            },
            {"replica_id": "w", "group_id": "a", "replica_server_name": "W1", "availability_mode_desc": "CONFIGURATION_ONLY"},
        ],
        configurations=[
            {"name": "clr enabled", "value": 0, "value_in_use": 0},
            {"name": "EKM provider enabled", "value": 0, "value_in_use": 1},
        ],
    )
    (document,) = read_documents(sqlcmd(found))
    instance = instance_of(document)

    assert document.errors == {}
    assert (instance.server_name, instance.sql_instance, instance.host) == ("N1\\SQLPRD01", "SQLPRD01", "n1")
    assert [(one.version, one.file_version) for one in instance.providers] == [("1.0.5.0", "15.0.2000.440")]
    assert [(one.name, one.identity, one.modified_utc) for one in instance.credentials] == [
        ("tde_cred", "contoso-prod", "2026-02-02T03:04:05")  # in UTC
    ]
    assert [(one.name, one.thumbprint, one.public_key, one.credential) for one in instance.keys] == [
        ("tde", "0x2C56", "0x0102", "tde_cred")
    ]
    assert [(one.name, one.thumbprint, one.ag, one.hidden) for one in instance.databases] == [
        ("archive", "", "", True),
        ("sales", "0x2C56", "AG7", False),
    ]
    assert (instance.ekm, instance.started_utc) == (EkmOption(configured=False, in_use=True), "2026-11-01T00:30:00")  # in UTC
    assert instance.replicas == (("AG7", "N1\\SQLPRD01"),)


def test_script_shows_the_logins_of_keys_without_sid():
    found = section_rows(
        INVENTORY,
        cryptographic_providers=[PROVIDER],
        credentials=[PROVIDER_CREDENTIAL | {"credential_id": number, "name": f"cred{number}"} for number in (1, 2)],
        asymmetric_keys=[
            EKM_KEY | {"name": "KEY", "asymmetric_key_id": 1, "thumbprint": b"\1"},
            {"name": "own", "asymmetric_key_id": 2, "thumbprint": b"\2", "sid": b"\7", "provider_type": None},
        ],
        server_principals=[
            {"name": "bare", "principal_id": 272, "sid": b"\6", "type": "K"},
            {"name": "TDE_Login", "principal_id": 271, "sid": b"\5", "type": "K"},
            {"name": "of_own", "principal_id": 270, "sid": b"\7", "type": "K"},
            {"name": "sa", "principal_id": 1, "sid": b"\1", "type": "S"},
        ],
        server_principal_credentials=[{"principal_id": 271, "credential_id": 2}, {"principal_id": 1, "credential_id": 1}],
    )
    assert [(one["has_sid"], "login" in one) for one in found["keys"]] == [(0, False)]
    assert found["logins"] == [{"name": "TDE_Login", "provider": "AzureKV", "credential": "cred2"}, {"name": "bare"}]


def test_section_text_survives_its_lines():
    rows_with_blanks = [{"dll_path": "a  b" * 40 + " | ", "n": number} for number in range(9)]
    (document,) = read_documents("\n".join(lines_of("providers", rows_with_blanks)))
    assert document.sections["providers"] == tuple(rows_with_blanks)


def test_wrapper_changes_nothing_on_the_server():
    text = WRAPPER.read_text()
    assert "ExecuteNonQuery" not in text
    assert not re.search(r"Set-Item|Remove-Item|SetValue|CreateSubKey|DeleteSubKey", text)
