"""Old key versions that SQL Servers still have, and the target that retains each."""

import yaml

from exporter.inventory.plan import HandWritten, Plan, make_plan, with_retained
from exporter.inventory.render import files_of
from exporter.sqlserver.document import KeyVersion, RegistryUri
from exporter.sqlserver.instance import Findings
from exporter.sqlserver.keys import HandWrittenTarget, KeyUris
from tests.support.gate_factories import URIS, V1, V2, VAULT, instance
from tests.support.sql_inventory import altering, rows_of

OLD_VAULT = "contoso-old.vault.azure.net"
OLD = RegistryUri("2C57", f"https://{OLD_VAULT}/keys/Old/{V2}")


def with_old_key(thumbprint="0x2C57", credential="tde_cred", identity=None, more=()):
    """Return a change: the server has another key that protects no database."""

    def change(rows):
        if identity is not None:
            rows["credentials"].append(rows["credentials"][0] | {"name": credential, "identity": identity})
        for mark in (thumbprint, *more):
            rows["keys"].append(
                rows["keys"][0]
                | {"name": f"old_{mark}", "thumbprint": mark, "public_key": mark, "credential": credential, "login": "l"}
            )

    return change


def altered_keys(change):
    """Return the change for a server without keys: its only one is the old key."""

    def changed(rows):
        rows["keys"] = rows_of("N1")["keys"]
        change(rows)
        del rows["keys"][0]

    return changed


def planned(*instances, uris=URIS, hand_written=HandWritten()):  # noqa: B008 - frozen
    plan = make_plan(instances, uris, hand_written, {})
    known = KeyUris(instances, uris, Findings())
    plan.targets = with_retained(plan.targets, instances, known, hand_written, plan.findings)
    return plan


def retained(plan):
    return {
        target.name: [
            (one.version.uri, one.credential.name if one.credential else None, dict(one.keys)) for one in target.retained
        ]
        for target in plan.targets
    }


def test_unused_key_of_the_vault_is_retained_with_the_targets_credential():
    replicas = [instance(name, change=with_old_key()) for name in ("N2\\SQLPRD01", "N1\\SQLPRD01")]
    keys = {"N2\\SQLPRD01": ("old_0x2C57",), "N1\\SQLPRD01": ("old_0x2C57",)}
    assert retained(planned(*replicas)) == {"contoso-prod-K": [(URIS[1].uri, None, keys)]}


def test_unused_key_of_another_vault_has_its_own_credential_declared():
    replicas = [instance(name, change=with_old_key(credential="old_cred", identity="contoso-old")) for name in ("N1", "N2")]
    plan = planned(*replicas, uris=(URIS[0], OLD))
    files = {stem: yaml.safe_load(text) for stem, text in files_of(plan, (), "../secrets").items()}
    assert files["contoso-prod"]["targets"][0]["retained_versions"] == [{"key": OLD.uri, "credential": "contoso-old-old_cred"}]
    assert files["contoso-old"] == {
        "credentials": {"contoso-old-old_cred": {"type": "connector_secret", "secret_file": "../secrets/contoso-old-old_cred"}}
    }
    assert "on N1, N2, in the file below" in files_of(plan, (), "../secrets")["contoso-old"]
    assert set(files_of(plan, {"contoso-old-old_cred"}, "../secrets")) == {"contoso-prod"}


def test_version_without_a_usable_credential_is_a_note():
    def other_login(rows):
        with_old_key(identity="contoso-old", credential="old_cred")(rows)
        rows["keys"][-1]["credential"] = "tde_cred"  # of the new vault

    for change in (with_old_key(), other_login):
        plan = planned(instance("N1", change=change), uris=(URIS[0], OLD))
        assert retained(plan) == {"contoso-prod-K": []}
    assert f"{OLD.uri} protects no database, and no target retains it: old backups may need it" in plan.findings.notes


def test_version_on_a_server_without_target_is_a_note():
    for change in (with_old_key(), lambda rows: (with_old_key()(rows), rows["credentials"].clear())):
        plan = planned(instance("N1", databases={}, change=altered_keys(change)))
        assert plan.targets == []
        assert [servers for text, servers in plan.findings.notes.items() if text.startswith(URIS[1].uri)] == [["N1"]]


def test_nearest_target_retains_the_version():
    uris = (
        *URIS,
        RegistryUri("2C58", f"https://{VAULT}/keys/Other/{V1}"),
        RegistryUri("2C59", f"https://{VAULT}/keys/Other/{V2}"),
    )
    server = instance("N1", databases={"a": "0x2C56", "b": "0x2C58"}, change=with_old_key("0x2C59", more=("0x2C57",)))
    assert {name: [one[0] for one in versions] for name, versions in retained(planned(server, uris=uris)).items()} == {
        "contoso-prod-K": [URIS[1].uri],
        "contoso-prod-Other": [uris[3].uri],
    }


def test_two_keys_of_one_version_are_one_entry():
    uris = (*URIS, RegistryUri("2C58", URIS[1].uri))
    ((entry,),) = retained(planned(instance("N1", change=with_old_key(more=("0x2C58",))), uris=uris)).values()
    assert entry[2] == {"N1": ("old_0x2C57", "old_0x2C58")}


def test_version_in_use_elsewhere_or_without_a_fit_name_is_not_retained():
    pair = instance("N1", change=with_old_key()), instance("N2", databases={"x": "0x2C57"})
    assert [one for entries in retained(planned(*pair)).values() for one in entries] == []
    unfit = RegistryUri("2C57", f"https://{VAULT}/keys/{'n' * 127}-/{V2}")
    assert [one for entries in retained(planned(pair[0], uris=(URIS[0], unfit))).values() for one in entries] == []


def test_hidden_database_leaves_no_key_unused():
    def closed(rows):
        with_old_key()(rows)
        altering("databases", state="RESTORING", name="closed")(rows)

    assert all(not one.retained for one in planned(instance("N1", change=closed)).targets)


def test_hand_written_version_wins():
    def target(version, *old):
        return HandWrittenTarget(
            name="mine", vault=VAULT, key_name="k", key_version=version, instances=(), where="ekm.yml:1:1", retained=old
        )

    for mine in (target("other", KeyVersion(VAULT, "k", V2.upper())), target(V2)):
        plan = planned(instance("N1", change=with_old_key()), hand_written=HandWritten((mine,)))
        assert retained(plan) == {"contoso-prod-K": []}
        assert not [text for text in plan.findings.notes if "no target retains it" in text]


def test_file_shows_the_reason():
    text = files_of(Plan(targets=planned(instance("N1", change=with_old_key())).targets), (), "../secrets")["contoso-prod"]
    assert "      # N1: old_0x2C57 protects no database now, but old backups may need it\n" in text
