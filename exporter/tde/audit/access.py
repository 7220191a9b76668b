"""Who may unwrap with a key: the roles, and the queries that list who has them.

The exporter has no right to run these queries, and needs none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from exporter.core.endpoints import cloud_of, host_name
from exporter.core.quoting import plain


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """A query for a person with more rights than the exporter; `language` is where to run it."""

    about: str
    language: str
    text: str


BASH, POWERSHELL = "az, in bash or PowerShell", "Az PowerShell"
GRAPH, LOGS = "KQL, in Azure Resource Graph Explorer", "KQL, in the vault's Logs"

_UNWRAPS = "may unwrap"
_ASSIGNS = "may assign a role that unwraps, to itself too"
_WRITES = "may write an access policy, if the vault uses them"
_RELEASES = "may release the key to a trusted environment that its release policy names"
_CHANGES = "no right to the key; may delete the HSM and open its firewall"
# A built-in role that is not here cannot use a key or grant that: a test compares Microsoft's lists.
VAULT_ROLES: Final[tuple[tuple[str, str], ...]] = (
    ("Key Vault Crypto Service Encryption User", f"{_UNWRAPS}: the role of SQL Server and of the exporter"),
    ("Key Vault Crypto User", f"{_UNWRAPS}, decrypt and back the key up"),
    ("Key Vault Crypto Officer", f"{_UNWRAPS}, decrypt, back up and delete the key"),
    ("Key Vault Administrator", f"{_UNWRAPS}, decrypt, back up and delete the key"),
    ("Key Vault Crypto Service Release User", _RELEASES),
    ("Owner", _ASSIGNS),
    ("User Access Administrator", _ASSIGNS),
    ("Role Based Access Control Administrator", _ASSIGNS),
    ("Key Vault Data Access Administrator", _ASSIGNS),
    ("Contributor", _WRITES),
    ("Key Vault Contributor", _WRITES),
    ("a custom role", f"{_UNWRAPS} if its dataActions have keys/unwrap/action, keys/decrypt/action, or * in their place"),
    ("an access policy", f"{_UNWRAPS} if its keys have unwrapKey, decrypt or all; counts only if rbac is false"),
)
HSM_ROLES: Final[tuple[tuple[str, str], ...]] = (
    ("Managed HSM Crypto Service Encryption User", f"{_UNWRAPS}: the role of SQL Server and of the exporter"),
    ("Managed HSM Crypto User", f"{_UNWRAPS}, decrypt, back up, release and delete the key"),
    ("Managed HSM Crypto Officer", f"{_ASSIGNS}; may export the key, and purge it once it is deleted"),
    ("Managed HSM Administrator", f"{_ASSIGNS}; may download the security domain, back up and restore the whole HSM"),
    ("Managed HSM Policy Administrator", _ASSIGNS),
    ("Managed HSM Crypto Service Release User", _RELEASES),
    ("Managed HSM Backup User", "may back up the key, or the whole HSM: an HSM of the same security domain restores it"),
    ("Managed HSM Restore User", "may restore the whole HSM, with the role assignments of the backup"),
    ("a custom local role", f"{_UNWRAPS} if its dataActions have keys/unwrap/action or keys/decrypt/action"),
    ("Global Administrator of Entra ID", "is a Managed HSM Administrator implicitly, to recover an HSM without one"),
    ("Owner", _CHANGES),
    ("Contributor", _CHANGES),
    ("Managed HSM contributor", _CHANGES),
    ("User Access Administrator", f"may assign Owner; {_CHANGES.partition(';')[0]}"),
    ("Role Based Access Control Administrator", f"may assign Owner; {_CHANGES.partition(';')[0]}"),
)
_ROLES: Final = "Roles on the key, with those inherited from vault, resource group, subscription and management groups"
_HSM_ROLES: Final = "Who may change or delete the HSM: Azure roles on it, with those inherited from above"
_ACTIVATED: Final = "Roles that someone may activate (PIM)"
_POLICIES: Final = "Whether roles or access policies count (rbac), and the access policies"
_LOCAL_ROLES: Final = "Local roles of the Managed HSM; a role at / counts for every key"
_FIRST: Final = "The first administrators, who assign the local roles"
_MEMBERS: Final = "The members of a group that has a role; GROUP is its object id in the lists above"
_RESOURCE_GRAPH: Final = """\
authorizationresources
| where type =~ "microsoft.authorization/roleassignments"
| extend scope = tolower(tostring(properties.scope)), role = tolower(tostring(split(tostring(properties.roleDefinitionId), "/")[-1])),
    principal = tostring(properties.principalId), principalType = tostring(properties.principalType), joined = 1
| join kind=inner (
    resources
    | where type =~ "microsoft.keyvault/TYPE" and name =~ "VAULT"
    | project vault = tolower(id), joined = 1)
    on joined
| where scope == "/" or scope startswith "/providers/microsoft.management/" or strcat(vault, "/") startswith strcat(scope, "/")
    or scope == strcat(vault, "/keys/", tolower("KEY"))
| join kind=leftouter (
    authorizationresources
    | where type =~ "microsoft.authorization/roledefinitions"
    | project role = tolower(name), roleName = tostring(properties.roleName),
        dataActions = tostring(properties.permissions[0].dataActions))
    on role
| project roleName, principalType, principal, scope, dataActions
| order by roleName asc"""
_VAULT_ID: Final = "$(az keyvault show --name VAULT --query id -o tsv)"
_RESOURCE_ID: Final = "(Get-AzKeyVault -VaultName VAULT).ResourceId"
_HSM_ID: Final = "$(az keyvault show --hsm-name VAULT --query id -o tsv)"
_HSM_RESOURCE_ID: Final = "(Get-AzKeyVaultManagedHsm -Name VAULT).ResourceId"
_ELIGIBLE: Final = "providers/Microsoft.Authorization/roleEligibilityScheduleInstances?api-version=2020-10-01"
# What a query lists, where to run it, and the query with the words VAULT and KEY.
_GROUP_QUERIES: Final[tuple[tuple[str, str, str], ...]] = (
    (_MEMBERS, BASH, "az ad group member list --group GROUP -o table"),
    (_MEMBERS, POWERSHELL, "Get-AzADGroupMember -GroupObjectId GROUP"),
)


def _azure_roles(about: str, kind: str, identity: str, resource: str, key: str = "") -> tuple[tuple[str, str, str], ...]:
    """Return the queries of roles in Azure on a resource, or on a key of it; `identity` and `resource` read its id."""
    columns = "[].{who:principalName, id:principalId, type:principalType, role:roleDefinitionName, scope:scope}"
    eligible = (
        "value[].properties.expandedProperties.{who:principal.displayName, role:roleDefinition.displayName, scope:scope.id}"
    )
    shown = "Format-Table DisplayName, ObjectId, ObjectType, RoleDefinitionName, Scope"
    same = "The same with the data actions of each role, custom ones too. A management group counts only if it is above the subscription"
    shown_eligible = "Format-Table PrincipalDisplayName, RoleDefinitionDisplayName, ScopeId"
    return (
        (about, BASH, f'az role assignment list --include-inherited --scope "{identity}{key}" -o table --query "{columns}"'),
        (about, POWERSHELL, f'Get-AzRoleAssignment -Scope "$({resource}){key}" | {shown}'),
        (same, GRAPH, _RESOURCE_GRAPH.replace("TYPE", kind)),
        (_ACTIVATED, BASH, f'az rest --method get --url "{identity}/{_ELIGIBLE}" -o table --query "{eligible}"'),
        (_ACTIVATED, POWERSHELL, f"Get-AzRoleEligibilityScheduleInstance -Scope {resource} | {shown_eligible}"),
    )


_VAULT_QUERIES: Final = (
    *_azure_roles(_ROLES, "vaults", _VAULT_ID, _RESOURCE_ID, "/keys/KEY"),
    (
        _POLICIES,
        BASH,
        (
            "az keyvault show --name VAULT -o json "
            '--query "properties.{rbac:enableRbacAuthorization, policies:accessPolicies[].{objectId:objectId, keys:permissions.keys}}"'
        ),
    ),
    (
        _POLICIES,
        POWERSHELL,
        (
            "Get-AzKeyVault -VaultName VAULT | ForEach-Object { $_.EnableRbacAuthorization; $_.AccessPolicies | "
            "Format-Table DisplayName, ObjectId, PermissionsToKeysStr }"
        ),
    ),
    *_GROUP_QUERIES,
)
_HSM_QUERIES: Final = (
    (_LOCAL_ROLES, BASH, "az keyvault role assignment list --hsm-name VAULT -o table"),
    (_LOCAL_ROLES, POWERSHELL, "Get-AzKeyVaultRoleAssignment -HsmName VAULT"),
    (_FIRST, BASH, "az keyvault show --hsm-name VAULT --query properties.initialAdminObjectIds"),
    (_FIRST, POWERSHELL, "(Get-AzKeyVaultManagedHsm -Name VAULT).InitialAdminObjectIds"),
    *_azure_roles(_HSM_ROLES, "managedhsms", _HSM_ID, _HSM_RESOURCE_ID),
    *_GROUP_QUERIES,
)


def is_hsm(vault: str) -> bool:
    """Return whether the vault is a Managed HSM, with roles of its own."""
    cloud = cloud_of(vault)
    return cloud is not None and cloud.managed_hsm


def key_roles(vault: str) -> tuple[tuple[str, str], ...]:
    """Return the roles that matter for a key of this vault, each with its effect."""
    return HSM_ROLES if is_hsm(vault) else VAULT_ROLES


def access_queries(vault: str, key: str) -> tuple[AuditQuery, ...]:
    """Return the queries that list who may unwrap with a key. `vault` is a host name."""
    values = {"VAULT": plain(host_name(vault).partition(".")[0], "VAULT"), "KEY": plain(key, "KEY")}
    rows = _HSM_QUERIES if is_hsm(vault) else _VAULT_QUERIES
    return tuple(
        AuditQuery(about, language, re.sub(r"\b(VAULT|KEY)\b", lambda found: values[found[0]], text))
        for about, language, text in rows
    )
