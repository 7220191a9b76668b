"""The fix of a sign-in that Entra ID refuses, by reason.

The format is that of `fixes`. For most of these reasons the credential string is correct, so ALTER CREDENTIAL does not help.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.checks.fixes import ALTER, Lines
from exporter.core.faults import Reason

_REGISTER = "  az ad app credential reset --id CLIENT_ID --append --cert @CERTIFICATE.pem"

SIGN_IN: Mapping[Reason, Lines] = MappingProxyType(
    {
        Reason.APPLICATION_UNKNOWN: (
            "The tenant has no application with this client id. Check the id, which may have a wrong digit:",
            "  az ad sp show --id CLIENT_ID --query displayName --output tsv",
            "  az keyvault show --name VAULT_NAME --query properties.tenantId --output tsv",
            "If the string is wrong, write it again on every replica:",
            *ALTER[1:],
        ),
        Reason.APPLICATION_DISABLED: (
            "The application is disabled. The string is correct. Find out why, then enable the application:",
            "  az ad sp update --id CLIENT_ID --set accountEnabled=true",
        ),
        Reason.TENANT_UNKNOWN: (
            "The tenant does not exist. Show the vault's tenant, and correct tenant_id if it is set:",
            "  az keyvault show --name VAULT_NAME --query properties.tenantId --output tsv",
            "After a subscription move, a vault may still name its old tenant.",
        ),
        Reason.CONDITIONAL_ACCESS: (
            (
                "A Conditional Access policy for workload identities blocks this sign-in, often because of its address."
                " The string is correct."
            ),
            "The Entra administrator finds the policy in the sign-in log, and can allow the addresses of the SQL Server hosts.",
        ),
        Reason.WRONG_CLOUD: (
            "The application belongs to another cloud than the vault. Create it in the vault's tenant. First show the cloud of `az`:",
            "  az cloud show --query name --output tsv",
            "  az keyvault show --name VAULT_NAME --query properties.tenantId --output tsv",
        ),
        Reason.RESOURCE_PRINCIPAL_MISSING: (
            "The tenant has no service principal for Key Vault. The string is correct. The administrator creates the principal:",
            "  az ad sp create --id cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
        ),
        Reason.CERTIFICATE_UNKNOWN: (
            "The certificate is not registered with the application. Register it and keep the others:",
            _REGISTER,
        ),
        Reason.CERTIFICATE_EXPIRED: (
            "The certificate has expired. Create a new one, and register it before it is used:",
            _REGISTER,
        ),
        Reason.THROTTLED: (
            "Entra throttles the sign-ins. The sign-in log of the application names the calling addresses.",
            "If the exporter is the cause, increase `interval`, or reuse tokens: `token_max_age`.",
        ),
    }
)


def switch_to(staged: str) -> Lines:
    """Return the fix for a refused credential if the staged one is usable."""
    return (
        f"The staged credential {staged} is usable. Give it to SQL Server, on every replica:",
        *ALTER[1:],
        f"Then set `credential: {staged}` in the configuration, and remove `next_credential`.",
    )
