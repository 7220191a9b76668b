"""Vault hosts from the IDENTITY of a SQL credential, and the hosts that may receive tokens and secrets."""

import pytest

from exporter.core.names import ENTRA_HOSTS, cloud_of, is_parent_domain, is_trusted_authority, vault_host


@pytest.mark.parametrize(
    ("identity", "host"),
    [
        ("Contoso-Prod", "contoso-prod.vault.azure.net"),
        ("x.vault.usgovcloudapi.net", "x.vault.usgovcloudapi.net"),
        ("ContosoMHSM.managedhsm.azure.net", "contosomhsm.managedhsm.azure.net"),
        ("https://contoso.vault.azure.net/", "contoso.vault.azure.net"),
        ("https://contoso.vault.azure.net:443", "contoso.vault.azure.net"),
        ("https://contoso.vault.azure.net:8443", "contoso.vault.azure.net:8443"),
    ],
)
def test_an_identity_names_one_host(identity: str, host: str):
    assert vault_host(identity) == host


@pytest.mark.parametrize(
    "identity",
    [
        "",
        "http://contoso.vault.azure.net",
        "https://x.vault.azure.net/keys/k",
        "a",
        "9vault",
        "a_b.vault.azure.net",
        "x.y:0",
        "x.y:z",
        "x..y",
        "x.y:70000",
        "x.y:08443",
        "x.y:" + "0" * 5000 + "1",
        "x.y:٤٤٣",
    ],
)
def test_an_identity_without_a_vault_is_refused(identity: str):
    with pytest.raises(ValueError, match=" "):
        vault_host(identity)


def test_the_suffix_selects_the_cloud():
    cloud = cloud_of("x.managedhsm.azure.net:8443")
    assert (cloud.name, cloud.resource, cloud.managed_hsm) == ("public", "https://managedhsm.azure.net", True)
    assert cloud_of("vault.azure.net.evil.example") is None


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        ("https://vault.azure.net", True),
        ("https://vault.azure.net/", True),
        ("https://azure.net", True),
        ("https://net", False),
        ("https://ault.azure.net", False),
        ("http://vault.azure.net", False),
        ("https://graph.microsoft.com", False),
        ("vault.azure.net", False),
        ("https://", False),
        ("https://contoso.vault.azure.net", False),
        ("HTTPS://Vault.Azure.Net:443/", True),
        # Anything but a host could request a second scope, or mean another host.
        ("https://vault.azure.net/ https://graph.microsoft.com", False),
        ("https://vault.azure.net:443@graph.microsoft.com", False),
        ("https://vault.azure.net/\udcff", False),
        ("https://vault.a\u017fure.net", False),
    ],
)
def test_a_token_is_sent_only_to_hosts_under_its_resource(resource: str, *, allowed: bool):
    assert is_parent_domain(resource, "contoso.vault.azure.net") is allowed


def test_a_secret_is_sent_only_to_a_trusted_authority():
    assert all(is_trusted_authority(f"https://{host}", None) for host in ENTRA_HOSTS)
    assert not is_trusted_authority("https://login.microsoftonline.com.evil.example", None)
    assert not is_trusted_authority("https://login.microsoftonline.com:8443", None)
    assert is_trusted_authority("https://login.microsoftonline.com:443", None)
    assert not is_trusted_authority("https://evil.example:443", None)
    assert is_trusted_authority("https://sts.corp.example", "https://sts.corp.example:443/")
    assert is_trusted_authority("https://sts.corp.example:443", "https://sts.corp.example")
    assert is_trusted_authority("https://sts.corp.example:8443", "https://STS.corp.example:8443/")
