"""The credential of the key's own login, also where SQL Server shows no SID of the key."""

from __future__ import annotations

import pytest

from exporter.inventory.plan import HandWritten, make_plan
from exporter.sqlserver.document import Document, RegistryUri
from exporter.sqlserver.instance import Kind, instance_of
from exporter.sqlserver.keys import pairs_by_name
from tests.support.sql_inventory import rows_of

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


def plan_of(rows, *uris, errors=None, thumbprint=None):
    found = [RegistryUri(thumbprint or f"0{number}", uri) for number, uri in enumerate(uris, start=1)]
    return make_plan([instance_of(Document(sections=rows, errors=errors or {}))], found, HandWritten(), {})


def credentials_of(plan):
    return {target.version.name: target.credential.sql_name for target in plan.targets}


def kinds_of(plan):
    return set(plan.findings.kinds.values())


def test_login_without_a_credential_is_no_green():
    rows = rows_of()
    del rows["keys"][0]["credential"]
    plan = plan_of(rows, V1, thumbprint="2C56")
    assert credentials_of(plan) == {"K1": "tde_cred"}
    ((text, servers),) = plan.findings.gaps.items()
    assert "its login [tde_login] has no credential of the provider, so SQL Server cannot sign in" in text
    assert text.endswith("ALTER LOGIN [tde_login] ADD CREDENTIAL [tde_cred]")
    assert (servers, kinds_of(plan)) == (["N1\\SQLPRD01"], {Kind.CREDENTIAL_MISSING})


def test_key_without_a_login_names_both_statements():
    plan = plan_of(rows_with({"a": "contoso-prod", "b": "contoso-prod"}, ["TDE_KEY"], sid=1), V1)
    (text,) = plan.findings.gaps
    assert "no login was made from it" in text
    assert "CREATE LOGIN [LOGIN] FROM ASYMMETRIC KEY [TDE_KEY]; ALTER LOGIN [LOGIN] ADD CREDENTIAL [CREDENTIAL]" in text
    assert "(CREDENTIAL is one of [a], [b])" in text
    assert kinds_of(plan) == {Kind.CREDENTIAL_MISSING}


def test_provider_without_a_credential_is_missing_unless_unread():
    assert kinds_of(plan_of(rows_with({}, ["K"]), V1)) == {Kind.CREDENTIAL_MISSING}
    assert kinds_of(plan_of(rows_with({}, ["K"]), V1, errors={"credentials": "timeout"})) == set()


def test_only_login_of_a_key_without_sid_has_its_credential():
    admin = {"sysadmin_ekm_cred": "contoso-prod", "tde_cred": "contoso-prod"}
    plan = plan_of(rows_with(admin, ["TDE_KEY"], [("TDE_Login", "tde_cred")]), V1)
    assert credentials_of(plan) == {"K1": "tde_cred"}
    assert plan.findings.gaps == plan.findings.notes == {}


def test_vault_distinguishes_the_credentials():
    credentials = {"cred1": "contoso-prod", "cred2": "contoso-dr"}
    plan = plan_of(rows_with(credentials, ["A", "B"], [("L", "cred2"), ("M", "cred1")]), V1, DR)
    assert credentials_of(plan) == {"K1": "cred1", "K2": "cred2"}
    assert plan.findings.gaps == {}


def test_rotation_without_sid_pairs_by_names():
    credentials = {"Azure_EKM_TDE_cred": "contoso-prod", "Azure_EKM_TDE_cred2": "contoso-prod"}
    logins = [("TDE_Login2", "Azure_EKM_TDE_cred2"), ("EKM_Login", "Azure_EKM_TDE_cred")]
    plan = plan_of(rows_with(credentials, ["EKMSampleASYKey", "TDE_KEY2"], logins), V1, V2)
    assert credentials_of(plan) == {"K1": "Azure_EKM_TDE_cred", "K2": "Azure_EKM_TDE_cred2"}
    assert plan.findings.gaps == {}
    assert sorted(text.partition(": ")[2].partition(" belongs")[0] for text in plan.findings.notes) == [
        "login [EKM_Login]",
        "login [TDE_Login2]",
    ]


def test_logins_that_nothing_distinguishes_are_listed():
    credentials = {"cred1": "contoso-prod", "cred2": "contoso-prod"}
    plan = plan_of(rows_with(credentials, ["red", "blue"], [("north", "cred1"), ("south", "cred2")]), V1, V2)
    assert credentials_of(plan) == {"K1": "cred1", "K2": "cred2"}  # in the order in which both were made
    assert kinds_of(plan) == {Kind.CREDENTIAL_GUESSED}
    assert "which of the logins [north], [south] belongs to it is unknown" in next(iter(plan.findings.gaps))
    assert any("a guess of [cred2], [cred1]: the target has the first" in text for text in plan.findings.gaps)


def test_paired_login_without_a_credential_is_missing():
    plan = plan_of(rows_with({"cred1": "contoso-prod"}, ["KEY1", "KEY2"], [("LOGIN1", "cred1"), ("LOGIN2", None)]), V1, V2)
    assert credentials_of(plan) == {"K1": "cred1", "K2": "cred1"}
    assert kinds_of(plan) == {Kind.CREDENTIAL_MISSING}
    assert any("its login [LOGIN2] has no credential of the provider for its vault" in text for text in plan.findings.gaps)


def test_no_login_of_a_key_is_missing():
    plan = plan_of(rows_with({"cred1": "contoso-prod"}, ["KEY1"]), V1)
    assert kinds_of(plan) == {Kind.CREDENTIAL_MISSING}
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
    plan = plan_of(rows, V1, errors=errors)
    assert credentials_of(plan) == {"K1": "cred1"}
    assert kinds_of(plan) == {Kind.CREDENTIAL_GUESSED}
    assert any(expected in text for text in plan.findings.gaps)


def test_unread_logins_are_no_gap_if_the_key_has_a_sid():
    assert plan_of(rows_of(), V1, thumbprint="2C56", errors={"logins": "x"}).findings.gaps == {}


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
    plan = plan_of(rows, V1, V2)
    names = {target.credential.name for target in plan.targets}
    assert len(names) == len({name.lower() for name in names}) == 2


def test_one_key_has_the_login_with_the_credential_of_its_vault():
    rows = rows_with({"prod": "contoso-prod", "dr": "contoso-dr"}, ["K"], [("a", "prod"), ("b", "dr")])
    plan = plan_of(rows, V1)
    assert plan.findings.gaps == {}
    assert [target.credential.sql_name for target in plan.targets] == ["prod"]
