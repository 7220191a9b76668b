"""The table of equivalents: each `az` command of the actions in Az PowerShell, in the portal, and what shows that it worked.

Names of pages and buttons are those of the portals of 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from exporter.core import quoting

_BARE = re.compile(r"\$?[\w./:@-]+")  # needs no quotes in PowerShell
_LOOKUP = re.compile(r"\$\((az [^)]*)\)(.*)")  # the output of another command
_PART = re.compile(r'"[^"]*"|\S+')
_LISTS = ("--key-permissions", "--ops")  # options with several values
_VAULT_OPTIONS = ("--hsm-name", "--vault-name")
NO_PAGE = "a Managed HSM: use a command"  # the pages of keys are those of a vault


@dataclass(frozen=True, slots=True)
class AzCommand:
    """A command: `words` such as `keyvault key show`, and its options, each with its values joined by blanks."""

    words: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalent:
    """One `az` command for those who use Az PowerShell or the portal.

    `parameters` have `{}` for the value; an option without one is left out. `properties` are those of a `--query`. `portal`, and
    `check`, the `az` command that shows the change, have `{name}` for the option `--name`, `{vault}`, `{in_vault}` for its option, and
    `{in_scope}` for the pages of a key.
    """

    az: str
    given: str = ""  # an option that the command must have, with a part of its value
    cmdlet: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    portal: str
    check: str = ""

    def fits(self, command: AzCommand) -> bool:
        option, _, value = self.given.partition(" ")
        return self.az == command.words and (not option or (option in command.options and value in command.options[option]))


def parse(text: str) -> AzCommand:
    """Return the command of a line that starts with `az`."""
    words, options, option = list[str](), dict[str, str](), ""
    for part in _PART.findall(text)[1:]:
        if part.startswith("--"):
            option = part
            options[option] = ""
        elif option:
            options[option] = f"{options[option]} {part}".strip(' "')
        else:
            words.append(part)
    return AzCommand(" ".join(words), options)


def powershell(equivalent: Equivalent, command: AzCommand) -> str:
    """Return the command in Az PowerShell."""
    parameters = ((equivalent.parameters.get(option, ""), option, value) for option, value in command.options.items())
    words = [template.format(_in_powershell(option, value)) for template, option, value in parameters if template]
    line, shown = " ".join((equivalent.cmdlet, *words)), equivalent.properties.get(command.options.get("--query", ""), "")
    return f"({line}).{shown}" if shown else line


def completed(template: str, command: AzCommand, vault: str) -> str:
    """Return a template of an equivalent with the values of the command; `vault` is the name if the command has none."""
    options = command.options
    option = next((each for each in _VAULT_OPTIONS if each in options), "--vault-name")
    values = {each.removeprefix("--").replace("-", "_"): value for each, value in options.items()}
    name = options.get(option, vault)
    key = options.get("--scope", "").partition("/keys/")[2]
    in_scope = f" > Objects > Keys > {key}" if key else ""
    return template.format_map({"name": name, "in_scope": in_scope, **values, "vault": name, "in_vault": f"{option} {name}"})


def portal_path(equivalent: Equivalent, command: AzCommand, vault: str) -> str:
    """Return the path in the portal. Managed HSM has few pages."""
    is_page_of_vault = equivalent.portal.startswith("Key vaults > {vault} > Objects")
    return NO_PAGE if is_page_of_vault and "--hsm-name" in command.options else completed(equivalent.portal, command, vault)


def _in_powershell(option: str, value: str) -> str:
    if option in _LISTS:
        return "'" + value.replace(" ", "', '") + "'"
    if lookup := _LOOKUP.fullmatch(value):
        inner, rest = parse(lookup[1]), lookup[2]
        looked_up = next(powershell(each, inner) for each in EQUIVALENTS if each.fits(inner))
        return f'"$({looked_up}){rest}"' if rest else looked_up
    return value if _BARE.fullmatch(value) else quoting.powershell(value)


# The equivalents of commands about vaults, their networks and their roles.

_VAULT = {"--name": "-VaultName {}"}
VAULT_PAGE = "Key vaults > {vault}"
_HSM_PAGE = "Azure Key Vault Managed HSMs > {vault}"
# The role may come from a group or from a scope above the vault.
_SHOW_ROLES = 'az role assignment list --assignee {assignee_object_id} --scope "{scope}" --include-inherited --include-groups'

VAULTS: tuple[Equivalent, ...] = (
    Equivalent(az="keyvault list-deleted", cmdlet="Get-AzKeyVault -InRemovedState", portal="Key vaults > Manage deleted vaults"),
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

_APPLICATION = {"--id": "-ApplicationId {}"}
_PLACE = {"--vault-name": "-VaultName {}", "--hsm-name": "-HsmName {}"}
_KEY = {**_PLACE, "--name": "-Name {}", "--version": "-Version {}"}

_REGISTRATION = "Entra admin center > App registrations > All applications > {id}"
_PRINCIPAL = "Entra admin center > Enterprise apps > All applications > {id}"
_SECRETS = f"{_REGISTRATION} > Certificates & secrets"
_KEYS = f"{VAULT_PAGE} > Objects > Keys"
_VERSION = f"{_KEYS} > {{name}} > {{version}}"

_SHOW_CREDENTIALS = "az ad app credential list --id {id}"
_SHOW_PRINCIPAL = "az ad sp show --id {id} --query accountEnabled"
_SHOW_KEY = "az keyvault key show {in_vault} --name {name} --query attributes"
_SHOW_VERSION = "az keyvault key show {in_vault} --name {name} --version {version} --query attributes"

_attributes = partial(
    Equivalent,
    az="keyvault key set-attributes",
    cmdlet="Update-AzKeyVaultKey",
    parameters={
        **_KEY,
        "--enabled": "-Enable ${}",
        "--expires": "-Expires {}",
        "--not-before": "-NotBefore {}",
        "--ops": "-KeyOps {}",
    },
    check=_SHOW_VERSION,
)

ENTRA: tuple[Equivalent, ...] = (
    Equivalent(
        az="ad app credential list",
        cmdlet="Get-AzADAppCredential",
        parameters=_APPLICATION,
        properties={"[].endDateTime": "EndDateTime"},
        portal=_SECRETS,
    ),
    Equivalent(
        az="ad app credential reset",
        given="--cert",
        cmdlet="New-AzADAppCredential",
        parameters={
            **_APPLICATION,
            "--cert": "-CertValue ((Get-Content CERTIFICATE.pem | Where-Object {{ $_ -notmatch '-----' }}) -join '')",
        },
        portal=f"{_SECRETS} > Certificates > Upload certificate",
        check=f"{_SHOW_CREDENTIALS} --cert",
    ),
    Equivalent(
        az="ad app credential reset",
        cmdlet="New-AzADAppCredential",
        parameters=_APPLICATION,
        portal=f"{_SECRETS} > Client secrets > New client secret",
        check=_SHOW_CREDENTIALS,
    ),
    Equivalent(
        az="ad app federated-credential list",
        cmdlet="Get-AzADAppFederatedCredential",
        parameters={"--id": "-ApplicationObjectId (Get-AzADApplication -ApplicationId {}).Id"},
        portal=f"{_SECRETS} > Federated credentials",
    ),
    Equivalent(
        az="ad app show",
        cmdlet="Get-AzADApplication",
        parameters=_APPLICATION,
        properties={"appId": "AppId"},
        portal=_REGISTRATION,
    ),
    Equivalent(
        az="ad sp create",
        cmdlet="New-AzADServicePrincipal",
        parameters=_APPLICATION,
        portal="no page creates it",
        check=_SHOW_PRINCIPAL,
    ),
    Equivalent(
        az="ad sp show",
        cmdlet="Get-AzADServicePrincipal",
        parameters={**_APPLICATION, "--query": "-Select {}"},  # it returns only the usual properties and those selected
        properties={
            "id": "Id",
            "appId": "AppId",
            "displayName": "DisplayName",
            "accountEnabled": "AccountEnabled",
            "appRoleAssignmentRequired": "AppRoleAssignmentRequired",
            "servicePrincipalType": "ServicePrincipalType",
        },
        portal=f"{_PRINCIPAL} > Properties",
    ),
    Equivalent(
        az="ad sp update",
        given="--set",
        cmdlet="Update-AzADServicePrincipal",
        parameters={**_APPLICATION, "--set": "-AccountEnabled"},
        portal=f"{_PRINCIPAL} > Properties > Enabled for users to sign-in: Yes",
        check=_SHOW_PRINCIPAL,
    ),
    Equivalent(
        az="cloud show",
        cmdlet="Get-AzContext",
        properties={"name": "Environment.Name"},
        portal="the address of the portal: portal.azure.com is the public cloud",
    ),
    Equivalent(
        az="rest",
        cmdlet="Invoke-AzRestMethod",
        parameters={"--url": "-Uri {}", "--method": "-Method {}"},
        portal="Entra admin center > App registrations > Deleted applications",
    ),
    Equivalent(
        az="vm identity show",
        cmdlet="Get-AzVM",
        parameters={"--resource-group": "-ResourceGroupName {}", "--name": "-Name {}"},
        properties={"": "Identity"},
        portal="Virtual machines > {name} > Security > Identity",
    ),
)
KEYS: tuple[Equivalent, ...] = (
    Equivalent(
        az="keyvault key backup",
        cmdlet="Backup-AzKeyVaultKey",
        parameters={**_KEY, "--file": "-OutputFile {}"},
        portal=f"{_KEYS} > {{name}} > Download Backup",
    ),
    Equivalent(
        az="keyvault key create",
        cmdlet="Add-AzKeyVaultKey",
        parameters={**_KEY, "--kty": "-Destination Software -KeyType {}", "--size": "-Size {}"},
        portal=f"{_KEYS} > Generate/Import",
        check=_SHOW_KEY,
    ),
    Equivalent(az="keyvault key list", cmdlet="Get-AzKeyVaultKey", parameters=_KEY, portal=_KEYS),
    Equivalent(
        az="keyvault key list-deleted",
        cmdlet="Get-AzKeyVaultKey -InRemovedState",
        parameters=_KEY,
        portal=f"{_KEYS} > Manage deleted keys",
    ),
    Equivalent(
        az="keyvault key list-versions",
        cmdlet="Get-AzKeyVaultKey -IncludeVersions",
        parameters=_KEY,
        portal=f"{_KEYS} > {{name}}",
    ),
    Equivalent(
        az="keyvault key recover",
        cmdlet="Undo-AzKeyVaultKeyRemoval",
        parameters=_KEY,
        portal=f"{_KEYS} > Manage deleted keys > {{name}} > Recover",
        check=_SHOW_KEY,
    ),
    Equivalent(
        az="keyvault key restore",
        cmdlet="Restore-AzKeyVaultKey",
        parameters={**_PLACE, "--file": "-InputFile {}"},
        portal=f"{_KEYS} > Restore Backup",
        check="az keyvault key list {in_vault}",
    ),
    _attributes(given="--enabled", portal=f"{_VERSION} > Enabled: Yes > Apply"),
    _attributes(given="--expires", portal=f"{_VERSION} > Set expiration date > Apply"),
    _attributes(given="--not-before", portal=f"{_VERSION} > Set activation date > Apply"),
    _attributes(
        given="--ops",
        portal=f"{_VERSION} > Permitted operations > Apply",
        check="az keyvault key show {in_vault} --name {name} --version {version} --query key.keyOps",
    ),
    Equivalent(
        az="keyvault key show",
        cmdlet="Get-AzKeyVaultKey",
        parameters=_KEY,
        properties={"key": "Key", "key.keyOps": "Key.KeyOps", "attributes": "Attributes"},
        portal=f"{_KEYS} > {{name}}",
    ),
)
EQUIVALENTS: tuple[Equivalent, ...] = (*ENTRA, *KEYS, *VAULTS)


def find_equivalent(command: AzCommand) -> Equivalent | None:
    """Return the row of a command; None if the table has none."""
    return next((equivalent for equivalent in EQUIVALENTS if equivalent.fits(command)), None)
