"""The table of equivalents: each `az` command of the actions in Az PowerShell, in the portal, and what shows that it worked.

Names of pages and buttons are those of the portals of 2026.
"""

from __future__ import annotations

from functools import partial

from exporter.core.tickets.az_command import AzCommand, Equivalent
from exporter.core.tickets.vault_equivalents import VAULT_PAGE, VAULTS

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
        properties={"id": "Id", "appId": "AppId", "displayName": "DisplayName", "accountEnabled": "AccountEnabled"},
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
