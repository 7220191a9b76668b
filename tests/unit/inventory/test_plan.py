"""Targets from what instances use, stable names, and the findings of the report."""

import pytest
import yaml

from exporter.core.values import Generation
from exporter.inventory.plan import HandWritten, make_plan
from exporter.inventory.render import files_of, is_own, report, signed
from exporter.sqlserver.document import Document, RegistryUri
from exporter.sqlserver.instance import Provider, instance_of, listed
from exporter.sqlserver.keys import HandWrittenTarget
from tests.support.gate_factories import URIS, V2, VAULT, instance
from tests.support.sql_inventory import altering, rows_of


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


def test_rotation_keeps_the_name():
    names = plan_of(instance("A", databases={"x": "0x2C56"})).names
    (target,) = plan_of(instance("A", databases={"x": "0x2C57"}), names=names).targets
    assert (target.name, target.version.version) == ("contoso-prod-K", "3333bbbb4444")


def test_same_public_key_has_the_same_version():
    def other_thumbprint(rows):
        rows["keys"][0]["thumbprint"] = rows["encryption"][0]["thumbprint"] = "0xFFFF"

    plan = plan_of(instance("A"), instance("B", change=other_thumbprint))
    assert len(plan.targets) == 1
    assert any("several thumbprints" in text for text in plan.findings.gaps)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            altering("keys", thumbprint="0xFFFF", public_key=""),
            "is under 0x2C56, but this server has no key with that thumbprint",
        ),
        (altering("credentials", identity="other-vault"), "but credential [tde_cred] names other-vault.vault.azure.net"),
        (altering("credentials", provider="Other"), ""),
        (altering("databases", state="RECOVERY_PENDING"), ""),
        (altering("instance", may_view_definitions=0), "grant VIEW ANY DEFINITION"),
        (lambda rows: rows["credentials"].clear(), "no credential of its provider belongs to its login"),
        (
            lambda rows: rows["encryption"].clear() or rows["databases"][0].update(state="SUSPECT"),
            "is in SUSPECT, so its key is unknown",
        ),
        (lambda rows: rows["replicas"].append({"ag": "AG7", "server_name": "N9"}), "N9 has replicas of availability group AG7"),
        (lambda rows: rows["modules"].clear() or rows["providers"][0].update(version=""), "the connector's version is unknown"),
        (altering("credentials", identity="not a vault"), "names not a vault; the target follows KeyUri"),
    ],
)
def test_gap_is_reported(change, expected):
    gaps = plan_of(instance(change=change)).findings.gaps
    assert any(expected in text for text in gaps) if expected else not gaps


@pytest.mark.parametrize(
    ("uris", "targets", "expected"),
    [
        (
            (*URIS, RegistryUri("AB", f"https://{VAULT}/keys/K")),
            1,
            "KeyUri of thumbprint 0xAB is not https://VAULT/keys/NAME/VERSION",
        ),
        ((RegistryUri("2C56", f"https://{VAULT}/keys/{'K' * 27}/v1"),), 0, "27 characters"),
        ((), 0, "write the target by hand"),
    ],
)
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


def test_connectors_of_both_generations_are_a_gap():
    def old(rows):
        rows["modules"].clear()
        rows["providers"][0]["version"] = "1.0.4.0"

    plan = plan_of(instance("A"), instance("B", change=old))
    (target,) = plan.targets
    assert target.generation is Generation.CURRENT
    assert [servers for text, servers in plan.findings.gaps.items() if "both generations" in text] == [["B"]]


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


@pytest.mark.parametrize("label", ["mssqlserver", "MSSQLSERVER", "N1"])
def test_default_instance_has_the_name_of_its_service(label):
    covering = hand_written("1111aaaa2222", sql_instance=label, host="N1")
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
