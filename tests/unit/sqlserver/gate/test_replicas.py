"""The keys of availability groups, which every replica needs before databases move there."""

from dataclasses import replace

import pytest

from exporter.sqlserver.gate.conditions import Condition
from tests.support.gate_factories import HOUR, NOW, URL, V1, answer, answer_of, conditions, document, row, state, time_of
from tests.support.sql_inventory import altering, replacing

ANYWHERE = row(instances=[{"sql_instance": "SQLPRD01"}])
WITHOUT = {name: [] for name in ("providers", "modules", "credentials", "keys")}
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
    found = [one for one in reasons(*servers, chosen=chosen) if one.condition is Condition.KEY_NOT_ON_REPLICA]
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
    found = [one for one in reasons(holder, replica(N2, **SEEDED | WITHOUT)) if one.condition is Condition.KEY_NOT_ON_REPLICA]
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
    assert (found.condition.value, found.known, found.text.startswith(text)) == (condition, True, True)


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

    assert [one.condition.value for one in reasons(replica(N1), replica(N2, change=two, **SEEDED))] == ["credential_guessed"]


def test_replica_that_was_not_read_is_not_known():
    found = answer(ANYWHERE, inventory=[replica(N1)], instances=(N1,))
    assert [one.text for one in found.reasons] == [f"the inventory does not have {N2}, a replica of AG7"]
    assert found.verdict == "not_known"


def test_old_reading_of_a_replica_is_not_known():
    old = replica(N2, change=altering("instance", read_at_utc="2026-10-01T00:00:00"))
    assert [one.condition.value for one in reasons(replica(N1), old)] == ["inventory_old"]


@pytest.mark.parametrize(
    ("state_of_n2", "condition"),
    [
        ({"vault_side_ready": False, "code": 3303}, "not_ready"),
        ({"vault_side_ready": None, "why": "stale"}, "no_verdict"),
        ({"last_not_ready": time_of(NOW - HOUR / 2)}, None),
    ],
)
def test_target_of_a_replica_must_be_ready(state_of_n2, condition):
    rows = (row(), row(target="of-n2", instances=[{"sql_instance": "SQLPRD01", "host": "n2"}], **state_of_n2))
    found = reasons(replica(N1), replica(N2, **SEEDED), rows=rows)
    assert [one.condition.value for one in found] == ([] if condition is None else [condition])
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
    assert found.condition is Condition.CREDENTIAL_MISSING
    failing = row(target="of-n2", vault_side_ready=False, instances=[{"sql_instance": "SQLPRD01", "host": "n2"}])
    joining = replica(N2, databases=[], encryption=[])
    found = answer(row(), failing, inventory=[replica(N1), joining], group="AG7")
    assert conditions(found) == ["other_target_fails"]


def test_replica_that_shows_no_group_now_counts():
    (found,) = reasons(replica(N1), replica(N2, replicas=[], **SEEDED | WITHOUT))
    assert found.condition is Condition.KEY_NOT_ON_REPLICA


def test_group_of_three_nodes_names_the_one_without_the_key():
    three = {"replicas": listing(N1, N2, N3)}
    servers = [replica(N1, **three), replica(N2, **three | SEEDED), replica(N3, **three | SEEDED | WITHOUT)]
    for question in ({"group": "AG7"}, {"every": True}, {"instances": (N1, N2)}):
        found = answer(ANYWHERE, inventory=servers, **question).reasons
        assert [one.text.split(" ")[0] for one in found if one.condition is Condition.KEY_NOT_ON_REPLICA] == [N3]


def test_version_of_a_replica_without_uri_is_that_of_the_holder():
    """With the same key elsewhere, the target of the replica is found; without, the chosen server has the gap."""
    unknown = {"sales": "0x9999"}
    servers = [document(name, ag="AG7", databases=unknown, change=replacing(replicas=listing())) for name in (N1, N2)]
    assert [one.condition.value for one in reasons(*servers)] == ["inventory_gap"]
