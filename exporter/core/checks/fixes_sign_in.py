"""What to do about a sign-in that Entra refuses, by its reason: most of these strings are right, and writing them anew mends nothing.

For: the lines of the check `token` where the reason says more than the check does; written as those of `fixes`.
Not for: secrets that have expired or are wrong, of which other checks speak too (see `fixes`).
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
            "Entra knows no such application in this tenant. Look for it by its id; a string with a wrong digit names nobody:",
            "  az ad sp show --id CLIENT_ID --query displayName --output tsv",
            "  az keyvault show --name VAULT_NAME --query properties.tenantId --output tsv",
            "If the string is wrong, write it anew, on every replica:",
            *ALTER[1:],
        ),
        Reason.APPLICATION_DISABLED: (
            "Somebody has disabled the application; its string is right. Ask why, then enable it:",
            "  az ad sp update --id CLIENT_ID --set accountEnabled=true",
        ),
        Reason.TENANT_UNKNOWN: (
            "Entra knows no such tenant. See which one the vault names, and correct tenant_id where it is set:",
            "  az keyvault show --name VAULT_NAME --query properties.tenantId --output tsv",
            "A vault that was moved to another subscription may still name its old tenant.",
        ),
        Reason.CONDITIONAL_ACCESS: (
            (
                "A Conditional Access policy for workload identities refuses this sign-in, often for the address it comes from;"
                " the string is right."
            ),
            "Its administrator finds the policy in the sign-in log, and can let the SQL Server hosts' addresses in.",
        ),
        Reason.WRONG_CLOUD: (
            "The application is of another cloud than the vault. Make it in the tenant of the vault; first see which cloud `az` speaks to:",
            "  az cloud show --query name --output tsv",
            "  az keyvault show --name VAULT_NAME --query properties.tenantId --output tsv",
        ),
        Reason.RESOURCE_PRINCIPAL_MISSING: (
            "The tenant does not know Key Vault as a service; no string mends that. Its administrator makes it known:",
            "  az ad sp create --id cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
        ),
        Reason.CERTIFICATE_UNKNOWN: (
            "Entra does not know this certificate. Register it with the application, beside the others:",
            _REGISTER,
        ),
        Reason.CERTIFICATE_EXPIRED: (
            "The certificate has ended. Make a new one, and register it before it is used:",
            _REGISTER,
        ),
        Reason.THROTTLED: (
            "Entra has had too many sign-ins. The sign-in log of the application names the addresses that they come from.",
            "Where the exporter is the cause, lengthen `interval`, or let a token be used again: `token_max_age`.",
        ),
    }
)
