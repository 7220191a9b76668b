"""Application, tenant, cloud and policies: what Entra ID refuses whatever the credential is."""

from __future__ import annotations

from functools import partial

from exporter.core.causes import Link
from exporter.core.codes.action_texts import (
    AGAIN,
    ALTER,
    CAUSE_IS_ELSEWHERE,
    CRED_AND_STRING,
    MOVED_TENANT,
    SHOW_TENANT,
    SIGN_IN_LOG,
)
from exporter.core.codes.readers import for_dba, for_exporter, for_identity, for_network
from exporter.core.model import CredentialKind
from exporter.core.reasons.row import AtSignIn, EntraOrder, Markers, ReasonRow, Refused, implied, numbers

_KEY_VAULT_APPLICATION = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"
_ENABLE_PRINCIPAL = f"`az ad sp update --id {_KEY_VAULT_APPLICATION} --set accountEnabled=true`"
_DELETED = "https://graph.microsoft.com/v1.0/directory/deletedItems/microsoft.graph.application"
# No page of Microsoft's names the application of Managed HSM. The id is that of public listings of tenants.
_HSM_PRINCIPAL = (
    "Show the service principal of Managed HSM, by the id of public listings: `az ad sp show --id 589d5083-6f11-4d30-a62a-a4b316a14abf`.",
    "If it is missing or disabled, create or enable it. No page of Microsoft names this id.",
    CAUSE_IS_ELSEWHERE,
    *AGAIN,
)
_FIND_APPLICATION = (
    "Check the client id, which may have a wrong digit: `az ad sp show --id CLIENT_ID --query displayName`.",
    SHOW_TENANT,
)
_SECRETLESS_KINDS = (CredentialKind.CLIENT_CERTIFICATE, CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY)
_TENANT = "a tenant has many applications"
_refused = partial(ReasonRow, refuses=Refused.CREDENTIAL)

TENANT: tuple[ReasonRow, ...] = (
    _refused(
        "application_not_in_tenant",
        "the application has no service principal in the vault's tenant",
        markers=(numbers(7000229),),
        status=401,
    ).advising(
        "Create the application's service principal in the vault's tenant: `az ad sp create --id CLIENT_ID`.",
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
    ),
    _refused(
        "application_id_invalid", "the client id is invalid, or its application was deleted", markers=(numbers(700038),)
    ).advising(
        "Check that the application exists: `az ad app show --id CLIENT_ID --query appId`.",
        f"If it was deleted, list the deleted ones: `az rest --method get --url {_DELETED}`. It can be restored for 30 days.",
        for_dba("If the client id is wrong, correct it in the configuration and in the SQL credential."),
        *AGAIN,
    ),
    _refused(
        "application_unknown",
        "the tenant has no such application",
        markers=(numbers(700016, 700011), numbers(70001, order=EntraOrder.AMBIGUOUS_NUMBER)),
        by_kind=dict.fromkeys(_SECRETLESS_KINDS, (*_FIND_APPLICATION, *AGAIN)),
    ).advising(
        *_FIND_APPLICATION,
        for_dba(f"If the string in SQL Server is wrong, write it again, on every replica: {ALTER}."),
        CRED_AND_STRING,
        *AGAIN,
    ),
    _refused(
        "application_disabled",
        "the application is disabled",
        markers=(
            numbers(7000112),
            implied(EntraOrder.SENTENCE, "ApplicationDisabled", r"\bapplication\b[^.]{0,160} is disabled"),
        ),
    ).advising(
        "Find out why the application is disabled, then enable it: `az ad sp update --id CLIENT_ID --set accountEnabled=true`.",
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
    ),
    _refused(
        "tenant_unknown",
        "the sign-in names no tenant, or one that does not exist",
        # 90002, 900021 and 900023: no such tenant; 50059, 50128 and 90019: none is named; the others: `common` and the like
        markers=(numbers(90002, 900021, 900023, 50059, 50128, 90019, 50029, 50194, 9001023, 9002332, 90124, 90130),),
    ).advising(
        SHOW_TENANT,
        for_dba(
            "Compare it with `tenant_id` of the credential, and correct that one if it differs. `common` and `organizations` name no tenant."
        ),
        *MOVED_TENANT,
        *AGAIN,
    ),
    _refused(
        "tenant_blocked",
        "the tenant is blocked, deactivated or deleted",
        one_change=_TENANT,
        # 5000224: deleted or deactivated; 5000225: blocked for inactivity; 5000229: expired
        markers=(numbers(5000224, 5000225, 5000229),),
    ).advising(
        "Reactivate the tenant, if need be with Microsoft's support: Entra ID refuses every sign-in there.",
        "Do it today: an inactive tenant can be reactivated for 20 days only.",
        SHOW_TENANT,
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
    ),
    ReasonRow(
        "tenant_restricted",
        "a tenant restriction or cross-tenant policy blocks the sign-in",
        # The first four: a header of the network's proxy or device; 500212 and 500213: cross-tenant access settings
        markers=(numbers(50002, 500021, 500022, 5000211, 500212, 500213),),
        at_sign_in=AtSignIn(link=Link.ENTRA),
    ).advising(
        "Read the number in the detail of the probe: 500212 and 500213 are cross-tenant settings, the others a header of the proxy.",
        for_network("Header: add the vault's tenant to the tenants that the proxy permits, or exempt `HOST`."),
        for_identity("Settings: permit the tenant: `Entra admin center > External Identities > Cross-tenant access settings`."),
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
    ),
    ReasonRow(
        "wrong_cloud",
        "the tenant, the vault or the sign-in host belongs to another cloud",
        markers=(numbers(90038, 90043, 900381, 900382, 900432, 900439, 90051, 50049, 1000104),),
    ).advising(
        "Compare the clouds of vault, tenant and sign-in host. Show the cloud of `az` first: `az cloud show --query name`.",
        for_exporter("If `authority_host` in the module names a sign-in host of another cloud, correct it."),
        SHOW_TENANT,
        "If the application is in another cloud, create one in the vault's tenant.",
        for_dba("Then use it here and in the SQL credential."),
        *AGAIN,
    ),
    ReasonRow(
        "resource_principal_disabled",
        "the service principal of Key Vault is disabled in the tenant",
        one_change=_TENANT,
        markers=(numbers(500014),),
        on_hsm=_HSM_PRINCIPAL,
    ).advising(f"Enable the Key Vault service principal: {_ENABLE_PRINCIPAL}.", CAUSE_IS_ELSEWHERE, *AGAIN),
    ReasonRow(
        "resource_principal_missing",
        "the tenant has no enabled service principal for Key Vault",
        one_change=_TENANT,
        markers=(numbers(500011, 50001, 650052, 650054),),
        on_hsm=_HSM_PRINCIPAL,
    ).advising(
        f"Show whether Key Vault's service principal is in the tenant: `az ad sp show --id {_KEY_VAULT_APPLICATION} --query accountEnabled`.",
        f"If it is missing, create it: `az ad sp create --id {_KEY_VAULT_APPLICATION}`.",
        f"If it is disabled, enable it: {_ENABLE_PRINCIPAL}.",
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
    ),
    _refused(
        "conditional_access",
        "a Conditional Access policy blocks the sign-in",
        one_change="a policy covers many applications",
        # 53000 to 53999 and 530000 to 530999 are decisions of policies
        markers=(
            Markers(EntraOrder.NUMBER, ("aadsts:53", "aadsts:530")),
            numbers(50131, 50005, order=EntraOrder.AMBIGUOUS_NUMBER),
        ),
    ).advising(
        f"Find the policy in the sign-in log, column Conditional Access: `{SIGN_IN_LOG}`.",
        "Make the public addresses of the SQL Server hosts a named location: `Entra admin center > Conditional Access > Named locations`.",
        "Then exclude that location from the policy: `Entra admin center > Conditional Access > Policies`.",
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
    ),
    ReasonRow(
        "outdated_tls",
        "the sign-in reached Entra ID with TLS 1.0, TLS 1.1 or 3DES",
        markers=(numbers(1002016),),
        at_sign_in=AtSignIn(link=Link.ENTRA),
    ).advising(
        "Exempt `HOST` from TLS inspection: a proxy or device on the route connects to Entra ID with an outdated TLS version.",
        for_dba("On the SQL Server host, check that Windows has TLS 1.2 enabled for programs."),
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
    ),
)
