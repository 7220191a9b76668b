"""The chosen instances and the keys that they and their replicas need; the EKM option, credentials, other key stores."""

import pytest

from exporter.sqlserver.gate.render import as_json, as_text
from tests.support.gate_factories import HOUR, NOW, URL, V1, answer, answer_of, conditions, document, row, state, time_of
from tests.support.sql_inventory import altering, replacing
from tests.support.values import replace

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
        ("", ["inventory_gap", "inventory_gap"]),
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
        "at 2026-11-01T00:00:00.000Z, so whether SQL Server itself gets the key is not known"
    )
    assert "ekm-exporter script prove.sql" in found.fix
    assert "it backs up [a]]b] to NUL" in found.fix


def test_credential_without_a_key_in_use_does_not_matter():
    old = {"name": "old", "identity": "x", "provider": "AzureKV", "modified_utc": "2026-11-20T12:00:00"}
    assert conditions(answer(inventory=[document(change=lambda rows: rows["credentials"].append(old))])) == []


def test_instance_without_a_provider_needs_no_option_and_no_start():
    change = replacing(providers=[], keys=[], configurations=[], start=[])
    found = answer(inventory=[document(databases={}, change=change)])
    assert (found.verdict, found.dependencies) == ("ready", ())


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
    assert found.condition == "credential_not_proven"
    assert "it backs up [DATABASE] to NUL" in found.fix


def test_database_closed_by_a_fault_is_a_gap_and_no_note():
    closed = {"name": "hr", "state": "RECOVERY_PENDING", "is_encrypted": 1}
    found = answer(inventory=[document(change=lambda rows: rows["databases"].append(closed))])
    assert (found.notes, [one.condition for one in found.reasons]) == ((), ["inventory_gap"])


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
    assert found.condition == "credential_missing"
    assert (
        "CREATE CREDENTIAL [CREDENTIAL] WITH IDENTITY = 'VAULT', SECRET = 'SECRET' FOR CRYPTOGRAPHIC PROVIDER [AzureKV]; "
        in found.text
    )
    assert found.text.endswith("ALTER LOGIN [tde_login] ADD CREDENTIAL [CREDENTIAL]")


def test_key_of_a_provider_that_is_not_there_is_not_ready():
    (found,) = answer(inventory=[document(change=replacing(providers=[]))]).reasons
    assert found.text.endswith("this server has no provider [AzureKV], so SQL Server cannot use the key")


ANYWHERE = row(instances=[{"sql_instance": "SQLPRD01"}])
SEEDED = {"encryption": [], "databases": [{"name": "sales", "state": "RESTORING", "is_encrypted": 0, "in_group": 1, "ag": "AG7"}]}
OTHER_PROVIDER = {"name": "EKM2", "version": "1.0.5.0", "dll_path": "C:\\Microsoft.AzureKeyVaultService.EKM.dll", "is_enabled": 1}
N1, N2, N3 = (f"N{number}\\SQLPRD01" for number in (1, 2, 3))


def listing(*names, group="AG7"):
    return [{"ag": group, "server_name": server} for server in names or (N1, N2)]


def replica(name, *, group="AG7", change=None, failing=None, **changes):
    def both(rows):
        rows.update({"replicas": listing()} | changes)
        if change is not None:
            change(rows)

    return document(name, ag=group, change=both, failing=failing)


def reasons(*servers, chosen=N1, rows=(ANYWHERE,), **question):
    return answer(*rows, inventory=servers, instances=(chosen,), **question).reasons


def without_login(rows):
    del rows["keys"][0]["credential"]
    rows["logins"].append({"name": "tde_login"})


def test_group_with_the_key_on_each_replica_is_ready():
    assert reasons(replica(N1), replica(N2, **SEEDED)) == ()


@pytest.mark.parametrize(
    ("changes", "provider", "chosen"),
    [
        (SEEDED | {"keys": []}, "AzureKV", N1),
        (SEEDED | {"keys": []}, "AzureKV", N2),
        (SEEDED | WITHOUT, "AzureKV", N1),
        ({"encryption": []} | WITHOUT, "AzureKV", N2),
        # It shows no database of the group yet, and has another provider.
        ({"databases": [], "encryption": [], "keys": [], "providers": [OTHER_PROVIDER]}, "EKM2", N1),
    ],
)
def test_replica_without_the_key_is_not_ready(changes, provider, chosen):
    servers = replica(N1), replica(N2, **changes)
    found = [one for one in reasons(*servers, chosen=chosen) if one.condition == "key_not_on_replica"]
    assert [(one.text, one.known) for one in found] == [
        (
            (
                f"{N2} has no asymmetric key with the thumbprint 0x2C56, that of {N1}. After a failover, database [sales] of availability "
                "group AG7 would not open there"
            ),
            True,
        )
    ]
    assert found[0].fix.startswith(
        f"Run on {N2}: CREATE ASYMMETRIC KEY [key_2C56] FROM PROVIDER [{provider}] WITH PROVIDER_KEY_NAME = 'K/{V1}', "
        "CREATION_DISPOSITION = OPEN_EXISTING; CREATE LOGIN [LOGIN] FROM ASYMMETRIC KEY [key_2C56]; "
    )


def test_key_that_its_holder_lacks_too_has_names_to_fill_in():
    holder = replica(N1, keys=[])
    found = [one for one in reasons(holder, replica(N2, **SEEDED | WITHOUT)) if one.condition == "key_not_on_replica"]
    assert [one.text.split(" ")[0] for one in found] == [N1, N2]
    assert "CREATE ASYMMETRIC KEY [KEY] FROM PROVIDER [PROVIDER] WITH PROVIDER_KEY_NAME = 'NAME/VERSION'" in found[1].fix


def test_databases_of_one_key_are_one_reason():
    def two(rows):
        rows["encryption"].append({**rows["encryption"][0], "database": "pay"})
        rows["databases"].append({**rows["databases"][0], "name": "pay"})

    (found,) = reasons(replica(N1, change=two), replica(N2, **SEEDED | WITHOUT))
    assert "databases [pay], [sales] of availability group AG7 would not open there" in found.text


@pytest.mark.parametrize(
    ("change", "condition", "text"),
    [
        (
            altering("providers", is_enabled=0),
            "provider_disabled",
            f"provider [AzureKV] of {N2} is disabled, so 1 database would not open",
        ),
        (
            altering("configurations", value=0),
            "ekm_disabled",
            f"{N2}: the option 'EKM provider enabled' is on now, but off after",
        ),
        (
            without_login,
            "credential_missing",
            f"{N2}: key [key_2C56] (0x2C56) of database [sales] of availability group AG7: its login [tde_login] has no credential",
        ),
        (
            lambda rows: (rows["credentials"].clear(), without_login(rows)),
            "credential_missing",
            (
                f"{N2}: key [key_2C56] (0x2C56) of database [sales] of availability group AG7: no credential of its provider belongs to its login: "
                "CREATE CREDENTIAL"
            ),
        ),
    ],
)
@pytest.mark.parametrize("changes", [SEEDED, {}])
def test_replica_that_cannot_use_the_key_is_not_ready(change, condition, text, changes):
    (found,) = reasons(replica(N1), replica(N2, change=change, **changes))
    assert (found.condition, found.known, found.text.startswith(text)) == (condition, True, True)


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("keys", f"{N2}: whether it has the key of database [sales] of availability group AG7 is unknown: message 300: denied"),
        (
            "credentials",
            f"{N2}: key [key_2C56] (0x2C56) of database [sales] of availability group AG7: no credential of its provider",
        ),
    ],
)
def test_section_of_a_replica_that_was_not_read_is_a_gap(section, text):
    found = answer(ANYWHERE, inventory=[replica(N1), replica(N2, failing={section: "denied"}, **SEEDED)], instances=(N1,))
    assert (conditions(found), found.verdict) == (["inventory_gap"], "not_known")
    assert found.reasons[0].text.startswith(text)


def test_chosen_replica_whose_keys_are_unknown_has_one_gap():
    found = reasons(replica(N1), replica(N2, failing={"keys": "denied"}, **SEEDED), chosen=N2)
    assert [one.text.partition(" is unknown")[0] for one in found] == [
        f"{N2}: the keys are unknown (needs VIEW ANY DEFINITION): message 300: denied"
    ]


def test_credential_of_a_replica_may_be_a_guess():
    def two(rows):
        rows["credentials"].append({**rows["credentials"][0], "name": "other"})
        rows["logins"] += [
            {"name": f"login{one}", "provider": "AzureKV", "credential": name}
            for one, name in (("A", "tde_cred"), ("B", "other"))
        ]
        for name in ("login", "credential", "has_sid"):
            del rows["keys"][0][name]

    assert [one.condition for one in reasons(replica(N1), replica(N2, change=two, **SEEDED))] == ["credential_guessed"]


def test_old_reading_of_a_replica_is_not_known():
    old = replica(N2, change=altering("instance", read_at_utc="2026-10-01T00:00:00"))
    assert [one.condition for one in reasons(replica(N1), old)] == ["inventory_old"]


@pytest.mark.parametrize(
    ("state_of_n2", "condition"),
    [
        ({"vault_side_ready": False, "code": 3303}, "not_ready"),
        ({"vault_side_ready": None, "why": "stale"}, "no_verdict"),
        ({"last_not_ready": time_of(NOW - HOUR / 2)}, "was_not_ready"),
    ],
)
def test_target_of_a_replica_must_be_ready(state_of_n2, condition):
    rows = (row(), row(target="of-n2", instances=[{"sql_instance": "SQLPRD01", "host": "n2"}], **state_of_n2))
    found = reasons(replica(N1), replica(N2, **SEEDED), rows=rows)
    assert [one.condition for one in found] == [condition]
    assert all(f"needed by {N2} (a replica that does not restart)" in one.text for one in found)


def test_replica_without_a_target_is_no_reason():
    assert reasons(replica(N1), replica(N2, **SEEDED), rows=(row(),)) == ()


def test_exporter_on_the_replica_answers_for_it():
    of_n2 = state("http://n2:1", ANYWHERE | {"vault_side_ready": False}, host="n2")
    found = answer_of(state(URL, row()), of_n2, inventory=[replica(N1), replica(N2, **SEEDED)], instances=(N1,))
    assert "not_ready" in conditions(found)
    assert any("at http://n2:1, seen from the SQL host, is not ready" in one.text for one in found.reasons)


def test_group_of_another_cluster_has_other_replicas():
    """Two clusters with a group and a database of one name, under two keys."""
    second = [
        document(
            name, ag="AG7", databases={"sales": "0x2C57"}, change=replacing(replicas=listing("M1\\SQLPRD01", "M2\\SQLPRD01"))
        )
        for name in ("M1\\SQLPRD01", "M2\\SQLPRD01")
    ]
    assert reasons(replica(N1), replica(N2, **SEEDED), *second) == ()


def test_namesake_in_another_cluster_is_not_the_replica():
    namesake = replica(N2, replicas=listing(N2, "M1\\SQLPRD01"), keys=[], encryption=[])
    found = answer(ANYWHERE, inventory=[replica(N1), namesake], instances=(N1,))
    assert [one.text for one in found.reasons] == [f"the inventory does not have {N2}, a replica of AG7"]


@pytest.mark.parametrize("chosen", [N2, "n1.a.com\\SQLPRD01"])
def test_namesake_in_another_domain_is_not_the_replica(chosen):
    first = replica(N1, **SEEDED)
    servers = replace(first, address="n1.a.com\\SQLPRD01"), replica(N2), document(N1, address="n1.b.com\\SQLPRD01", databases={})
    target = row(instances=[{"sql_instance": "SQLPRD01", "host": host} for host in ("n1.a.com", "n2")])
    assert reasons(*servers, chosen=chosen, rows=(target,)) == ()


def test_chosen_replica_is_checked_once():
    """Its credential is a reason of its own, and its target is not that of a replica that stays up."""
    (found,) = reasons(replica(N1, change=without_login), replica(N2, **SEEDED))
    assert found.condition == "credential_missing"
    failing = row(target="of-n2", vault_side_ready=False, instances=[{"sql_instance": "SQLPRD01", "host": "n2"}])
    joining = replica(N2, databases=[], encryption=[])
    found = answer(row(), failing, inventory=[replica(N1), joining], group="AG7")
    assert conditions(found) == ["other_target_fails"]


def test_replica_that_shows_no_group_now_counts():
    (found,) = reasons(replica(N1), replica(N2, replicas=[], **SEEDED | WITHOUT))
    assert found.condition == "key_not_on_replica"


def test_group_of_three_nodes_names_the_one_without_the_key():
    three = {"replicas": listing(N1, N2, N3)}
    servers = [replica(N1, **three), replica(N2, **three | SEEDED), replica(N3, **three | SEEDED | WITHOUT)]
    for question in ({"group": "AG7"}, {"every": True}, {"instances": (N1, N2)}):
        found = answer(ANYWHERE, inventory=servers, **question).reasons
        assert [one.text.split(" ")[0] for one in found if one.condition == "key_not_on_replica"] == [N3]


def test_version_of_a_replica_without_uri_is_that_of_the_holder():
    """With the same key elsewhere, the target of the replica is found; without, the chosen server has the gap."""
    unknown = {"sales": "0x9999"}
    servers = [document(name, ag="AG7", databases=unknown, change=replacing(replicas=listing())) for name in (N1, N2)]
    assert [one.condition for one in reasons(*servers)] == ["inventory_gap"]
