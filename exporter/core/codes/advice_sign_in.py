"""Actions for a sign-in that Entra ID refuses or does not answer, by reason."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.codes import BY_CODE
from exporter.core.codes.advice_texts import AGAIN, ALTER, CAUSE_IS_ELSEWHERE, CRED_AND_STRING, RESET, SHOW_TENANT, STATUS_PAGE
from exporter.core.codes.shared import DO_NOT_RESTART, SUPPORT
from exporter.core.faults import Reason

_KEY_VAULT_APPLICATION = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"
_HSM_APPLICATION = "589d5083-6f11-4d30-a62a-a4b316a14abf"  # from public listings of tenants; no page of Microsoft's names it
_DELETED = "https://graph.microsoft.com/v1.0/directory/deletedItems/microsoft.graph.application"
_CLOCK = "Synchronise the clock of this host: `w32tm /resync` on Windows, `chronyc makestep` on Linux."
_REGISTER = "`az ad app credential reset --id CLIENT_ID --append --cert @CERTIFICATE.pem`"
_NOT_OF_ENTRA = "A device on the route responded, not Entra ID, which does not send this status for a sign-in."
_CHECK_ROUTE = "Check the proxy and the network policy between this host and Entra ID."
_NEW_SECRET_ACTIONS = BY_CODE[3303].actions

SIGN_IN: Mapping[Reason, tuple[str, ...]] = MappingProxyType(
    {
        Reason.SECRET_EXPIRED: _NEW_SECRET_ACTIONS[1:],
        Reason.SECRET_WRONG: (
            "Check that the exporter's secret file has the secret's value, not its id.",
            f"If the value is lost, create a new secret and keep the old one: {RESET}.",
            *_NEW_SECRET_ACTIONS[2:],
        ),
        Reason.CERTIFICATE_UNKNOWN: (f"Register the certificate with the application, and keep its others: {_REGISTER}.", *AGAIN),
        Reason.CERTIFICATE_EXPIRED: (
            f"Create a new certificate and register it before it is used: {_REGISTER}.",
            "Then replace the exporter's certificate file. The exporter reads it again without a restart.",
            *AGAIN,
        ),
        Reason.CLOCK_SKEW: (_CLOCK, *AGAIN),
        Reason.FEDERATION_UNMATCHED: (
            (
                "Compare issuer, subject and audience with the pod's service account: "
                "`az ad app federated-credential list --id CLIENT_ID`."
            ),
            *AGAIN,
        ),
        Reason.APPLICATION_UNKNOWN: (
            "Check the client id, which may have a wrong digit: `az ad sp show --id CLIENT_ID --query displayName`.",
            SHOW_TENANT,
            f"If the string in SQL Server is wrong, write it again, on every replica: {ALTER}.",
            CRED_AND_STRING,
            *AGAIN,
        ),
        Reason.APPLICATION_NOT_IN_TENANT: (
            "Create the application's service principal in the vault's tenant: `az ad sp create --id CLIENT_ID`.",
            CAUSE_IS_ELSEWHERE,
            *AGAIN,
        ),
        Reason.APPLICATION_ID_INVALID: (
            "Check that the application exists: `az ad app show --id CLIENT_ID --query appId`.",
            f"If it was deleted, list the deleted ones: `az rest --method get --url {_DELETED}`. It can be restored for 30 days.",
            "If the client id is wrong, correct it in the configuration and in the SQL credential.",
            *AGAIN,
        ),
        Reason.APPLICATION_DISABLED: (
            "Find out why the application is disabled, then enable it: `az ad sp update --id CLIENT_ID --set accountEnabled=true`.",
            CAUSE_IS_ELSEWHERE,
            *AGAIN,
        ),
        Reason.TENANT_UNKNOWN: (
            SHOW_TENANT,
            "Compare it with `tenant_id` of the credential, and correct that one if it differs.",
            "After a subscription move, a vault may still name its old tenant. Update the vault then.",
            *AGAIN,
        ),
        Reason.WRONG_CLOUD: (
            "Create the application in the vault's cloud and tenant. Show the cloud of `az` first: `az cloud show --query name`.",
            SHOW_TENANT,
            "Then write its client id and secret into the configuration and into the SQL credential.",
            *AGAIN,
        ),
        Reason.CONDITIONAL_ACCESS: (
            "Let the Entra ID administrator find the policy in the sign-in log of service principals.",
            "The policy must allow the addresses of the SQL Server hosts.",
            CAUSE_IS_ELSEWHERE,
            *AGAIN,
        ),
        Reason.RESOURCE_PRINCIPAL_DISABLED: (
            f"Enable the Key Vault service principal: `az ad sp update --id {_KEY_VAULT_APPLICATION} --set accountEnabled=true`.",
            CAUSE_IS_ELSEWHERE,
            *AGAIN,
        ),
        Reason.RESOURCE_PRINCIPAL_MISSING: (
            f"Create the Key Vault service principal in the tenant: `az ad sp create --id {_KEY_VAULT_APPLICATION}`.",
            CAUSE_IS_ELSEWHERE,
            *AGAIN,
        ),
        Reason.ENTRA_UNAVAILABLE: (f"{STATUS_PAGE} Entra ID failed, not the vault.", CAUSE_IS_ELSEWHERE, *AGAIN, SUPPORT),
        Reason.TOKEN_EXPIRED: (_CLOCK, *AGAIN),
        Reason.TOKEN_REVOKED: (
            "Check whether the application was disabled: `az ad sp show --id CLIENT_ID --query accountEnabled`.",
            "Check the Conditional Access policies for workload identities: continuous access evaluation revoked the token.",
            *AGAIN,
        ),
    }
)
_VERIFY_HSM = (
    f"No page of Microsoft's names the id. Verify it first: `az ad sp show --id {_HSM_APPLICATION} --query displayName`."
)
# A Managed HSM is another resource of Entra ID, with a principal of its own.
SIGN_IN_ON_HSM: Mapping[Reason, tuple[str, ...]] = MappingProxyType(
    {
        Reason.RESOURCE_PRINCIPAL_DISABLED: (
            f"Enable the Managed HSM service principal: `az ad sp update --id {_HSM_APPLICATION} --set accountEnabled=true`.",
            _VERIFY_HSM,
            CAUSE_IS_ELSEWHERE,
            *AGAIN,
        ),
        Reason.RESOURCE_PRINCIPAL_MISSING: (
            f"Create the Managed HSM service principal in the tenant: `az ad sp create --id {_HSM_APPLICATION}`.",
            "No page of Microsoft's names the id: public listings of tenants do, as `Azure Key Vault Managed HSM`.",
            CAUSE_IS_ELSEWHERE,
            *AGAIN,
        ),
    }
)
_OTHER_DEVICE = (_CHECK_ROUTE, _NOT_OF_ENTRA, DO_NOT_RESTART)
# Reasons that mean something else at the sign-in than at the vault.
AT_SIGN_IN: Mapping[Reason, tuple[str, ...]] = MappingProxyType(
    {
        Reason.FORBIDDEN: _OTHER_DEVICE,
        Reason.NOT_FOUND: _OTHER_DEVICE,
        Reason.CONFLICT: _OTHER_DEVICE,
        Reason.CLIENT_ERROR: _OTHER_DEVICE,
        Reason.THROTTLED: (
            "Find the application's other clients in Entra ID's sign-in log, and stop the one that loops.",
            "If the exporter is the cause, increase `interval`, or reuse tokens: `token_max_age`.",
            DO_NOT_RESTART,
        ),
        Reason.DNS_NOT_FOUND: (
            BY_CODE[3900].actions[0],
            "The name is public. Correct the DNS server of the host that does not resolve it, or its forwarder.",
            DO_NOT_RESTART,
        ),
    }
)
