"""Who may unwrap: the roles and the queries, for a vault and for a Managed HSM."""

import re
import shlex

import pytest

from exporter.sqlserver.audit import BASH, GRAPH, POWERSHELL, access_queries, is_hsm, key_roles

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
    assert dict(key_roles(HSM)).keys() > local_roles({"unwrap"})
    assert dict(key_roles(VAULT)).keys() > {"Owner", "User Access Administrator", "Key Vault Contributor"}


def test_azure_roles_on_a_managed_hsm_are_listed():
    about = "Who may change or delete the HSM: Azure roles on it, with those inherited from above"
    first, second = (each.text for each in access_queries(HSM, "k") if each.about == about)
    assert '--include-inherited --scope "$(az keyvault show --hsm-name contoso --query id -o tsv)" -o table' in first
    assert second.startswith('Get-AzRoleAssignment -Scope "$((Get-AzKeyVaultManagedHsm -Name contoso).ResourceId)" | ')
    (graph,) = (each.text for each in access_queries(HSM, "k") if each.language == GRAPH)
    assert 'type =~ "microsoft.keyvault/managedhsms" and name =~ "contoso"' in graph


# Microsoft's list of local roles, with those of their data actions that use, copy or give away a key, or grant that.
LOCAL = {
    "Managed HSM Administrator": "assign domain backup restore",
    "Managed HSM Crypto Officer": "assign export purge",
    "Managed HSM Crypto User": "unwrap decrypt backup release delete",
    "Managed HSM Policy Administrator": "assign",
    "Managed HSM Crypto Auditor": "",
    "Managed HSM Crypto Service Encryption User": "unwrap",
    "Managed HSM Crypto Service Release User": "release",
    "Managed HSM Backup User": "backup",
    "Managed HSM Restore User": "restore",
}
# Microsoft's list of roles for vaults, then those for any resource, in the same way.
IN_AZURE = {
    "Key Vault Administrator": "unwrap decrypt backup delete",
    "Key Vault Reader": "",
    "Key Vault Purge Operator": "",
    "Key Vault Certificates Officer": "",
    "Key Vault Certificate User": "",
    "Key Vault Crypto Officer": "unwrap decrypt backup delete",
    "Key Vault Crypto Service Encryption User": "unwrap",
    "Key Vault Crypto User": "unwrap decrypt backup",
    "Key Vault Crypto Service Release User": "release",
    "Key Vault Secrets Officer": "",
    "Key Vault Secrets User": "",
    "Key Vault Data Access Administrator": "assign",
    "Key Vault Contributor": "policy",
    "Owner": "assign",
    "Contributor": "policy",
    "Reader": "",
    "User Access Administrator": "assign",
    "Role Based Access Control Administrator": "assign",
}
WORDS = {
    "assign": "assign a role", "domain": "download the security domain", "backup": "back up|back the key up", "restore": r"restore\b", "export": r"export\b",
    "purge": "purge", "unwrap": "may unwrap", "decrypt": "decrypt", "release": "release", "delete": r"delete\b", "policy": "access policy",
}  # fmt: skip


def local_roles(actions):
    return {role for role, having in LOCAL.items() if actions & set(having.split())}


@pytest.mark.parametrize(("vault", "published"), [(HSM, LOCAL), (VAULT, IN_AZURE)])
def test_every_published_role_that_reaches_the_key_is_listed(vault, published):
    listed = dict(key_roles(vault))
    assert {role for role, actions in published.items() if actions} == published.keys() & listed.keys()
    for role in published.keys() & listed.keys():
        found = {action for action, words in WORDS.items() if re.search(words, listed[role])}
        assert found == set(published[role].split()), role


def test_azure_roles_give_no_right_to_a_key_of_an_hsm():
    changing = dict(key_roles(HSM)).items() - dict.fromkeys(LOCAL, "").items()
    in_azure = {role: effect for role, effect in changing if role in IN_AZURE or role == "Managed HSM contributor"}
    assert len(in_azure) == 5
    assert all("no right to the key" in effect for effect in in_azure.values())
