"""What the gate knows of a SQL Server itself: the EKM option, credentials, other key stores, databases that are not online."""

import pytest

from exporter.sqlserver.gate.conditions import Condition
from exporter.sqlserver.gate.render import as_json, as_text
from tests.support.gate_factories import answer, conditions, document, row
from tests.support.sql_inventory import altering, replacing

WITHOUT = {name: [] for name in ("providers", "modules", "credentials", "keys")}
THALES = {"name": "LunaEKM", "version": "1.2.0.0", "dll_path": r"C:\Program Files\SafeNet\EKM\LunaEKM.dll", "is_enabled": 1}


@pytest.mark.parametrize(
    ("value", "value_in_use", "state"),
    [
        (0, 0, "off"),
        (0, 1, "on now, but off after a RECONFIGURE or a restart"),
        (1, 0, "off now, and on only after a RECONFIGURE or a restart"),
    ],
)
def test_ekm_option_that_is_off_is_not_ready(value, value_in_use, state):
    option = {"name": "EKM provider enabled", "value": value, "value_in_use": value_in_use}
    found = answer(inventory=[document(change=replacing(configurations=[option]))])
    assert (conditions(found), found.verdict) == (["ekm_disabled"], "not_ready")
    assert found.reasons[0].text == (
        f"N1\\SQLPRD01: the option 'EKM provider enabled' is {state}. "
        "Without it, SQL Server uses no EKM provider, and 1 database would not open"
    )
    assert "EXEC sp_configure 'EKM provider enabled', 1; RECONFIGURE;" in found.reasons[0].fix


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"name": "clr enabled", "value": 1, "value_in_use": 1}],
        [{"name": "EKM provider enabled", "value": "1", "value_in_use": 1}],
    ],
)
def test_ekm_option_that_is_not_known_is_a_gap(rows):
    found = answer(inventory=[document(change=replacing(configurations=rows))])
    assert (conditions(found), found.verdict) == (["inventory_gap"], "not_known")
    assert "whether the option 'EKM provider enabled' is set is unknown" in found.reasons[0].text


def test_start_that_is_not_known_is_a_gap():
    for rows in ([], [{"started_utc": "yesterday"}]):
        found = answer(inventory=[document(change=replacing(start=rows))])
        assert conditions(found) == ["inventory_gap"]
        assert "the start of the service is unknown" in found.reasons[0].text


@pytest.mark.parametrize("section", ["configurations", "start"])
def test_older_reading_without_the_section_is_one_gap(section):
    found = answer(inventory=[document(failing={section: "not in this script"})])
    assert (conditions(found), found.verdict) == (["inventory_gap"], "not_known")
    assert "Read the SQL Servers again" in found.reasons[0].fix


def altered(time):
    return document(databases={"a]b": "0x2C56"}, change=altering("credentials", modified_utc=time))


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-10-31T23:59:59", []),
        ("2026-11-01T00:00:00", ["credential_not_proven"]),
        ("2026-11-20T12:00:00", ["credential_not_proven"]),
        ("", ["credential_not_proven"]),
    ],
)
def test_credential_altered_after_the_start_is_not_known(time, expected):
    found = answer(inventory=[altered(time)])
    assert conditions(found) == expected
    assert found.verdict == ("not_known" if expected else "ready")


def test_credential_that_is_not_proven_has_a_way_to_prove_it():
    (found,) = answer(inventory=[altered("2026-11-20T12:00:00")]).reasons
    assert found.text == (
        "N1\\SQLPRD01: credential [tde_cred] was altered at 2026-11-20T12:00:00.000Z, not before the start of the service "
        "at 2026-11-01T00:00:00.000Z. SQL Server may not have signed in with it yet"
    )
    assert "ekm-exporter script prove.sql" in found.fix
    assert "It backs up [a]]b] to NUL" in found.fix
    assert "is an assumption. Without a reading of an exporter (ekm-exporter docs sql-servers) this answer stays" in found.fix


def test_credential_without_a_key_in_use_does_not_matter():
    old = {"name": "old", "identity": "x", "provider": "AzureKV", "modified_utc": "2026-11-20T12:00:00"}
    assert conditions(answer(inventory=[document(change=lambda rows: rows["credentials"].append(old))])) == []


def test_instance_without_a_provider_needs_no_option_and_no_start():
    change = replacing(providers=[], keys=[], configurations=[], start=[])
    assert conditions(answer(inventory=[document(databases={}, change=change)])) == []


def add_thales(rows):
    rows["providers"].append(dict(THALES))
    rows["credentials"].append(
        {"name": "hsm", "identity": "hsm-user", "provider": "LunaEKM", "modified_utc": "2026-11-20T12:00:00"}
    )
    rows["keys"].append({"name": "luna", "thumbprint": "0x77", "public_key": "0x77", "provider": "LunaEKM", "credential": "hsm"})
    rows["encryption"].append({"database": "hr", "encryption_state": 3, "encryptor_type": "ASYMMETRIC KEY", "thumbprint": "0x77"})
    rows["databases"].append({"name": "hr", "state": "ONLINE", "is_encrypted": 1})


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("LunaEKM", r"C:\Program Files\SafeNet\EKM\LunaEKM.dll"),
        ("CryptoServer", r"C:\Program Files\Utimaco\SecurityServer\cssqlekm.dll"),
        ("Hsm1", r"D:\ekm\another-vendor.dll"),
    ],
)
def test_key_of_another_store_is_counted_and_no_gap(name, path):
    def change(rows):
        add_thales(rows)
        rows["providers"][1] |= {"name": name, "dll_path": path}
        for section in ("credentials", "keys"):
            rows[section][1]["provider"] = name

    found = answer(inventory=[document(change=change)])
    assert (found.verdict, conditions(found)) == ("ready", [])
    note = f"N1\\SQLPRD01: provider [{name}] is not of Azure Key Vault: 1 key not covered"
    assert as_json(found)["notes"] == [note]
    assert f"note: {note}" in as_text(found)


def test_ekm_option_matters_to_keys_of_another_store():
    def change(rows):
        add_thales(rows)
        for section in ("providers", "credentials", "keys", "encryption", "databases"):
            del rows[section][0]
        rows["configurations"][0]["value"] = 0

    assert conditions(answer(inventory=[document(change=change)])) == ["ekm_disabled"]


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows["providers"][1].update(name="AKV"),
        lambda rows: rows["providers"][1].update(dll_path=r"C:\old\MICROSOFT.AZUREKEYVAULTSERVICE.EKM.DLL"),
        lambda rows: rows["providers"][1].update(dll_path=""),
        lambda rows: rows["credentials"][1].update(identity="Managed Identity"),
        lambda rows: rows["credentials"][1].update(identity="contoso.vault.azure.net"),
    ],
)
def test_provider_with_a_sign_of_key_vault_stays_a_gap(change):
    def both(rows):
        add_thales(rows)
        change(rows)
        for section in ("credentials", "keys"):
            rows[section][1]["provider"] = rows["providers"][1]["name"]

    found = answer(inventory=[document(change=both)])
    assert found.verdict == "not_known"
    assert set(conditions(found)) >= {"inventory_gap"}


@pytest.mark.parametrize("state", ["OFFLINE", "EMERGENCY", "RESTORING", "RECOVERING"])
def test_database_that_is_not_online_is_named(state):
    def change(rows):
        rows["databases"] += [
            {"name": "archive", "state": state, "is_encrypted": 1},
            {"name": "hr", "state": state, "is_encrypted": 0},  # which is not documented for a database that is not online
            {"name": "known", "state": state, "is_encrypted": 1},
        ]
        rows["encryption"].append(
            {"database": "known", "encryption_state": 3, "encryptor_type": "ASYMMETRIC KEY", "thumbprint": "0x2C56"}
        )

    found = answer(inventory=[document(change=change)])
    assert found.verdict == "ready"
    assert found.notes == (
        f"N1\\SQLPRD01: SQL Server does not show the keys of databases that are not open: archive ({state}), hr ({state})",
    )


def test_server_without_a_provider_hides_no_key_of_one():
    databases = [{"name": "archive", "state": "RESTORING", "is_encrypted": 0}]
    change = replacing(providers=[], keys=[], encryption=[], databases=databases)
    assert answer(inventory=[document(change=change)]).notes == ()


def test_backup_is_of_a_database_that_is_online():
    def change(rows):
        rows["encryption"] = []
        rows["databases"] = [{"name": "archive", "state": "RESTORING", "is_encrypted": 1}]
        rows["credentials"][0]["modified_utc"] = "2026-11-26T19:00:00"

    (found,) = answer(inventory=[document(change=change)]).reasons
    assert found.condition is Condition.CREDENTIAL_NOT_PROVEN
    assert "It backs up [DATABASE] to NUL" in found.fix


def test_database_closed_by_a_fault_is_a_gap_and_no_note():
    closed = {"name": "hr", "state": "RECOVERY_PENDING", "is_encrypted": 1}
    found = answer(inventory=[document(change=lambda rows: rows["databases"].append(closed))])
    assert (found.notes, [one.condition for one in found.reasons]) == ((), [Condition.INVENTORY_GAP])


def test_replica_for_the_configuration_alone_is_not_missing():
    replicas = [
        {"ag": "AG7", "server_name": "N1\\SQLPRD01", "mode": "SYNCHRONOUS_COMMIT"},
        {"ag": "AG7", "server_name": "W1\\SQLEXPRESS", "mode": "CONFIGURATION_ONLY"},
    ]
    found = answer(row(), inventory=[document(ag="AG7", change=replacing(replicas=replicas))], group="AG7")
    assert (found.verdict, found.instances) == ("ready", ("N1\\SQLPRD01",))


def test_database_that_is_closed_needs_its_key_at_the_restart():
    closed = document(change=replacing(encryption=[]))
    found = answer(row(vault_side_ready=False), inventory=[closed])
    assert conditions(found) == ["not_ready"]
    assert found.notes == ("N1\\SQLPRD01: SQL Server does not show the keys of databases that are not open: sales (ONLINE)",)
    assert conditions(answer(inventory=[closed])) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "database [sales] is under 0x2C56, but this server has no key with that thumbprint"),
        (
            {"encryption": [], "databases": [{"name": "hr", "state": "RECOVERY_PENDING", "is_encrypted": 1}]},
            "so its key is unknown",
        ),
        ({"encryption": [], "databases": [{"name": "hr", "state": "SUSPECT", "is_encrypted": 0}]}, ""),
        ({"encryption": [], "databases": [{"name": "hr", "state": "ONLINE", "is_encrypted": 1}]}, ""),  # a certificate
    ],
)
def test_server_without_a_provider_may_lack_one(change, expected):
    texts = [one.text for one in answer(inventory=[document(change=replacing(**WITHOUT | change))]).reasons]
    assert len(texts) == bool(expected)
    assert all(expected in one for one in texts)


def test_statement_for_a_provider_quotes_its_name():
    def change(rows):
        rows["providers"][0].update(name="Azure]KV", is_enabled=0)
        rows["credentials"][0]["provider"] = rows["keys"][0]["provider"] = "Azure]KV"

    (found,) = answer(inventory=[document(change=change)]).reasons
    assert "ALTER CRYPTOGRAPHIC PROVIDER [Azure]]KV] ENABLE" in found.fix


def test_statement_with_the_longest_names_is_whole():
    def change(rows):
        rows["providers"][0]["name"] = rows["credentials"][0]["provider"] = "AzureKV".rjust(128, "p")
        rows["credentials"][0]["name"] = "c" * 128
        rows["keys"][0] |= {"name": "k" * 128, "provider": "AzureKV".rjust(128, "p")}
        del rows["keys"][0]["login"], rows["keys"][0]["credential"]

    (found,) = [one for one in answer(inventory=[document(change=change)]).reasons if one.known]
    assert found.text.endswith(f"ALTER LOGIN [LOGIN] ADD CREDENTIAL [{'c' * 128}]")


def test_key_without_any_credential_has_both_statements():
    def change(rows):
        rows["credentials"].clear()
        del rows["keys"][0]["credential"]

    (found,) = answer(inventory=[document(change=change)]).reasons
    assert found.condition is Condition.CREDENTIAL_MISSING
    assert (
        "CREATE CREDENTIAL [CREDENTIAL] WITH IDENTITY = 'VAULT', SECRET = 'SECRET' FOR CRYPTOGRAPHIC PROVIDER [AzureKV]; "
        in found.text
    )
    assert found.text.endswith("ALTER LOGIN [tde_login] ADD CREDENTIAL [CREDENTIAL]")


def test_key_of_a_provider_that_is_not_there_is_not_ready():
    (found,) = answer(inventory=[document(change=replacing(providers=[]))]).reasons
    assert found.text.endswith("this server has no provider [AzureKV], so SQL Server cannot use the key")
