"""Targets from what instances use, those of each host, old versions, searches for public keys, and the findings of the report."""

import pytest
import yaml

from exporter.core.values import Generation
from exporter.inventory.plan import (
    HandWritten,
    Plan,
    Search,
    WrittenHosts,
    instances_by_host,
    make_plan,
    plan_searches,
    report_search,
    targets_of_host,
    with_retained,
)
from exporter.inventory.render import files_of, is_own, report, signed
from exporter.sqlserver.document import Document, KeyVersion, RegistryUri
from exporter.sqlserver.instance import Findings, Provider, instance_of, instances_of, listed
from exporter.sqlserver.keys import HandWrittenTarget, KeyUris, has_modulus
from tests.support.gate_factories import URIS, V1, V2, VAULT, instance
from tests.support.sql_inventory import altering, replacing, rows_of
from tests.support.values import replace


def plan_of(*instances, uris=URIS, hand_written=HandWritten(), names=None):  # noqa: B008 - frozen
    return make_plan(instances, uris, hand_written, names or {})


def test_instances_of_one_key_share_a_target():
    plan = plan_of(instance("N2\\SQLPRD01", ag="AG7"), instance("N1\\SQLPRD01", ag="AG7"))
    (target,) = plan.targets
    assert target.name == "contoso-prod-K"
    assert (target.version.vault, target.version.name, target.version.version) == (VAULT, "K", "1111aaaa2222")
    assert target.thumbprint == "0x2C56"
    assert target.generation is Generation.CURRENT
    assert list(target.instances) == [
        {"sql_instance": "SQLPRD01", "host": "n1", "ag": "AG7"},
        {"sql_instance": "SQLPRD01", "host": "n2", "ag": "AG7"},
    ]
    assert plan.findings.gaps == {}


def test_default_instance_has_the_name_of_its_machine():
    (target,) = plan_of(instance("SQLHOST1")).targets
    assert list(target.instances) == [{"sql_instance": "SQLHOST1", "host": "sqlhost1"}]


def test_versions_and_credentials_make_targets_of_their_own():
    def other_credential(rows):
        rows["credentials"][0]["name"] = rows["keys"][0]["credential"] = "other cred"

    plan = plan_of(instance("A", databases={"x": "0x2C56", "y": "0x2C57"}), instance("B", change=other_credential))
    assert [(target.name, target.version.version, target.credential.name) for target in plan.targets] == [
        ("contoso-prod-K", "1111aaaa2222", "contoso-prod-other-cred-9e1126"),
        ("contoso-prod-K-1111aaaa", "1111aaaa2222", "contoso-prod-tde_cred"),
        ("contoso-prod-K-3333bbbb", "3333bbbb4444", "contoso-prod-tde_cred"),
    ]


def test_names_stay_over_runs():
    names = plan_of(instance("A", databases={"x": "0x2C57"})).names
    plan = plan_of(instance("A", databases={"x": "0x2C57", "y": "0x2C56"}), names=names)
    assert {target.version.version: target.name for target in plan.targets} == {
        "3333bbbb4444": "contoso-prod-K",
        "1111aaaa2222": "contoso-prod-K-1111aaaa",
    }
    before = plan_of(instance("A", databases={"x": "0x2C56"})).names
    (rotated,) = plan_of(instance("A", databases={"x": "0x2C57"}), names=before).targets
    assert (rotated.name, rotated.version.version) == ("contoso-prod-K", "3333bbbb4444")


def test_same_public_key_has_the_same_version():
    def other_thumbprint(rows):
        rows["keys"][0]["thumbprint"] = rows["encryption"][0]["thumbprint"] = "0xFFFF"

    plan = plan_of(instance("A"), instance("B", change=other_thumbprint))
    assert len(plan.targets) == 1
    assert any("several thumbprints" in text for text in plan.findings.gaps)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (altering("keys", thumbprint="0xFFFF", public_key=""), "is under 0x2C56, but this server has no key with that thumbprint"),
        (altering("credentials", identity="other-vault"), "but credential [tde_cred] names other-vault.vault.azure.net"),
        (altering("credentials", provider="Other"), ""),
        (altering("databases", state="RECOVERY_PENDING"), ""),
        (altering("instance", may_view_definitions=0), "grant VIEW ANY DEFINITION"),
        (lambda rows: rows["credentials"].clear(), "no credential of its provider belongs to its login"),
        (
            lambda rows: rows["encryption"].clear() or rows["databases"][0].update(state="SUSPECT"),
            "is in SUSPECT, so its key is unknown: the error log shows the cause. Repair that first, then ALTER DATABASE [sales] SET ONLINE",
        ),
        (
            lambda rows: rows["encryption"].clear() or rows["databases"][0].update(state="SUSPECT", ag="AG7", in_group=1),
            "Repair that first, then restart its service",  # SET ONLINE is refused
        ),
        (lambda rows: rows["replicas"].append({"ag": "AG7", "server_name": "N9"}), "N9 has replicas of availability group AG7"),
        (lambda rows: rows["modules"].clear() or rows["providers"][0].update(version=""), "the connector's version is unknown"),
        (altering("credentials", identity="not a vault"), "names not a vault; the target follows KeyUri"),
    ],
)  # fmt: skip
def test_gap_is_reported(change, expected):
    gaps = plan_of(instance(change=change)).findings.gaps
    assert any(expected in text for text in gaps) if expected else not gaps


@pytest.mark.parametrize(
    ("uris", "targets", "expected"),
    [
        ((*URIS, RegistryUri("AB", f"https://{VAULT}/keys/K")), 1, "KeyUri of thumbprint 0xAB is not https://VAULT/keys/NAME/VERSION"),
        ((RegistryUri("2C56", f"https://{VAULT}/keys/{'K' * 27}/v1"),), 0, "27 characters"),
        ((), 0, "write the target by hand"),
    ],
)  # fmt: skip
def test_gap_of_the_registry_is_reported(uris, targets, expected):
    plan = plan_of(instance(change=None if uris else altering("instance", platform="linux")), uris=uris)
    assert len(plan.targets) == targets
    assert any(expected in text for text in plan.findings.gaps)


def test_disabled_provider_is_a_note():
    notes = plan_of(instance(change=altering("providers", is_enabled=0))).findings.notes
    text = (
        "provider [AzureKV] is disabled, so databases under its keys do not open: ALTER CRYPTOGRAPHIC PROVIDER [AzureKV] ENABLE"
    )
    assert notes == {text: ["N1\\SQLPRD01"]}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"value": 0, "value_in_use": 0}, "is off. Without"),
        ({"value": 0}, "is on now, but off after a RECONFIGURE or a restart. Without"),
        ({"value_in_use": 0}, "is off now, and on only after a RECONFIGURE or a restart. Without"),
    ],
)
def test_option_that_is_off_is_a_note(change, text):
    (note,) = plan_of(instance(change=altering("configurations", **change))).findings.notes
    assert note.startswith(
        f"the option 'EKM provider enabled' {text} it, databases under a provider's keys do not open: EXEC sp_configure"
    )


def test_option_of_a_server_without_a_provider_is_no_note():
    def unused(rows):
        rows["configurations"][0]["value_in_use"] = 0
        rows |= {"providers": [], "keys": []}

    assert not any("EKM provider enabled" in note for note in plan_of(instance(change=unused)).findings.notes)


@pytest.mark.parametrize(
    ("others", "platform", "gap"), [((instance("A"),), "windows", "both generations"), ((), "linux", "version is unknown")]
)
def test_connectors_of_both_generations_or_of_none_are_a_gap(others, platform, gap):
    def old(rows):
        rows["modules"].clear()
        rows["providers"][0]["version"] = "1.0.4.0"
        rows["instance"][0]["platform"] = platform

    plan = plan_of(*others, instance("B", change=old))
    (target,) = plan.targets
    assert target.generation is Generation.CURRENT
    assert [servers for text, servers in plan.findings.gaps.items() if gap in text] == [["B"]]


def test_login_with_two_credentials_has_the_providers_own():
    def two_rows(rows):
        rows["keys"] += [{name: value for name, value in rows["keys"][0].items() if name != "credential"}]
        rows["credentials"] += [rows["credentials"][0] | {"name": "other"}]

    (target,) = plan_of(instance(change=two_rows)).targets
    assert target.credential.sql_name == "tde_cred"


def test_covered_target_reports_each_unlisted_server_once():
    plan = plan_of(instance("N1\\SQLPRD01"), instance("N2\\OTHER"), hand_written=hand_written("1111aaaa2222"))
    assert list(plan.findings.gaps.values()) == [["N2\\OTHER"]]
    other = plan_of(instance("N2\\OTHER"), hand_written=hand_written("0000"))
    assert other.findings.gaps == {}


def test_missing_key_uri_names_the_command():
    plan = plan_of(instance(), uris=())
    assert plan.targets == []
    ((text, servers),) = plan.findings.gaps.items()
    assert "no KeyUri" in text
    assert "reg query" in text
    assert servers == ["N1\\SQLPRD01"]


def test_two_key_uris_follow_the_credentials_vault():
    moved = RegistryUri("2C56", "https://contoso-dr.vault.azure.net/keys/K/9999")
    (target,) = plan_of(instance(), uris=(*URIS, moved)).targets
    assert target.version.vault == VAULT
    assert plan_of(instance(), uris=(*URIS, RegistryUri("2C56", f"https://{VAULT}/keys/K/{V2}"))).targets == []


def test_unknown_encryption_counts_every_key():
    plan = plan_of(instance(databases={"x": "0x2C56", "y": "0x2C57"}, failing={"encryption": "denied"}))
    assert len(plan.targets) == 2
    assert any("each key counts as used" in text for text in plan.findings.gaps)


def test_unused_key_and_server_without_a_provider_are_notes():
    unused = instance("A", databases={}, change=lambda rows: rows.update(keys=rows_of()["keys"]))
    without = instance("B", change=lambda rows: [rows[name].clear() for name in ("providers", "keys", "encryption", "databases")])
    plan = plan_of(unused, without)
    assert plan.targets == []
    assert plan.findings.gaps == {}
    assert list(plan.findings.notes.values()) == [["A"], ["B"]]


def test_managed_identity_has_the_vault_in_its_name():
    def managed(rows):
        rows["credentials"][0].update(name="contoso-prod", identity="Managed Identity")
        rows["keys"][0]["credential"] = "contoso-prod"

    plan = plan_of(instance(change=managed))
    (target,) = plan.targets
    assert (target.version.vault, target.credential.name) == (VAULT, "contoso-prod-managed-identity")
    text = files_of(plan, (), "../secrets")["contoso-prod"]
    assert yaml.safe_load(text)["credentials"] == {"contoso-prod-managed-identity": {"type": "managed_identity"}}
    assert "still to be supplied" not in report(plan, (), "../secrets")


def hand_written(version, *, name="mine", vault=VAULT, thumbprint=None, **labels):
    instances = (labels or {"sql_instance": "sqlprd01"},)
    target = HandWrittenTarget(
        name=name, vault=vault, key_name="k", key_version=version, instances=instances, where="ekm.yml:9:3", thumbprint=thumbprint
    )
    return HandWritten((target,), frozenset({"contoso-prod-tde_cred"}))


def test_hand_written_target_covers_its_key():
    plan = plan_of(instance(), hand_written=hand_written("1111aaaa2222"))
    assert plan.targets == []
    assert plan.covered == {"target mine (ekm.yml:9:3)": ["N1\\SQLPRD01"]}
    assert plan.findings.gaps == {}


@pytest.mark.parametrize(
    ("declared", "targets", "expected"),
    [
        (hand_written("0000"), 1, "has 0000, but SQL Server uses K/1111aaaa2222"),
        (hand_written("1111aaaa2222", thumbprint="0xFF"), 0, "has thumbprint 0xFF, but SQL Server has 0x2C56"),
        (hand_written("1111aaaa2222", sql_instance="SQLPRD01", host="n7"), 0, "does not list the server"),
    ],
)
def test_hand_written_target_that_differs_is_a_gap(declared, targets, expected):
    plan = plan_of(instance(), hand_written=declared)
    assert len(plan.targets) == targets
    assert any(expected in text for text in plan.findings.gaps)


def test_target_has_key_uri_and_thumbprint():
    (target,) = yaml.safe_load(files_of(plan_of(instance()), (), "../secrets")["contoso-prod"])["targets"]
    assert (target["key"], target["thumbprint"]) == (f"https://{VAULT}/keys/K/1111aaaa2222", "0x2C56")
    assert "vault" not in target


def test_hand_written_names_are_not_used_twice():
    (target,) = plan_of(instance(), hand_written=hand_written(None, name="contoso-prod-K", vault="v")).targets
    assert target.name == "contoso-prod-K-1111aaaa"


def test_declared_credential_is_left_out_of_the_file():
    plan = plan_of(instance())
    with_it, without = (
        yaml.safe_load(files_of(plan, names, "../secrets")["contoso-prod"]) for names in ((), ("contoso-prod-tde_cred",))
    )
    assert with_it["credentials"]["contoso-prod-tde_cred"]["secret_file"] == "../secrets/contoso-prod-tde_cred"
    assert "credentials" not in without


@pytest.mark.parametrize(
    ("version", "file_version", "expected"),
    [
        ("1.0.5.0", "", Generation.CURRENT),
        ("1.0.4.0", "15.0.300.96", Generation.CURRENT),
        ("1.0.4.0", "", Generation.CLASSIC),
        ("1.0.4.0", "13.0.811.168", Generation.CLASSIC),
        ("", "", None),
        ("x", "13.0.811.168", None),
    ],
)
def test_generation_follows_the_version(version, file_version, expected):
    assert Provider(name="p", version=version, file_version=file_version, enabled=True).generation is expected


def test_only_unchanged_text_is_own():
    text = signed("targets: []\n")
    assert is_own(text)
    assert is_own(text.replace("\n", "\r\n"))
    assert not is_own(text + "# mine\n")
    assert not is_own("targets: []\n")


def test_long_lists_are_cut():
    assert listed(["a", "b"]) == "a, b"
    assert listed(str(number) for number in range(15)).endswith("11 and 3 more")


def test_document_without_server_name_gets_the_address():
    assert instance_of(Document(address="n7", sections={"instance": ({},)})).server_name == "n7"


@pytest.mark.parametrize("state", ["RESTORING", "OFFLINE", "EMERGENCY", "RECOVERING"])
def test_database_that_is_not_online_leaves_no_key_unused(state):
    def hidden(rows):
        rows["encryption"] = rows["encryption"][:1]
        rows["databases"][1].update(state=state, is_encrypted=0)

    plan = plan_of(instance(databases={"x": "0x2C56", "y": "0x2C57"}, change=hidden))
    assert [target.databases for target in plan.targets] == [{"N1\\SQLPRD01": ("x",)}, {"N1\\SQLPRD01": ("y",)}]
    assert plan.findings.gaps == {}
    assert list(plan.findings.notes) == [
        f"database [y] is in {state}, so its key is unknown: keys that protect no other database count as used"
    ]


def test_database_under_a_certificate_hides_no_key():
    plan = plan_of(instance(change=altering("encryption", encryptor_type="CERTIFICATE")))
    assert plan.targets == []
    (text,) = plan.findings.notes
    assert text.endswith("columns in databases and old backups may need it (retire-version.sql)")


def test_databases_of_the_system_without_a_key_are_no_remark():
    def offline(rows):
        rows["keys"].clear()
        rows["encryption"].clear()
        rows["databases"][0]["state"] = "OFFLINE"

    assert plan_of(instance(change=offline)).findings.notes == {}


@pytest.mark.parametrize("name", ["sales", "tempdb"])
def test_encrypted_database_without_a_shown_key_uses_each(name):
    def closed(rows):
        rows["encryption"].clear()
        rows["databases"][0]["name"] = name

    plan = plan_of(instance(databases={"sales": "0x2C56"}, change=closed))
    if name == "tempdb":  # whose key each start makes
        assert plan.targets == []
        return
    assert [target.databases for target in plan.targets] == [{"N1\\SQLPRD01": ("sales",)}]
    assert list(plan.findings.notes) == [
        "database [sales] is encrypted but not open, as with AUTO_CLOSE, so its key is unknown: keys that protect no other database count as used"
    ]


def test_encrypted_databases_are_no_remark_without_encryption():
    plan = plan_of(instance(failing={"encryption": "VIEW SERVER SECURITY STATE permission was denied"}))
    assert [target.name for target in plan.targets] == ["contoso-prod-K"]
    assert plan.findings.notes == {}


def test_hand_written_target_may_write_the_names_in_another_way():
    covering = hand_written("1111aaaa2222", sql_instance="MSSQLSERVER", host="N1.contoso.com")
    assert plan_of(instance("N1"), hand_written=covering).findings.gaps == {}
    assert len(plan_of(instance("N1\\SQLPRD01"), hand_written=covering).findings.gaps) == 1


def test_statements_of_findings_quote_each_name():
    def strange(rows):
        rows["providers"][0].update(name="Azure]KV", is_enabled=0)
        rows["credentials"][0].update(name="c]", provider="Azure]KV")
        rows["keys"][0].update(name="k]", login="l]", provider="Azure]KV")
        del rows["keys"][0]["credential"]

    found = plan_of(instance(change=strange)).findings
    (note,) = found.notes
    assert note.endswith("ALTER CRYPTOGRAPHIC PROVIDER [Azure]]KV] ENABLE")
    assert any(text.endswith("ALTER LOGIN [l]]] ADD CREDENTIAL [c]]]") for text in found.gaps)

    def without_login(rows):
        strange(rows)
        del rows["keys"][0]["login"]
        rows["credentials"].append({"name": "d]", "identity": "contoso-prod", "provider": "Azure]KV"})

    (text,) = [one for one in plan_of(instance(change=without_login)).findings.gaps if "LOGIN" in one]
    assert (
        "FROM ASYMMETRIC KEY [k]]]; ALTER LOGIN [LOGIN] ADD CREDENTIAL [CREDENTIAL] (CREDENTIAL is one of [c]]], [d]]])" in text
    )


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


NODES = WrittenHosts(of_any=("n1", "n2"))


def hosts_of(*instances, written=NODES):
    findings = Findings()
    found = instances_by_host(instances, findings, written)
    return {host: [one.server_name for one in those] for host, those in found.items()}, findings


def clustered(rows):
    altering("instance", node="N1")(rows)
    rows["nodes"] = [{"name": "N1"}, {"name": "N2"}]


def test_each_host_has_its_instances_and_a_cluster_each_node():
    found, findings = hosts_of(instance("N1\\A"), instance("N1\\B"), instance("SQLFCI\\PROD", change=clustered))
    assert found == {"n1": ["N1\\A", "N1\\B", "SQLFCI\\PROD"], "n2": ["SQLFCI\\PROD"]}
    assert (findings.gaps, findings.notes) == ({}, {})


def test_cluster_with_unknown_nodes_is_a_gap():
    moved = altering("instance", node="N1")
    found, findings = hosts_of(instance("SQLFCI", change=moved, failing={"nodes": "denied"}), instance("OTHER", change=moved))
    assert found == {}
    assert [(servers, text.rpartition("STATE): ")[2]) for text, servers in findings.gaps.items()] == [
        (["SQLFCI"], "message 300: denied"),
        (["OTHER"], "the section nodes is empty"),
    ]


@pytest.mark.parametrize(
    ("address", "node", "host"),
    [
        ("n2.contoso.com", "N2", "n2"),
        ("N2.CONTOSO.COM.", "N2", "n2"),
        ("tcp:n2,1433", "N2", "n2"),
        ("n2\\A", "N2", "n2"),
        ("file n2_A.txt", "N2", "n2"),
        ("n2", "N2.evil.example", "n2"),  # never in a domain that only the server names
        ("n2.contoso.com", "N2.evil.example", "n2.contoso.com"),
        ("n2.contoso.com", "N20", None),
        ("n2.contoso.com", "contoso", None),
        ("n2.contoso.com", "10.9.9.9", None),
        ("10.9.9.9", "10.9.9.9", None),
        ("10.9.9.9", "10", None),
        ("10.0.0.5", "N2", None),
        ("listener.contoso.com", "N2", None),
        ("file other.txt", "N2", None),
        (None, "N2", None),
    ],
)
def test_host_counts_if_it_is_the_one_that_was_asked(address, node, host):
    document = Document(address=address, sections=rows_of("N2") | {"nodes": [{"name": node}]})
    found, findings = hosts_of(*instances_of([document]), written=None)
    assert (list(found), len(findings.gaps)) == (([host], 0) if host else ([], 1))
    assert all(f"read as {address or ''}, it names the host {node.lower()}" in text for text in findings.gaps)


@pytest.mark.parametrize(
    ("node", "written", "host"),
    [
        ("N2", WrittenHosts({"10.0.0.5": "n2"}), "n2"),
        ("N2", WrittenHosts({"10.0.0.6": "n2"}), None),
        ("10.9.9.9", WrittenHosts({"10.0.0.5": "10.9.9.9"}), "10.9.9.9"),
        ("N2", WrittenHosts(of_any=["n2.contoso.com"]), "n2"),
        ("N2.evil.example", WrittenHosts(of_any=["n1", "n2.contoso.com"]), "n2.contoso.com"),
    ],
)
def test_host_counts_if_the_operator_wrote_it(node, written, host):
    document = Document(address="10.0.0.5", sections=rows_of("N2") | {"nodes": [{"name": node}]})
    assert list(hosts_of(*instances_of([document]), written=written)[0]) == ([host] if host else [])


@pytest.mark.parametrize("name", ["../N1", "a/b", ".", "n1.", "N1 x", "ü", "CON", "nul.contoso.com"])
def test_name_that_leads_out_of_the_folder_is_a_gap(name):
    found, findings = hosts_of(instance("N1", change=replacing(nodes=[{"name": name}])))
    assert found == {}
    assert [servers for text, servers in findings.gaps.items() if "not fit for a folder" in text] == [["N1"]]


def test_linux_is_a_note_and_a_server_without_provider_nothing():
    found, findings = hosts_of(
        instance("L1", change=altering("instance", platform="linux")),
        instance("N1", databases={}, change=replacing(providers=[], keys=[])),
    )
    assert (found, findings.gaps, list(findings.notes.values())) == ({}, {}, [["L1"]])


def test_host_has_the_domain_if_two_servers_share_a_name():
    documents = [Document(address=f"n1.{domain}", sections=rows_of("N1")) for domain in ("a.example", "b.example")]
    assert set(instances_by_host(instances_of(documents), Findings())) == {"n1.a.example", "n1.b.example"}


def test_targets_of_a_host_name_its_own_servers_only():
    servers = [instance("N1\\A", databases={"x": "0x2C56"}), instance("N2\\A", databases={"x": "0x2C56", "y": "0x2C57"})]
    targets = make_plan(servers, URIS, HandWritten(), {}).targets
    (one,) = targets_of_host(targets, servers[:1])
    assert (one.instances, one.credential.servers, dict(one.databases)) == (
        ({"sql_instance": "A", "host": "n1"},),
        ("N1\\A",),
        {"N1\\A": ("x",)},
    )
    assert [len(target.instances) for target in targets_of_host(targets, servers[1:])] == [1, 1]


FIRST, SECOND = KeyVersion(VAULT, "K", "1111aaaa"), KeyVersion(VAULT, "K", "2222bbbb")
MODULUS = bytes(range(1, 129)) * 2


def searches(*instances, loose=(), compared=None, hand_written=()):
    return plan_searches(instances, KeyUris(instances, loose, Findings(), compared), hand_written)


def target(vault=VAULT, key_version="3333cccc"):
    return HandWrittenTarget(name="t", vault=vault, key_name="Old", key_version=key_version, instances=(), where="ekm.yml:1:1")


def test_key_without_uri_is_searched_in_the_vault_of_its_credential():
    found = searches(instance("N1"))
    assert list(found) == [VAULT]
    assert found[VAULT].wanted == {"0xAA2C56": "key_2C56"}
    assert list(found[VAULT].servers) == ["N1"]
    assert found[VAULT].named == {}  # key_2C56 cannot be a name in a vault


def test_known_names_are_looked_up_too():
    def rename(rows):
        rows["keys"][0]["name"] = "Tde-Key"

    given = (target(), target(key_version=None), target(vault="other.vault.azure.net"))
    found = searches(instance("N1", change=rename), loose=[RegistryUri("0x99", FIRST.uri)], hand_written=given)
    assert found[VAULT].named == {"Tde-Key": set(), "K": {"1111aaaa"}, "Old": {"3333cccc"}}


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows["keys"][0].pop("public_key"),
        lambda rows: [rows[name].clear() for name in ("encryption", "databases")],
        lambda rows: rows["credentials"].clear(),
        lambda rows: rows["credentials"][0].update(identity="no vault!"),
    ],
)
def test_other_keys_are_not_searched(change):
    assert searches(instance("N1", change=change)) == {}


def test_known_version_is_not_searched_and_an_ambiguous_one_is():
    one, other = RegistryUri("2C56", FIRST.uri), RegistryUri("2C56", SECOND.uri)
    assert searches(instance("N1"), loose=[one]) == {}
    assert searches(instance("N1"), compared={"0xAA2C56": FIRST}) == {}
    assert list(searches(instance("N1"), loose=[one, other])) == [VAULT]


@pytest.mark.parametrize("loose", [[], [RegistryUri("2C56", FIRST.uri), RegistryUri("2C56", SECOND.uri)]])
def test_compared_version_becomes_the_target(loose):
    plan = make_plan([instance("N1")], loose, HandWritten(), {}, {"0xAA2C56": SECOND})
    assert [one.version for one in plan.targets] == [SECOND]


def test_registry_counts_before_the_comparison():
    plan = make_plan([instance("N1")], [RegistryUri("2C56", FIRST.uri)], HandWritten(), {}, {"0xAA2C56": SECOND})
    assert [one.version for one in plan.targets] == [FIRST]


def test_modulus_matches_in_both_byte_orders():
    assert has_modulus("0x0602" + MODULUS.hex(), MODULUS)
    assert has_modulus("0x0602" + MODULUS[::-1].hex(), b"\0" + MODULUS)
    assert not has_modulus("0x0602" + MODULUS[1:].hex(), MODULUS)
    assert not has_modulus("0x0602" + MODULUS[:127].hex(), MODULUS[:127])  # too short to be a key
    assert not has_modulus("0x0602", b"")


def searched(**result):
    return Search("v", wanted={"0xAA": "tde"}, servers={"N1": None}, **result)


def reported(search):
    findings = Findings()
    report_search(search, findings)
    return findings.gaps, findings.notes


def test_report_names_extent_and_missing_keys():
    full = searched(matches={"0xAA": {FIRST}}, compared=3)
    assert reported(full) == ({}, {"vault v: 3 key versions compared by their public keys; each was found": ["N1"]})
    ended = searched(matches={"0xAA": {FIRST}}, compared=3, failure="HTTP 500")
    gap = "vault v: 3 key versions compared by their public keys; HTTP 500; each was found"
    assert reported(ended) == ({gap: ["N1"]}, {})
    part = searched(compared=1, refused=2, listed=False, failure="HTTP 500")
    text = (
        "vault v: 1 key versions compared by their public keys, the newest and the named ones only: it refuses the list "
        "(permission list); 2 refused (permission get); HTTP 500; none has that of [tde]"
    )
    assert reported(part) == ({text: ["N1"]}, {})


def test_key_that_is_in_the_vault_twice_is_a_gap():
    result = searched(matches={"0xAA": {FIRST, SECOND}}, compared=2)
    gaps, notes = reported(result)
    assert (result.found, notes) == ({}, {})
    assert next(iter(gaps)).endswith("; several have that of [tde]: K/1111aaaa, K/2222bbbb")


@pytest.mark.parametrize(("compared", "kind"), [({"0xAA2C56": SECOND}, "notes"), ({}, "gaps")])
def test_unread_registry_is_a_gap_only_if_a_version_is_unknown(compared, kind):
    one = replace(instance("N1"), errors={"registry": "message 229: denied"})
    findings = make_plan([one], [], HandWritten(), {}, compared).findings
    assert [text for text in getattr(findings, kind) if text.endswith("message 229: denied")]
    other = findings.gaps if kind == "notes" else findings.notes
    assert not [text for text in other if "message 229" in text]
