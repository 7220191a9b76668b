"""Who may unwrap: the roles and the queries, for a vault and for a Managed HSM."""

import shlex

import pytest

from exporter.tde.audit.access import BASH, GRAPH, POWERSHELL, access_queries, is_hsm, key_roles

VAULT, HSM = "contoso-prod.vault.azure.net:8443", "contoso.managedhsm.azure.net"


@pytest.mark.parametrize("vault", [VAULT, HSM, "vault.corp.example"])
def test_queries_have_the_names_and_no_placeholder_but_the_group(vault):
    name = vault.partition(".")[0]
    queries = access_queries(vault, "Key-0")
    assert all(name in each.text or "GROUP" in each.text for each in queries)
    assert not [each for each in queries if "VAULT" in each.text or "KEY" in each.text or "8443" in each.text]
    abouts = {each.about: {one.language for one in queries if one.about == each.about} for each in queries}
    assert all(languages in ({BASH, POWERSHELL}, {GRAPH}) for languages in abouts.values())


def test_commands_of_bash_are_whole():
    for vault in (VAULT, HSM):
        for each in access_queries(vault, "Key-0"):
            if each.language == BASH:
                assert shlex.split(each.text)[0] == "az"
                assert "\n" not in each.text


def test_inherited_roles_are_listed_on_the_key():
    first = access_queries(VAULT, "Key-0")[0].text
    assert '--include-inherited --scope "$(az keyvault show --name contoso-prod --query id -o tsv)/keys/Key-0"' in first


def test_managed_hsm_has_roles_of_its_own():
    assert [is_hsm(vault) for vault in (VAULT, HSM, "vault.corp.example")] == [False, True, False]
    assert "Managed HSM Administrator" in dict(key_roles(HSM))
    assert {"Owner", "User Access Administrator", "Key Vault Contributor"} <= dict(key_roles(VAULT)).keys()
    assert not [each for each in access_queries(HSM, "k") if "role assignment list --include" in each.text]
