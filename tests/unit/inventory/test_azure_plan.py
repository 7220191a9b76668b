"""What Azure lists: rows of Resource Graph, the cloud, coverage, proposals and the report."""

import pytest
import yaml

from exporter.core.names import MANAGEMENT_HOSTS
from exporter.inventory.azure_plan import (
    MARK,
    Azure,
    AzureVault,
    Coverage,
    authority_of,
    azure_report,
    cloud_from,
    plan_azure,
    proposals_file,
    proposals_text,
    read_rows,
)
from exporter.inventory.render import is_own
from tests.support.factories import a_key

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
PROD, NEW, HSM = "contoso-prod.vault.azure.net", "contoso-new.vault.azure.net", "contoso-hsm.managedhsm.azure.net"


def row(uri="https://contoso-new.vault.azure.net/", **more):
    return {"id": "/x", "uri": uri, "subscriptionId": SUBSCRIPTION, "location": "westeurope"} | more


def vault(host):
    return AzureVault(host=host, subscription=SUBSCRIPTION, location="westeurope")


def key(name, bits=2048, enabled=True):
    return a_key(name=name, version="0123456789abcdef0123456789abcdef", size_bits=bits, enabled=enabled)


def test_rows_become_vaults_of_the_cloud():
    found, others = read_rows([row(), row("https://Contoso-HSM.managedhsm.azure.net/")], "public")
    assert [(one.host, one.subscription, one.location, one.is_hsm) for one in found] == [
        (NEW, SUBSCRIPTION, "westeurope", False),
        (HSM, SUBSCRIPTION, "westeurope", True),
    ]
    assert others == 0


@pytest.mark.parametrize(
    "bad",
    [
        row("https://contoso.vault.azure.cn/"),
        row("https://vault.example/"),
        row("https://contoso-new.vault.azure.net:444/"),
        row("https://contoso-new.vault.azure.net/keys"),
        row("http://contoso-new.vault.azure.net/"),
        row(""),
        row(None),
        "text",
        None,
    ],
)
def test_row_without_a_vault_of_the_cloud_is_counted(bad):
    assert read_rows([row(), bad], "public") == ([vault(NEW)], 1)


def test_other_data_has_no_row():
    assert read_rows({"columns": []}, "public") == ([], 0)


def test_unusable_words_of_a_row_are_not_shown():
    (found,), _ = read_rows([row(subscriptionId="\x1b[31m", location=7)], "public")
    assert (found.subscription, found.location) == ("?", "?")


def test_vault_of_no_known_cloud_is_no_hsm():
    assert not vault("vault.example").is_hsm


@pytest.mark.parametrize(
    ("cloud", "authority"),
    [
        ("public", "https://login.microsoftonline.com"),
        ("us_government", "https://login.microsoftonline.us"),
        ("china", "https://login.partner.microsoftonline.cn"),
    ],
)
def test_each_cloud_has_its_authority(cloud, authority):
    assert authority_of(cloud) == authority
    assert cloud_from(authority, []) == cloud
    assert cloud in MANAGEMENT_HOSTS


@pytest.mark.parametrize(
    ("vaults", "cloud"),
    [
        ([], "public"),
        ([PROD, NEW, "vault.example"], "public"),
        (["a.vault.usgovcloudapi.net"], "us_government"),
        ([PROD, "a.vault.azure.cn"], None),
    ],
)
def test_cloud_follows_from_the_vaults(vaults, cloud):
    assert cloud_from(None, vaults) == cloud


AZURE = Azure(
    host="management.azure.com",
    vaults=[vault(HSM), vault(NEW), vault(PROD), vault("contoso-shut.vault.azure.net")],
    keys={HSM: (key("H"),), NEW: (key("K"), key("Big", bits=4096)), PROD: (key("K"), key("Old", enabled=False), key("Next"))},
    failures=["contoso-shut.vault.azure.net: not read: HTTP 403"],
)
COVERAGE = Coverage(
    keys=frozenset({(PROD, "k"), (HSM, "h")}),
    names=frozenset({"contoso-prod-Next"}),
    credentials={PROD: "sql-prod"},
    declared=frozenset({"sql-prod"}),
)


def test_report_names_open_vaults_and_keys():
    assert azure_report(AZURE, plan_azure(AZURE, COVERAGE)) == (
        "management.azure.com: 3 vaults, 1 Managed HSM, 6 RSA keys, 2 with a target; 1 failure\n"
        "\n"
        "Vaults without a target:\n"
        f"  - {NEW} (subscription {SUBSCRIPTION}, westeurope): K, Big\n"
        f"  - contoso-shut.vault.azure.net (subscription {SUBSCRIPTION}, westeurope): keys unknown\n"
        "\n"
        "Keys without a target:\n"
        f"  - {PROD} (subscription {SUBSCRIPTION}, westeurope): Old (disabled), Next\n"
        "\n"
        "Keys that SQL Server cannot use:\n"
        f"  - {NEW}: Big: 4096 bits; the connector supports 2048 and 3072\n"
        f"  - {PROD}: Old: its newest version is disabled\n"
    )


def test_proposals_have_the_whole_key_uri_and_a_credential():
    plan = plan_azure(AZURE, COVERAGE)
    text = proposals_text(plan, "../secrets")
    assert "Azure does not show whether a SQL Server uses a key" in text
    document = yaml.safe_load(text)
    assert document["credentials"] == {"contoso-new": {"type": "connector_secret", "secret_file": "../secrets/contoso-new"}}
    assert document["targets"] == [
        {"name": "contoso-new-K", "key": f"https://{NEW}/keys/K/0123456789abcdef0123456789abcdef", "credential": "contoso-new"},
        {
            "name": "contoso-prod-Next-2",
            "key": f"https://{PROD}/keys/Next/0123456789abcdef0123456789abcdef",
            "credential": "sql-prod",
        },
    ]
    assert is_own(proposals_file(plan, "../secrets"), MARK)
    assert not is_own(proposals_file(plan, "../secrets"))  # the inventory of SQL Servers does not remove it


def test_proposals_of_declared_credentials_declare_none():
    azure = Azure(host="management.azure.com", vaults=[vault(PROD)], keys={PROD: (key("Next"),)})
    assert yaml.safe_load(proposals_text(plan_azure(azure, COVERAGE), "s")).keys() == {"targets"}


def test_covered_vault_needs_no_proposal():
    azure = Azure(host="management.azure.com", vaults=[vault(PROD)], keys={PROD: (key("K"),)})
    plan = plan_azure(azure, COVERAGE)
    assert proposals_file(plan, "s") == ""
    assert azure_report(azure, plan) == "management.azure.com: 1 vault, 0 Managed HSMs, 1 RSA key, 1 with a target; 0 failures\n"


def test_vault_without_rsa_keys_is_listed_and_bad_names_are_not_proposed():
    azure = Azure(host="management.azure.com", vaults=[vault(NEW), vault(PROD)], keys={NEW: (), PROD: (key("1-" + "x" * 120),)})
    plan = plan_azure(azure, Coverage())
    assert f"{NEW} (subscription {SUBSCRIPTION}, westeurope): no RSA key\n" in azure_report(azure, plan)
    assert plan.proposals == []
    assert len(plan.unfit) == 1
