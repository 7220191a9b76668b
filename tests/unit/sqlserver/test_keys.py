"""Which version and credential each key has: the registries, logins and vaults that count, and what a managed identity needs."""

from __future__ import annotations

import pytest

from exporter.inventory.plan import HandWritten, make_plan
from exporter.sqlserver.document import Document, KeyVersion, RegistryUri
from exporter.sqlserver.instance import instance_of
from exporter.sqlserver.keys import pairs_by_name
from tests.support.sql_inventory import rows_of

VAULT, EVIL = "contoso-prod.vault.azure.net", "evil.vault.azure.net"
TRUE, FORGED = (KeyVersion(VAULT, "K", version) for version in ("1111", "6666"))
ELSEWHERE = KeyVersion(EVIL, "K", "6666")


def server(name, *versions, vault="contoso-prod", thumbprint="0x2C56", public_key=""):
    rows = rows_of(name, vault=vault, databases={"sales": thumbprint})
    rows["keys"][0]["public_key"] = public_key
    uris = tuple(RegistryUri("2C56", version.uri) for version in versions)
    return instance_of(Document(sections=rows, key_uris=uris))


def plan_of(*instances, loose=(), **options):
    return make_plan(instances, [RegistryUri("2C56", one.uri) for one in loose], HandWritten(), {}, **options)


def versions_of(plan, name):
    return [one.version for one in plan.targets if name in one.databases]


def test_own_registry_counts_before_another_servers():
    plan = plan_of(server("B", TRUE), server("A", FORGED))
    assert versions_of(plan, "B") == [TRUE]
    text = f"the registry of A names {FORGED.uri}, but {TRUE.uri} counts: remove the wrong entry, and find out who wrote it"
    assert plan.findings.gaps[f"key [key_2C56] (0x2C56): {text}"] == ["B"]


def test_second_entry_of_another_server_moves_nothing():
    before = {"B": {"0x2C56": TRUE}}
    plan = plan_of(server("B"), server("A", TRUE, FORGED), established=before)
    assert versions_of(plan, "B") == [TRUE]
    assert any("the registry of A names" in text and servers == ["B"] for text, servers in plan.findings.gaps.items())


def test_second_entry_without_a_last_run_gives_no_target():
    plan = plan_of(server("B"), server("A", TRUE, FORGED))
    assert versions_of(plan, "B") == []
    (text,) = [text for text, servers in plan.findings.gaps.items() if "B" in servers]
    assert f"the registry of A names {TRUE.uri}, the registry of A names {FORGED.uri}" in text


def test_vault_that_the_server_does_not_name_gets_no_target():
    plan = plan_of(server("B"), server("A", ELSEWHERE))
    assert plan.targets == []
    (text,) = [text for text, servers in plan.findings.gaps.items() if "B" in servers]
    assert f"the registry of A names {ELSEWHERE.uri}, but credential [tde_cred] names {VAULT}: no target" in text


def test_entry_at_a_foreign_vault_is_a_remark():
    plan = plan_of(server("B", TRUE), server("A", ELSEWHERE))
    assert versions_of(plan, "B") == [TRUE]
    assert any(f"the registry of A names {ELSEWHERE.uri}, a vault that no credential of" in one for one in plan.findings.notes)


def test_server_that_uses_another_vault_is_no_contradiction():
    plan = plan_of(server("B", TRUE), server("A", ELSEWHERE, vault="evil"))
    assert (versions_of(plan, "B"), versions_of(plan, "A")) == ([TRUE], [ELSEWHERE])
    assert plan.findings.gaps == plan.findings.notes == {}


def test_entry_of_a_server_with_the_same_vault_counts():
    plan = plan_of(server("B"), server("A", TRUE))
    assert versions_of(plan, "B") == [TRUE]
    assert plan.findings.gaps == {}


def of_last_run(version):
    return {"established": {"B": {"0x2C56": version}}}


@pytest.mark.parametrize(
    ("instances", "options", "expected"),
    [
        ([server("B", public_key="0xAA", thumbprint="0xFFFF"), server("A", TRUE, public_key="0xAA")], {}, [TRUE]),
        ([server("B")], of_last_run(TRUE), [TRUE]),
        ([server("B")], of_last_run(ELSEWHERE), []),
        ([server("B"), server("A", FORGED)], {"loose": [TRUE]}, [TRUE]),
        ([server("B", TRUE, vault="no vault")], {}, [TRUE]),
        ([server("B", vault="no vault"), server("A", TRUE)], {}, []),
    ],
    ids=["same public key", "last run", "last run elsewhere", "file", "own registry alone", "no vault"],
)
def test_entry_that_counts_gives_the_version(instances, options, expected):
    assert versions_of(plan_of(*instances, **options), "B") == expected


def test_old_entry_of_the_own_registry_is_named():
    plan = plan_of(server("B", TRUE, FORGED))
    assert plan.targets == []
    assert any("several KeyUri in its vault" in text for text in plan.findings.gaps)


def test_key_uri_that_is_none_names_its_server():
    rows = rows_of("B")
    plan = plan_of(instance_of(Document(sections=rows, key_uris=(RegistryUri("2C56", "x"),))))
    assert ["B"] in plan.findings.gaps.values()


def test_key_of_a_user_database_is_not_lost():
    columns = RegistryUri("C0", f"https://{VAULT}/keys/Columns/1111")
    one = instance_of(Document(sections=rows_of("B"), key_uris=(RegistryUri("2C56", TRUE.uri), columns)))
    (text,) = plan_of(one).findings.notes
    assert text.startswith(f"the registry names {columns.uri}, whose key master does not have, so no target probes it")
    unread = instance_of(Document(sections=rows_of("B"), key_uris=(columns,), errors={"keys": "x"}))
    assert plan_of(unread).findings.notes == {}


def test_key_uris_that_differ_in_case_are_one_version():
    spellings = (f"https://{VAULT}/keys/K/1111AAAA", f"https://{VAULT}/keys/k/1111aaaa")
    servers = [
        instance_of(Document(sections=rows_of(server), key_uris=uris))
        for server, uris in (
            ("N1", (RegistryUri("2C56", spellings[0]),)),
            ("N2", tuple(RegistryUri("2C56", uri) for uri in spellings)),
            ("N3", ()),  # whose registry was not read
        )
    ]
    plan = plan_of(*servers)
    assert [target.version.uri for target in plan.targets] == [spellings[0]]
    assert len(plan.targets[0].instances) == 3
    assert plan.findings.gaps == {}
    assert KeyVersion(VAULT, "K", "1") != f"https://{VAULT}/keys/K/1"


V1, V2 = "https://contoso-prod.vault.azure.net/keys/K1/1111", "https://contoso-prod.vault.azure.net/keys/K2/2222"
DR = "https://contoso-dr.vault.azure.net/keys/K2/2222"


def rows_with(credentials, keys, logins=(), *, sid=0):
    """Rows of one SQL Server. `credentials` has identities; `logins` pairs of a login and its credential."""
    rows = rows_of(databases={f"db{number}": f"0x0{number}" for number in range(1, len(keys) + 1)})
    rows["credentials"] = [{"name": name, "identity": one, "provider": "AzureKV"} for name, one in credentials.items()]
    rows["keys"] = [
        {"name": name, "thumbprint": f"0x0{number}", "public_key": "", "provider": "AzureKV", "has_sid": sid}
        for number, name in enumerate(keys, start=1)
    ]
    rows["logins"] = [
        {"name": name, **({"provider": "AzureKV", "credential": one} if one is not None else {})} for name, one in logins
    ]
    return rows


def paired(rows, *uris, errors=None, thumbprint=None):
    found = [RegistryUri(thumbprint or f"0{number}", uri) for number, uri in enumerate(uris, start=1)]
    return make_plan([instance_of(Document(sections=rows, errors=errors or {}))], found, HandWritten(), {})


def credentials_of(plan):
    return {target.version.name: target.credential.sql_name for target in plan.targets}


def kinds_of(plan):
    return set(plan.findings.kinds.values())


def test_login_without_a_credential_is_no_green():
    rows = rows_of()
    del rows["keys"][0]["credential"]
    plan = paired(rows, V1, thumbprint="2C56")
    assert credentials_of(plan) == {"K1": "tde_cred"}
    ((text, servers),) = plan.findings.gaps.items()
    assert "its login [tde_login] has no credential of the provider, so SQL Server cannot sign in" in text
    assert text.endswith("ALTER LOGIN [tde_login] ADD CREDENTIAL [tde_cred]")
    assert (servers, kinds_of(plan)) == (["N1\\SQLPRD01"], {"credential_missing"})


def test_key_without_a_login_names_both_statements():
    plan = paired(rows_with({"a": "contoso-prod", "b": "contoso-prod"}, ["TDE_KEY"], sid=1), V1)
    (text,) = plan.findings.gaps
    assert "no login was made from it" in text
    assert "CREATE LOGIN [LOGIN] FROM ASYMMETRIC KEY [TDE_KEY]; ALTER LOGIN [LOGIN] ADD CREDENTIAL [CREDENTIAL]" in text
    assert "(CREDENTIAL is one of [a], [b])" in text
    assert kinds_of(plan) == {"credential_missing"}


def test_provider_without_a_credential_is_missing_unless_unread():
    assert kinds_of(paired(rows_with({}, ["K"]), V1)) == {"credential_missing"}
    assert kinds_of(paired(rows_with({}, ["K"]), V1, errors={"credentials": "timeout"})) == set()


def test_only_login_of_a_key_without_sid_has_its_credential():
    admin = {"sysadmin_ekm_cred": "contoso-prod", "tde_cred": "contoso-prod"}
    plan = paired(rows_with(admin, ["TDE_KEY"], [("TDE_Login", "tde_cred")]), V1)
    assert credentials_of(plan) == {"K1": "tde_cred"}
    assert plan.findings.gaps == plan.findings.notes == {}


def test_vault_distinguishes_the_credentials():
    credentials = {"cred1": "contoso-prod", "cred2": "contoso-dr"}
    plan = paired(rows_with(credentials, ["A", "B"], [("L", "cred2"), ("M", "cred1")]), V1, DR)
    assert credentials_of(plan) == {"K1": "cred1", "K2": "cred2"}
    assert plan.findings.gaps == {}


def test_rotation_without_sid_pairs_by_names():
    credentials = {"Azure_EKM_TDE_cred": "contoso-prod", "Azure_EKM_TDE_cred2": "contoso-prod"}
    logins = [("TDE_Login2", "Azure_EKM_TDE_cred2"), ("EKM_Login", "Azure_EKM_TDE_cred")]
    plan = paired(rows_with(credentials, ["EKMSampleASYKey", "TDE_KEY2"], logins), V1, V2)
    assert credentials_of(plan) == {"K1": "Azure_EKM_TDE_cred", "K2": "Azure_EKM_TDE_cred2"}
    assert plan.findings.gaps == {}
    assert sorted(text.partition(": ")[2].partition(" belongs")[0] for text in plan.findings.notes) == [
        "login [EKM_Login]",
        "login [TDE_Login2]",
    ]


def test_logins_that_nothing_distinguishes_are_listed():
    credentials = {"cred1": "contoso-prod", "cred2": "contoso-prod"}
    plan = paired(rows_with(credentials, ["red", "blue"], [("north", "cred1"), ("south", "cred2")]), V1, V2)
    assert credentials_of(plan) == {"K1": "cred1", "K2": "cred2"}  # in the order in which both were made
    assert kinds_of(plan) == {"credential_guessed"}
    assert "which of the logins [north], [south] belongs to it is unknown" in next(iter(plan.findings.gaps))
    assert any("a guess of [cred2], [cred1]: the target has the first" in text for text in plan.findings.gaps)


def test_paired_login_without_a_credential_is_missing():
    plan = paired(rows_with({"cred1": "contoso-prod"}, ["KEY1", "KEY2"], [("LOGIN1", "cred1"), ("LOGIN2", None)]), V1, V2)
    assert credentials_of(plan) == {"K1": "cred1", "K2": "cred1"}
    assert kinds_of(plan) == {"credential_missing"}
    assert any("its login [LOGIN2] has no credential of the provider for its vault" in text for text in plan.findings.gaps)


def test_no_login_of_a_key_is_missing():
    plan = paired(rows_with({"cred1": "contoso-prod"}, ["KEY1"]), V1)
    assert kinds_of(plan) == {"credential_missing"}
    assert any("no login was made from an asymmetric key" in text for text in plan.findings.gaps)


@pytest.mark.parametrize(
    ("change", "errors", "expected"),
    [
        ({}, {"logins": "timeout"}, "the logins are unknown: timeout"),
        ({"login": "L", "credential": "gone"}, {}, "[gone] is not in the list of credentials"),
    ],
)
def test_unread_part_makes_a_guess(change, errors, expected):
    rows = rows_with({"cred1": "contoso-prod"}, ["KEY1"])
    rows["keys"][0].update(change)
    plan = paired(rows, V1, errors=errors)
    assert credentials_of(plan) == {"K1": "cred1"}
    assert kinds_of(plan) == {"credential_guessed"}
    assert any(expected in text for text in plan.findings.gaps)


def test_unread_logins_are_no_gap_if_the_key_has_a_sid():
    assert paired(rows_of(), V1, thumbprint="2C56", errors={"logins": "x"}).findings.gaps == {}


@pytest.mark.parametrize(
    ("keys", "logins", "expected"),
    [
        (["TDE_KEY", "TDE_KEY2"], ["TDE_Login", "TDE_Login2"], {"TDE_KEY": "TDE_Login", "TDE_KEY2": "TDE_Login2"}),
        (["Key2024", "Old"], ["L", "Login2024"], {"Key2024": "Login2024", "Old": "L"}),
        (["a1", "a1x"], ["b", "c"], {}),
        (["TDEKey", "EKM_key"], ["TDE_Login", "x"], {}),
        (["a", "b", "c"], ["a", "x"], {"a": "a"}),
    ],
)
def test_names_pair_by_their_distinctive_words(keys, logins, expected):
    assert pairs_by_name(keys, logins) == expected


def test_credentials_that_differ_in_case_alone_stay_two():
    rows = rows_with({"TDE": "contoso-prod", "tde": "contoso-prod"}, ["A", "B"], sid=1)
    for key, credential in zip(rows["keys"], ("TDE", "tde"), strict=True):
        key.update(login="l", credential=credential)
    plan = paired(rows, V1, V2)
    names = {target.credential.name for target in plan.targets}
    assert len(names) == len({name.lower() for name in names}) == 2


def test_one_key_has_the_login_with_the_credential_of_its_vault():
    rows = rows_with({"prod": "contoso-prod", "dr": "contoso-dr"}, ["K"], [("a", "prod"), ("b", "dr")])
    plan = paired(rows, V1)
    assert plan.findings.gaps == {}
    assert [target.credential.sql_name for target in plan.targets] == ["prod"]


URI = RegistryUri("2C56", "https://contoso-prod.vault.azure.net/keys/K/1111")
HANGS, OLD, LINUX = "hangs with a managed identity (KB5043526)", "(message 37576)", "SQL Server on Linux supports no managed"


def managed(product="16.0.4175.1", file="15.0.2000.440", catalog="1.0.5.0", **changes):
    rows = rows_of()
    rows["instance"][0].update(product_version=product, **changes)
    rows["credentials"][0].update(name="contoso-prod", identity="Managed Identity")
    rows["keys"][0]["credential"] = "contoso-prod"
    rows["providers"][0]["version"] = catalog
    rows["modules"] = [{"provider": "AzureKV", "file_version": file}] if file else []
    return make_plan([instance_of(Document(sections=rows))], [URI], HandWritten(), {})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, []),
        ({"product": "17.0.1000.7"}, []),
        ({"product": "16.0.4165.4"}, [HANGS]),
        ({"product": "16.0.1135.2"}, [HANGS]),
        ({"product": "15.0.4420.2"}, [HANGS]),
        ({"file": "15.0.300.96"}, [OLD]),
        ({"file": "", "catalog": "1.0.4.0"}, [OLD]),
        ({"product": "16.0.4165.4", "file": "13.0.811.168"}, [HANGS, OLD]),
        ({"platform": "linux", "product": "16.0.4105.2"}, [LINUX]),
    ],
)
def test_server_that_does_not_support_it_is_a_gap(options, expected):
    plan = managed(**options)
    found = [text for text, kind in plan.findings.kinds.items() if kind == "identity_unsupported"]
    assert len(found) == len(expected)
    assert all(any(one in text for text in found) for one in expected)
    assert len(plan.targets) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"file": ""}, "the version of the loaded DLL is unknown"),
        ({"file": "", "catalog": ""}, "the version of the loaded DLL is unknown"),
        ({"product": "?"}, "the version of SQL Server is unknown"),
    ],
)
def test_unknown_version_is_a_gap_of_no_kind(options, expected):
    plan = managed(**options)
    assert any(expected in text for text in plan.findings.gaps)
    assert plan.findings.kinds == {}


def test_client_secret_needs_no_version():
    rows = rows_of()
    rows["instance"][0]["product_version"] = "13.0.5026.0"
    assert make_plan([instance_of(Document(sections=rows))], [URI], HandWritten(), {}).findings.gaps == {}
