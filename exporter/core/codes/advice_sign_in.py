"""Actions for a sign-in that Entra ID refuses or does not answer, by reason."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.codes import BY_CODE
from exporter.core.codes.advice_texts import (
    AGAIN,
    ALTER,
    CAUSE_IS_ELSEWHERE,
    CRED_AND_STRING,
    KEEP_CREDENTIAL,
    LOOK_UP,
    REGISTER,
    RESET,
    SHOW_FEDERATION,
    SHOW_TENANT,
    STATUS_PAGE,
    SYNCHRONISE,
)
from exporter.core.codes.shared import DO_NOT_RESTART, SUPPORT
from exporter.core.faults import Reason

_KEY_VAULT_APPLICATION = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"
_DELETED = "https://graph.microsoft.com/v1.0/directory/deletedItems/microsoft.graph.application"
_REPLACE_FILE = "Then replace the exporter's certificate file. The exporter reads it again without a restart."
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
        Reason.CERTIFICATE_UNKNOWN: (f"Register the certificate with the application, and keep its others: {REGISTER}.", *AGAIN),
        Reason.CERTIFICATE_EXPIRED: (
            f"Create a new certificate and register it before it is used: {REGISTER}.",
            _REPLACE_FILE,
            *AGAIN,
        ),
        Reason.CERTIFICATE_REFUSED: (
            LOOK_UP,
            f"If it was revoked or its chain is invalid, register a new certificate: {REGISTER}.",
            _REPLACE_FILE,
            *AGAIN,
        ),
        # The sentence may be absent, so the cause is open: the secret is only compared first.
        Reason.CREDENTIALS_REFUSED: (
            "Read the response in the detail of the probe: it may name the cause.",
            "Compare the credential with Entra ID's list and dates: `az ad app credential list --id CLIENT_ID`.",
            f"Only if the secret is expired or wrong, create a new one and keep the old one: {RESET}.",
            *_NEW_SECRET_ACTIONS[2:],
        ),
        Reason.SIGN_IN_REFUSED: (LOOK_UP, KEEP_CREDENTIAL, *AGAIN),
        Reason.CLOCK_SKEW: (SYNCHRONISE, *AGAIN),
        Reason.FEDERATION_UNMATCHED: (SHOW_FEDERATION, *AGAIN),
        Reason.FEDERATION_UNREACHABLE: (
            "Check from the internet that the issuer answers, as Entra ID must read its keys: `curl ISSUER/.well-known/openid-configuration`.",
            SHOW_FEDERATION,
            CAUSE_IS_ELSEWHERE,
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
            "Compare it with `tenant_id` of the credential, and correct that one if it differs. `common` and `organizations` name no tenant.",
            "After a subscription move, a vault may still name its old tenant. Update the vault then.",
            *AGAIN,
        ),
        Reason.TENANT_BLOCKED: (
            "Let an administrator of the tenant or Microsoft's support reactivate it: Entra ID refuses every sign-in there.",
            "Do it today: an inactive tenant can be reactivated for 20 days only.",
            SHOW_TENANT,
            CAUSE_IS_ELSEWHERE,
            *AGAIN,
        ),
        Reason.TENANT_RESTRICTED: (
            "Read the number in the detail of the probe: 500212 and 500213 are cross-tenant settings, the others a header of the proxy.",
            "Header: let the proxy's operator add the vault's tenant to the permitted tenants, or exempt `HOST`.",
            "Settings: let the Entra ID administrator permit the tenant in the cross-tenant access settings.",
            CAUSE_IS_ELSEWHERE,
            *AGAIN,
        ),
        Reason.WRONG_CLOUD: (
            "Compare the clouds of vault, tenant and sign-in host. Show the cloud of `az` first: `az cloud show --query name`.",
            "If `authority_host` in the module names a sign-in host of another cloud, correct it.",
            SHOW_TENANT,
            "If the application is in another cloud, create one in the vault's tenant. Then use it here and in the SQL credential.",
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
            f"Show whether Key Vault's service principal is in the tenant: `az ad sp show --id {_KEY_VAULT_APPLICATION} --query accountEnabled`.",
            f"If it is missing, create it: `az ad sp create --id {_KEY_VAULT_APPLICATION}`.",
            f"If it is disabled, enable it: `az ad sp update --id {_KEY_VAULT_APPLICATION} --set accountEnabled=true`.",
            CAUSE_IS_ELSEWHERE,
            *AGAIN,
        ),
        Reason.OUTDATED_TLS: (
            "Exempt `HOST` from TLS inspection: a proxy or device on the route connects to Entra ID with an outdated TLS version.",
            "On the SQL Server host, check that Windows has TLS 1.2 enabled for programs.",
            CAUSE_IS_ELSEWHERE,
            *AGAIN,
        ),
        Reason.IDENTITY_UNAVAILABLE: (
            "Read the endpoint in the detail of the probe: `169.254.169.254` is that of an Azure VM, `localhost:40342` that of Azure Arc.",
            "Azure VM: check that an identity is assigned: `az vm identity show --resource-group GROUP --name VM`.",
            "Azure VM: exempt 169.254.169.254 from every proxy and network policy.",
            "Azure Arc: check that the agent is connected: `azcmagent show`.",
            "Only the host that owns the identity can use it: run the exporter there.",
            DO_NOT_RESTART,
        ),
        Reason.IDENTITY_KEY_UNREADABLE: (
            "Add the exporter's account to the local group `Hybrid agent extension applications` on Windows, or `himds` on Linux.",
            'Windows: `net localgroup "Hybrid agent extension applications" ACCOUNT /add`. Linux: `usermod -aG himds ACCOUNT`.',
            "Then restart the exporter's service: a running process keeps its old groups.",
            "Check the service account of SQL Server too, if it signs in with the identity of this server.",
            DO_NOT_RESTART,
        ),
        Reason.ENTRA_UNAVAILABLE: (
            f"{STATUS_PAGE} Entra ID failed, not the vault.",
            "If another network gets a token, a proxy or gateway on this route failed.",
            CAUSE_IS_ELSEWHERE,
            *AGAIN,
            SUPPORT,
        ),
        Reason.TOKEN_EXPIRED: (SYNCHRONISE, *AGAIN),
        Reason.TOKEN_REVOKED: (
            "Check whether the application was disabled: `az ad sp show --id CLIENT_ID --query accountEnabled`.",
            "Check the Conditional Access policies for workload identities: continuous access evaluation revoked the token.",
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
        Reason.BAD_REQUEST: (
            "Read the response in the detail of the probe. Entra ID names a number in each of its refusals; this one has none.",
            _CHECK_ROUTE,
            KEEP_CREDENTIAL,
            *AGAIN,
        ),
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
