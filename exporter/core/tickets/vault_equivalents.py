"""The equivalents of commands about vaults, their networks and their roles."""

from __future__ import annotations

from exporter.core.tickets.az_command import Equivalent

_VAULT = {"--name": "-VaultName {}"}
VAULT_PAGE = "Key vaults > {vault}"
_HSM_PAGE = "Azure Key Vault Managed HSMs > {vault}"
# The role may come from a group or from a scope above the vault.
_SHOW_ROLES = "az role assignment list --assignee {assignee_object_id} --scope {scope} --include-inherited --include-groups"

VAULTS: tuple[Equivalent, ...] = (
    Equivalent(
        az="keyvault list-deleted",
        cmdlet="Get-AzKeyVault -InRemovedState",
        portal="Key vaults > Manage deleted vaults",
    ),
    Equivalent(
        az="keyvault network-rule add",
        given="--hsm-name",
        cmdlet="Add-AzKeyVaultManagedHsmNetworkRule",
        parameters={"--hsm-name": "-Name {}", "--ip-address": "-IpAddressRange {}", "--subnet": "-VirtualNetworkResourceId {}"},
        portal=f"{_HSM_PAGE} > Networking > Apply",
        check="az keyvault network-rule list --hsm-name {vault}",
    ),
    Equivalent(
        az="keyvault network-rule add",
        given="--subnet",
        cmdlet="Add-AzKeyVaultNetworkRule",
        parameters={**_VAULT, "--subnet": "-VirtualNetworkResourceId {}"},
        portal="Key vaults > {name} > Settings > Networking > Virtual networks > Add existing virtual networks > Apply",
        check="az keyvault network-rule list --name {name}",
    ),
    Equivalent(
        az="keyvault network-rule add",
        cmdlet="Add-AzKeyVaultNetworkRule",
        parameters={**_VAULT, "--ip-address": "-IpAddressRange {}"},
        portal="Key vaults > {name} > Settings > Networking > IP address {ip_address} > Apply",
        check="az keyvault network-rule list --name {name}",
    ),
    Equivalent(
        az="keyvault network-rule list",
        given="--hsm-name",
        cmdlet="Get-AzKeyVaultManagedHsm",
        parameters={"--hsm-name": "-Name {}"},
        portal=f"{_HSM_PAGE} > Networking",
    ),
    Equivalent(
        az="keyvault network-rule list",
        cmdlet="Get-AzKeyVault",
        parameters=_VAULT,
        properties={"": "NetworkAcls"},
        portal="Key vaults > {name} > Settings > Networking",
    ),
    Equivalent(
        az="keyvault recover",
        given="--hsm-name",
        cmdlet="Undo-AzKeyVaultManagedHsmRemoval",
        parameters={"--hsm-name": "-InputObject (Get-AzKeyVaultManagedHsm -InRemovedState | Where-Object Name -eq {})"},
        portal="Azure Key Vault Managed HSMs > Manage deleted HSMs",
        check="az keyvault show --hsm-name {vault} --query properties.tenantId",
    ),
    Equivalent(
        az="keyvault recover",
        cmdlet="Undo-AzKeyVaultRemoval",
        parameters={"--name": "-InputObject (Get-AzKeyVault -InRemovedState | Where-Object VaultName -eq {})"},
        portal="Key vaults > Manage deleted vaults > {name} > Recover",
        check="az keyvault show --name {name} --query id",
    ),
    Equivalent(
        az="keyvault role assignment create",
        cmdlet="New-AzKeyVaultRoleAssignment",
        parameters={
            "--hsm-name": "-HsmName {}",
            "--role": "-RoleDefinitionName {}",
            "--assignee-object-id": "-ObjectId {}",
            "--scope": "-Scope {}",
        },
        portal=f"{_HSM_PAGE} > Settings > Local RBAC > Add > {{role}}",
        check="az keyvault role assignment list --hsm-name {vault} --assignee-object-id {assignee_object_id}",
    ),
    Equivalent(
        az="keyvault role assignment list",
        cmdlet="Get-AzKeyVaultRoleAssignment",
        parameters={"--hsm-name": "-HsmName {}", "--assignee-object-id": "-ObjectId {}"},
        portal=f"{_HSM_PAGE} > Settings > Local RBAC",
    ),
    Equivalent(
        az="keyvault set-policy",
        cmdlet="Set-AzKeyVaultAccessPolicy",
        parameters={**_VAULT, "--object-id": "-ObjectId {}", "--key-permissions": "-PermissionsToKeys {}"},
        portal="Key vaults > {name} > Access policies > select the principal {object_id} > Edit > Key permissions {key_permissions}",
        check="az keyvault show --name {name} --query properties.accessPolicies",
    ),
    Equivalent(
        az="keyvault show",
        given="--hsm-name",
        cmdlet="Get-AzKeyVaultManagedHsm",
        parameters={"--hsm-name": "-Name {}"},
        properties={"properties.tenantId": "TenantId"},
        portal=f"{_HSM_PAGE} > Properties",
    ),
    Equivalent(
        az="keyvault show",
        given="--query accessPolicies",
        cmdlet="Get-AzKeyVault",
        parameters=_VAULT,
        properties={"properties.accessPolicies": "AccessPolicies"},
        portal="Key vaults > {name} > Access policies",
    ),
    Equivalent(
        az="keyvault show",
        cmdlet="Get-AzKeyVault",
        parameters=_VAULT,
        properties={
            "id": "ResourceId",
            "properties.tenantId": "TenantId",
            "properties.enableRbacAuthorization": "EnableRbacAuthorization",
        },
        portal="Key vaults > {name} > Settings > Properties",
    ),
    Equivalent(
        az="monitor activity-log list",
        cmdlet="Get-AzActivityLog",
        parameters={"--resource-id": "-ResourceId {}", "--offset": "-StartTime (Get-Date).AddHours(-6)"},
        portal=f"{VAULT_PAGE} > Activity log",
    ),
    Equivalent(
        az="monitor metrics list",
        cmdlet="Get-AzMetric",
        parameters={
            "--resource": "-ResourceId {}",
            "--metrics": "-MetricName {}",
            "--filter": "-MetricFilter {}",
            "--aggregation": "-AggregationType {}",
        },
        portal=f"{VAULT_PAGE} > Monitoring > Metrics > Total Service Api Results, filter StatusCode 429",
    ),
    Equivalent(
        az="network private-dns link vnet list",
        cmdlet="Get-AzPrivateDnsVirtualNetworkLink",
        parameters={"--resource-group": "-ResourceGroupName {}", "--zone-name": "-ZoneName {}"},
        portal="Private DNS zones > {zone_name} > Virtual Network Links",
    ),
    Equivalent(
        az="role assignment create",
        cmdlet="New-AzRoleAssignment",
        parameters={
            "--role": "-RoleDefinitionName {}",
            "--assignee-object-id": "-ObjectId {}",
            "--assignee-principal-type": "-ObjectType {}",
            "--scope": "-Scope {}",
        },
        portal=f"{VAULT_PAGE}{{in_scope}} > Access control (IAM) > Add > Add role assignment > {{role}}",
        check=_SHOW_ROLES,
    ),
    Equivalent(
        az="role assignment list",
        cmdlet="Get-AzRoleAssignment",
        parameters={"--assignee": "-ObjectId {}", "--scope": "-Scope {}"},
        portal=f"{VAULT_PAGE}{{in_scope}} > Access control (IAM) > Role assignments",
    ),
)
