"""The cmdlets of tickets, with their parameters, from the help of the modules of Az.

The modules are too large to install for one test. Add a cmdlet that is missing here from the help of a current release.
"""

from typing import Final

CMDLETS: Final = {
    "Add-AzKeyVaultKey": (
        "Curve CurveName Destination Disable Expires Exportable HsmName Immutable InputObject KeyFilePassword KeyFilePath KeyOps "
        "KeyType Name NotBefore ReleasePolicyPath ResourceId Size Tag UseDefaultCVMPolicy VaultName"
    ),
    "Add-AzKeyVaultManagedHsmNetworkRule": (
        "InputObject IpAddressRange Name PassThru ResourceGroupName ResourceId SubscriptionId VirtualNetworkResourceId"
    ),
    "Add-AzKeyVaultNetworkRule": (
        "InputObject IpAddressRange PassThru ResourceGroupName ResourceId VaultName VirtualNetworkResourceId"
    ),
    "Backup-AzKeyVaultKey": "Force HsmName InputObject Name OutputFile VaultName",
    "Get-AzADAppCredential": "ApplicationId ApplicationObject CustomKeyIdentifier DisplayName ObjectId",
    "Get-AzADAppFederatedCredential": "ApplicationObjectId Count Expand FederatedCredentialId Filter First Orderby Search Select Skip",
    "Get-AzADApplication": (
        "AppendSelected ApplicationId ConsistencyLevel Count CountVariable DisplayName DisplayNameStartWith Filter First "
        "IdentifierUri ObjectId Orderby OwnedApplication Search Select Skip"
    ),
    "Get-AzADServicePrincipal": (
        "AppendSelected ApplicationId ApplicationObject ConsistencyLevel Count CountVariable DisplayName DisplayNameBeginsWith Filter "
        "First ObjectId Orderby Search Select ServicePrincipalName Skip"
    ),
    "Get-AzActivityLog": "Caller EndTime ResourceGroupName ResourceId ResourceProvider StartTime Status SubscriptionId",
    "Get-AzContext": "ListAvailable Name RefreshContextFromTokenCache",
    "Get-AzKeyVault": "InRemovedState Location ResourceGroupName SubscriptionId Tag VaultName",
    "Get-AzKeyVaultKey": (
        "HsmName HsmObject HsmResourceId InRemovedState IncludeVersions InputObject Name OutFile ResourceId VaultName Version"
    ),
    "Get-AzKeyVaultManagedHsm": "InRemovedState Location Name ResourceGroupName SubscriptionId Tag",
    "Get-AzKeyVaultRoleAssignment": (
        "ApplicationId HsmName ObjectId RoleAssignmentName RoleDefinitionId RoleDefinitionName Scope SignInName"
    ),
    "Get-AzRoleAssignment": (
        "AtScope ExpandPrincipalGroups IncludeClassicAdministrators ObjectId ParentResource ResourceGroupName ResourceName "
        "ResourceType RoleDefinitionId RoleDefinitionName Scope ServicePrincipalName SignInName"
    ),
    "Get-AzMetric": (
        "AggregationType DetailedOutput Dimension EndTime MetricFilter MetricName MetricNamespace OrderBy ResourceId ResultType StartTime "
        "TimeGrain Top"
    ),
    "Get-AzPrivateDnsVirtualNetworkLink": "Name ResourceGroupName ZoneName",
    "Get-AzVM": "DisplayHint Location Name NextLink ResourceGroupName ResourceId Status UserData",
    "Get-Content": "Path",
    "Invoke-AzRestMethod": (
        "ApiVersion FinalResultFrom Method Name Path Payload PollFrom ResourceGroupName ResourceId ResourceProviderName ResourceType "
        "SubscriptionId Uri WaitForCompletion"
    ),
    "Get-Date": "",  # a part of another command
    "New-AzADAppCredential": (
        "ApplicationId ApplicationObject CertValue CustomKeyIdentifier DisplayName EndDate KeyCredentials ObjectId "
        "PasswordCredentials StartDate"
    ),
    "New-AzADServicePrincipal": "ApplicationId ApplicationObject DisplayName Role Scope",
    "New-AzKeyVaultRoleAssignment": "ApplicationId HsmName ObjectId RoleDefinitionId RoleDefinitionName Scope SignInName",
    "New-AzRoleAssignment": (
        "AllowDelegation ApplicationId Condition ConditionVersion Description ObjectId ObjectType ParentResource ResourceGroupName "
        "ResourceName ResourceType RoleDefinitionId RoleDefinitionName Scope SignInName"
    ),
    "Restore-AzKeyVaultKey": "HsmName HsmObject HsmResourceId InputFile InputObject ResourceId VaultName",
    "Set-AzKeyVaultAccessPolicy": (
        "ApplicationId BypassObjectIdValidation EmailAddress EnabledForDeployment EnabledForDiskEncryption "
        "EnabledForTemplateDeployment InputObject ObjectId PassThru PermissionsToCertificates PermissionsToKeys PermissionsToSecrets "
        "PermissionsToStorage ResourceGroupName ResourceId ServicePrincipalName SubscriptionId UserPrincipalName VaultName"
    ),
    "Undo-AzKeyVaultKeyRemoval": "HsmName InputObject Name VaultName",
    "Undo-AzKeyVaultManagedHsmRemoval": "InputObject Location Name PassThru ResourceGroupName SubscriptionId",
    "Undo-AzKeyVaultRemoval": "InputObject Location ResourceGroupName SubscriptionId Tag VaultName",
    "Update-AzADServicePrincipal": "AccountEnabled ApplicationId DisplayName Note ObjectId PassThru ServicePrincipalName",
    "Update-AzKeyVaultKey": (
        "Enable Expires HsmName Immutable InputObject KeyOps Name NotBefore PassThru ReleasePolicyPath Tag VaultName Version"
    ),
    "Where-Object": "eq",
}
