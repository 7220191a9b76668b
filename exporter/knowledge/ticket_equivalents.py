"""The table of equivalents: each `az` command of the actions in Az PowerShell, in the portal, and what shows that it worked.

Names of pages and buttons are those of the portals of 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import partial

from exporter.core import quoting

_BARE = re.compile(r"\$?[\w./:@-]+")  # needs no quotes in PowerShell
_LOOKUP = re.compile(r"\$\((az [^)]*)\)(.*)")  # the output of another command
_PART = re.compile(r'"[^"]*"|\S+')

NO_PAGE = "a Managed HSM: use a command"  # the pages of keys are those of a vault


# Of the options of all commands; the name of a vault or of a Managed HSM has another one.
PARAMETERS: Mapping[str, str] = {
    "--aggregation": "-AggregationType {}",
    "--assignee": "-ObjectId {}",
    "--assignee-object-id": "-ObjectId {}",
    "--enabled": "-Enable ${}",
    "--expires": "-Expires {}",
    "--filter": "-MetricFilter {}",
    "--hsm-name": "-HsmName {}",
    "--id": "-ApplicationId {}",
    "--ip-address": "-IpAddressRange {}",
    "--key-permissions": "-PermissionsToKeys {}",
    "--kty": "-Destination Software -KeyType {}",
    "--method": "-Method {}",
    "--metrics": "-MetricName {}",
    "--name": "-Name {}",
    "--not-before": "-NotBefore {}",
    "--object-id": "-ObjectId {}",
    "--offset": "-StartTime (Get-Date).AddHours(-6)",
    "--ops": "-KeyOps {}",
    "--resource": "-ResourceId {}",
    "--resource-group": "-ResourceGroupName {}",
    "--resource-id": "-ResourceId {}",
    "--role": "-RoleDefinitionName {}",
    "--scope": "-Scope {}",
    "--set": "-AccountEnabled",
    "--size": "-Size {}",
    "--subnet": "-VirtualNetworkResourceId {}",
    "--url": "-Uri {}",
    "--vault-name": "-VaultName {}",
    "--version": "-Version {}",
    "--zone-name": "-ZoneName {}",
}


@dataclass(frozen=True, slots=True)
class AzCommand:
    """A command: `words` such as `keyvault key show`, and its options, each with its values joined by blanks."""

    words: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Equivalent:
    """One `az` command for those who use Az PowerShell or the portal.

    `parameters` differ from `PARAMETERS`. They have `{}` for the value; an option without one is left out. `properties` are those of a `--query`. `portal`, and
    `check`, the `az` command that shows the change, have `{name}` for the option `--name`, `{vault}`, `{in_vault}` for its option, and
    `{in_scope}` for the pages of a key.
    """

    az: str
    cmdlet: str
    portal: str
    _: KW_ONLY
    given: str = ""  # an option that the command must have, with a part of its value
    parameters: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
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
    words, templates = [equivalent.cmdlet], {**PARAMETERS, **equivalent.parameters}
    for option, value in command.options.items():
        if template := templates.get(option):
            words.append(template.format(_in_powershell(option, value)))
    line, shown = " ".join(words), equivalent.properties.get(command.options.get("--query", ""), "")
    return f"({line}).{shown}" if shown else line


def completed(template: str, command: AzCommand, vault: str) -> str:
    """Return a template of an equivalent with the values of the command; `vault` is the name if the command has none."""
    options = command.options
    option = "--hsm-name" if "--hsm-name" in options else "--vault-name"
    name, key = options.get(option, vault), options.get("--scope", "").partition("/keys/")[2]
    values = {each.removeprefix("--").replace("-", "_"): value for each, value in options.items()}
    in_scope = f" > Objects > Keys > {key}" if key else ""
    return template.format_map({"name": name, "in_scope": in_scope, **values, "vault": name, "in_vault": f"{option} {name}"})


def portal_path(equivalent: Equivalent, command: AzCommand, vault: str) -> str:
    """Return the path in the portal. Managed HSM has few pages."""
    is_page_of_vault = equivalent.portal.startswith("Key vaults > {vault} > Objects")
    return NO_PAGE if is_page_of_vault and "--hsm-name" in command.options else completed(equivalent.portal, command, vault)


def _in_powershell(option: str, value: str) -> str:
    if option in ("--key-permissions", "--ops"):  # those with several values
        return "'" + value.replace(" ", "', '") + "'"
    if lookup := _LOOKUP.fullmatch(value):
        inner, rest = parse(lookup[1]), lookup[2]
        looked_up = next(powershell(each, inner) for each in EQUIVALENTS if each.fits(inner))
        return f'"$({looked_up}){rest}"' if rest else looked_up
    return value if _BARE.fullmatch(value) else quoting.powershell(value)


# The equivalents of commands about vaults, their networks and their roles.

_of_vault = partial(Equivalent, parameters={"--name": "-VaultName {}"})
_of_hsm = partial(Equivalent, given="--hsm-name", parameters={"--hsm-name": "-Name {}"})
VAULT_PAGE = "Key vaults > {vault}"
_HSM_PAGE = "Azure Key Vault Managed HSMs > {vault}"
# The role may come from a group or from a scope above the vault.
_SHOW_ROLES = 'az role assignment list --assignee {assignee_object_id} --scope "{scope}" --include-inherited --include-groups'

VAULTS: tuple[Equivalent, ...] = (
    Equivalent("keyvault list-deleted", "Get-AzKeyVault -InRemovedState", "Key vaults > Manage deleted vaults"),
    _of_hsm(
        "keyvault network-rule add",
        "Add-AzKeyVaultManagedHsmNetworkRule",
        f"{_HSM_PAGE} > Networking > Apply",
        check="az keyvault network-rule list --hsm-name {vault}",
    ),
    _of_vault(
        "keyvault network-rule add",
        "Add-AzKeyVaultNetworkRule",
        "Key vaults > {name} > Settings > Networking > Virtual networks > Add existing virtual networks > Apply",
        given="--subnet",
        check="az keyvault network-rule list --name {name}",
    ),
    _of_vault(
        "keyvault network-rule add",
        "Add-AzKeyVaultNetworkRule",
        "Key vaults > {name} > Settings > Networking > IP address {ip_address} > Apply",
        check="az keyvault network-rule list --name {name}",
    ),
    _of_hsm("keyvault network-rule list", "Get-AzKeyVaultManagedHsm", f"{_HSM_PAGE} > Networking"),
    _of_vault(
        "keyvault network-rule list",
        "Get-AzKeyVault",
        "Key vaults > {name} > Settings > Networking",
        properties={"": "NetworkAcls"},
    ),
    Equivalent(
        "keyvault recover",
        "Undo-AzKeyVaultManagedHsmRemoval",
        "Azure Key Vault Managed HSMs > Manage deleted HSMs",
        given="--hsm-name",
        parameters={"--hsm-name": "-InputObject (Get-AzKeyVaultManagedHsm -InRemovedState | Where-Object Name -eq {})"},
        check="az keyvault show --hsm-name {vault} --query properties.tenantId",
    ),
    Equivalent(
        "keyvault recover",
        "Undo-AzKeyVaultRemoval",
        "Key vaults > Manage deleted vaults > {name} > Recover",
        parameters={"--name": "-InputObject (Get-AzKeyVault -InRemovedState | Where-Object VaultName -eq {})"},
        check="az keyvault show --name {name} --query id",
    ),
    Equivalent(
        "keyvault role assignment create",
        "New-AzKeyVaultRoleAssignment",
        f"{_HSM_PAGE} > Settings > Local RBAC > Add > {{role}}",
        check="az keyvault role assignment list --hsm-name {vault} --assignee-object-id {assignee_object_id}",
    ),
    Equivalent("keyvault role assignment list", "Get-AzKeyVaultRoleAssignment", f"{_HSM_PAGE} > Settings > Local RBAC"),
    _of_vault(
        "keyvault set-policy",
        "Set-AzKeyVaultAccessPolicy",
        "Key vaults > {name} > Access policies > select the principal {object_id} > Edit > Key permissions {key_permissions}",
        check="az keyvault show --name {name} --query properties.accessPolicies",
    ),
    _of_hsm(
        "keyvault show", "Get-AzKeyVaultManagedHsm", f"{_HSM_PAGE} > Properties", properties={"properties.tenantId": "TenantId"}
    ),
    _of_vault(
        "keyvault show",
        "Get-AzKeyVault",
        "Key vaults > {name} > Access policies",
        given="--query accessPolicies",
        properties={"properties.accessPolicies": "AccessPolicies"},
    ),
    _of_vault(
        "keyvault show",
        "Get-AzKeyVault",
        "Key vaults > {name} > Settings > Properties",
        properties={
            "id": "ResourceId",
            "properties.tenantId": "TenantId",
            "properties.enableRbacAuthorization": "EnableRbacAuthorization",
        },
    ),
    Equivalent(
        "monitor activity-log list",
        "Get-AzActivityLog",
        f"{VAULT_PAGE} > Activity log",
    ),
    Equivalent(
        "monitor metrics list",
        "Get-AzMetric",
        f"{VAULT_PAGE} > Monitoring > Metrics > Total Service Api Results, filter StatusCode 429",
    ),
    Equivalent(
        "network private-dns link vnet list",
        "Get-AzPrivateDnsVirtualNetworkLink",
        "Private DNS zones > {zone_name} > Virtual Network Links",
    ),
    Equivalent(
        "role assignment create",
        "New-AzRoleAssignment",
        f"{VAULT_PAGE}{{in_scope}} > Access control (IAM) > Add > Add role assignment > {{role}}",
        parameters={"--assignee-principal-type": "-ObjectType {}"},
        check=_SHOW_ROLES,
    ),
    Equivalent(
        "role assignment list",
        "Get-AzRoleAssignment",
        f"{VAULT_PAGE}{{in_scope}} > Access control (IAM) > Role assignments",
    ),
)


_REGISTRATION = "Entra admin center > App registrations > All applications > {id}"
_PRINCIPAL = "Entra admin center > Enterprise apps > All applications > {id}"
_SECRETS = f"{_REGISTRATION} > Certificates & secrets"
_KEYS = f"{VAULT_PAGE} > Objects > Keys"
_VERSION = f"{_KEYS} > {{name}} > {{version}}"

_SHOW_CREDENTIALS = "az ad app credential list --id {id}"
_SHOW_PRINCIPAL = "az ad sp show --id {id} --query accountEnabled"
_SHOW_KEY = "az keyvault key show {in_vault} --name {name} --query attributes"

_attributes = partial(
    Equivalent,
    az="keyvault key set-attributes",
    cmdlet="Update-AzKeyVaultKey",
    check="az keyvault key show {in_vault} --name {name} --version {version} --query attributes",
)

ENTRA: tuple[Equivalent, ...] = (
    Equivalent("ad app credential list", "Get-AzADAppCredential", _SECRETS, properties={"[].endDateTime": "EndDateTime"}),
    Equivalent(
        "ad app credential reset",
        "New-AzADAppCredential",
        f"{_SECRETS} > Certificates > Upload certificate",
        given="--cert",
        parameters={"--cert": "-CertValue ((Get-Content CERTIFICATE.pem | Where-Object {{ $_ -notmatch '-----' }}) -join '')"},
        check=f"{_SHOW_CREDENTIALS} --cert",
    ),
    Equivalent(
        "ad app credential reset",
        "New-AzADAppCredential",
        f"{_SECRETS} > Client secrets > New client secret",
        check=_SHOW_CREDENTIALS,
    ),
    Equivalent(
        "ad app federated-credential list",
        "Get-AzADAppFederatedCredential",
        f"{_SECRETS} > Federated credentials",
        parameters={"--id": "-ApplicationObjectId (Get-AzADApplication -ApplicationId {}).Id"},
    ),
    Equivalent("ad app show", "Get-AzADApplication", _REGISTRATION, properties={"appId": "AppId"}),
    Equivalent("ad sp create", "New-AzADServicePrincipal", "no page creates it", check=_SHOW_PRINCIPAL),
    Equivalent(
        "ad sp show",
        "Get-AzADServicePrincipal",
        f"{_PRINCIPAL} > Properties",
        parameters={"--query": "-Select {}"},
        properties={
            "id": "Id",
            "appId": "AppId",
            "displayName": "DisplayName",
            "accountEnabled": "AccountEnabled",
            "appRoleAssignmentRequired": "AppRoleAssignmentRequired",
            "servicePrincipalType": "ServicePrincipalType",
        },
    ),
    Equivalent(
        "ad sp update",
        "Update-AzADServicePrincipal",
        f"{_PRINCIPAL} > Properties > Enabled for users to sign-in: Yes",
        given="--set",
        check=_SHOW_PRINCIPAL,
    ),
    Equivalent(
        "cloud show",
        "Get-AzContext",
        "the address of the portal: portal.azure.com is the public cloud",
        properties={"name": "Environment.Name"},
    ),
    Equivalent(
        "rest",
        "Invoke-AzRestMethod",
        "Entra admin center > App registrations > Deleted applications",
    ),
    Equivalent("vm identity show", "Get-AzVM", "Virtual machines > {name} > Security > Identity", properties={"": "Identity"}),
)
KEYS: tuple[Equivalent, ...] = (
    Equivalent(
        "keyvault key backup",
        "Backup-AzKeyVaultKey",
        f"{_KEYS} > {{name}} > Download Backup",
        parameters={"--file": "-OutputFile {}"},
    ),
    Equivalent("keyvault key create", "Add-AzKeyVaultKey", f"{_KEYS} > Generate/Import", check=_SHOW_KEY),
    Equivalent("keyvault key list", "Get-AzKeyVaultKey", _KEYS),
    Equivalent("keyvault key list-deleted", "Get-AzKeyVaultKey -InRemovedState", f"{_KEYS} > Manage deleted keys"),
    Equivalent("keyvault key list-versions", "Get-AzKeyVaultKey -IncludeVersions", f"{_KEYS} > {{name}}"),
    Equivalent(
        "keyvault key recover",
        "Undo-AzKeyVaultKeyRemoval",
        f"{_KEYS} > Manage deleted keys > {{name}} > Recover",
        check=_SHOW_KEY,
    ),
    Equivalent(
        "keyvault key restore",
        "Restore-AzKeyVaultKey",
        f"{_KEYS} > Restore Backup",
        parameters={"--file": "-InputFile {}"},
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
        "keyvault key show",
        "Get-AzKeyVaultKey",
        f"{_KEYS} > {{name}}",
        properties={"key": "Key", "key.keyOps": "Key.KeyOps", "attributes": "Attributes"},
    ),
)
EQUIVALENTS: tuple[Equivalent, ...] = (*ENTRA, *KEYS, *VAULTS)


def find_equivalent(command: AzCommand) -> Equivalent | None:
    """Return the row of a command; None if the table has none."""
    return next((equivalent for equivalent in EQUIVALENTS if equivalent.fits(command)), None)
