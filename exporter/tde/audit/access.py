"""Who may unwrap with a key: the roles, and the queries that list who has them.

The exporter has no right to run these queries, and needs none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exporter.core.endpoints import cloud_of


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
VAULT_ROLES: Final[tuple[tuple[str, str], ...]] = (
    ("Key Vault Crypto Service Encryption User", f"{_UNWRAPS}: the role of SQL Server and of the exporter"),
    ("Key Vault Crypto User", f"{_UNWRAPS}, decrypt and back the key up"),
    ("Key Vault Crypto Officer", f"{_UNWRAPS}, decrypt, back up and delete the key"),
    ("Key Vault Administrator", f"{_UNWRAPS}, decrypt, back up and delete the key"),
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
    ("Managed HSM Crypto User", f"{_UNWRAPS}, decrypt and back the key up"),
    ("Managed HSM Administrator", _ASSIGNS),
    ("Managed HSM Policy Administrator", _ASSIGNS),
    ("a custom role", f"{_UNWRAPS} if its dataActions have keys/unwrap/action or keys/decrypt/action"),
)
_RESOURCE_GRAPH = """\
authorizationresources
| where type =~ "microsoft.authorization/roleassignments"
| extend scope = tolower(tostring(properties.scope)), role = tolower(tostring(split(tostring(properties.roleDefinitionId), "/")[-1])),
    principal = tostring(properties.principalId), kind = tostring(properties.principalType), joined = 1
| join kind=inner (
    resources
    | where type =~ "microsoft.keyvault/vaults" and name =~ "{vault}"
    | project vault = tolower(id), joined = 1)
    on joined
| where scope == "/" or scope startswith "/providers/microsoft.management/" or strcat(vault, "/") startswith strcat(scope, "/")
    or scope == strcat(vault, "/keys/", tolower("{key}"))
| join kind=leftouter (
    authorizationresources
    | where type =~ "microsoft.authorization/roledefinitions"
    | project role = tolower(name), roleName = tostring(properties.roleName),
        dataActions = tostring(properties.permissions[0].dataActions))
    on role
| project roleName, kind, principal, scope, dataActions
| order by roleName asc"""


def is_hsm(vault: str) -> bool:
    """Return whether the vault is a Managed HSM, with roles of its own."""
    cloud = cloud_of(_host(vault))
    return cloud is not None and cloud.managed_hsm


def key_roles(vault: str) -> tuple[tuple[str, str], ...]:
    """Return the roles that matter for a key of this vault, each with its effect."""
    return HSM_ROLES if is_hsm(vault) else VAULT_ROLES


def access_queries(vault: str, key: str) -> tuple[AuditQuery, ...]:
    """Return the queries that list who may unwrap with a key. `vault` is a host name."""
    name = _host(vault).partition(".")[0]
    return tuple(_hsm_queries(name) if is_hsm(vault) else _vault_queries(name, key))


def _vault_queries(name: str, key: str) -> Iterator[AuditQuery]:
    vault_id, resource_id = (
        f"$(az keyvault show --name {name} --query id -o tsv)",
        f"(Get-AzKeyVault -VaultName {name}).ResourceId",
    )
    about = "Roles on the key, with those inherited from vault, resource group, subscription and management groups"
    columns = "[].{who:principalName, id:principalId, type:principalType, role:roleDefinitionName, scope:scope}"
    yield AuditQuery(
        about, BASH, f'az role assignment list --include-inherited --scope "{vault_id}/keys/{key}" --query "{columns}" -o table'
    )
    yield AuditQuery(
        about,
        POWERSHELL,
        f'Get-AzRoleAssignment -Scope "$({resource_id})/keys/{key}" | Format-Table DisplayName, ObjectId, ObjectType, RoleDefinitionName, Scope',
    )
    yield AuditQuery(
        "The same with the data actions of each role, custom ones too. A management group counts only if it is above the vault's subscription",
        GRAPH,
        _RESOURCE_GRAPH.format(vault=name, key=key),
    )
    about = "Roles that someone may activate (Privileged Identity Management)"
    eligible = (
        "value[].properties.expandedProperties.{who:principal.displayName, role:roleDefinition.displayName, scope:scope.id}"
    )
    schedule = "providers/Microsoft.Authorization/roleEligibilityScheduleInstances?api-version=2020-10-01"
    yield AuditQuery(about, BASH, f'az rest --method get --url "{vault_id}/{schedule}" --query "{eligible}" -o table')
    yield AuditQuery(
        about,
        POWERSHELL,
        f"Get-AzRoleEligibilityScheduleInstance -Scope {resource_id} | Format-Table PrincipalDisplayName, RoleDefinitionDisplayName, ScopeId",
    )
    about = "Whether roles or access policies count (rbac), and the access policies"
    policies = "properties.{rbac:enableRbacAuthorization, policies:accessPolicies[].{objectId:objectId, keys:permissions.keys}}"
    yield AuditQuery(about, BASH, f'az keyvault show --name {name} --query "{policies}" -o json')
    yield AuditQuery(
        about,
        POWERSHELL,
        f"Get-AzKeyVault -VaultName {name} | ForEach-Object {{ $_.EnableRbacAuthorization; $_.AccessPolicies | "
        "Format-Table DisplayName, ObjectId, PermissionsToKeysStr }",
    )
    yield from _group_queries()


def _hsm_queries(name: str) -> Iterator[AuditQuery]:
    about = "Local roles of the Managed HSM; a role at / counts for every key"
    yield AuditQuery(about, BASH, f"az keyvault role assignment list --hsm-name {name} -o table")
    yield AuditQuery(about, POWERSHELL, f"Get-AzKeyVaultRoleAssignment -HsmName {name}")
    about = "The first administrators, who assign the local roles"
    yield AuditQuery(about, BASH, f"az keyvault show --hsm-name {name} --query properties.initialAdminObjectIds")
    yield AuditQuery(about, POWERSHELL, f"(Get-AzKeyVaultManagedHsm -Name {name}).InitialAdminObjectIds")
    yield from _group_queries()


def _group_queries() -> Iterator[AuditQuery]:
    about = "The members of a group that has a role; GROUP is its object id in the lists above"
    yield AuditQuery(about, BASH, "az ad group member list --group GROUP -o table")
    yield AuditQuery(about, POWERSHELL, "Get-AzADGroupMember -GroupObjectId GROUP")


def _host(vault: str) -> str:
    return vault.partition(":")[0]
