"""Rows of reasons: the credential of a sign-in, what Entra ID refuses whatever it is, and the exporter's own failures.

Advice never speaks of a client secret to the owner of a certificate, and never of a certificate to the owner of a secret. A
refusal that the kind cannot have is looked up. The kind `default` is a chain, which may hold any other kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from exporter.core.values import CredentialKind, Step
from exporter.knowledge.code_row import (
    AGAIN,
    CAUSE_IS_ELSEWHERE,
    DO_NOT_RESTART,
    FIND_INTERCEPTION,
    KEEP_CREDENTIAL,
    MOVED_TENANT,
    REGISTER,
    REPEAT,
    RESET,
    SHOW_TENANT,
    SIGN_IN_LOG,
    SYNCHRONISE,
    WRITE_SECRET,
    for_dba,
    for_exporter,
    for_identity,
    for_network,
)
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.reason_row import (
    Actions,
    AtSignIn,
    EntraOrder,
    Link,
    Markers,
    ReasonRow,
    Refused,
    Reply,
    ShownBy,
    implied,
    numbers,
)

_LOOK_UP_NUMBER = "Read Entra ID's sentence in the detail of the probe, and look up its number: `https://login.microsoftonline.com/error?code=NUMBER`."
_SHOW_FEDERATION = (
    "Compare issuer, subject and audience with the pod's service account: `az ad app federated-credential list --id CLIENT_ID`."
)

_REPLACE_FILE = for_exporter("Then replace the exporter's certificate file. The exporter reads it again without a restart.")
_NEW_SECRET = BY_CODE[3303].actions[1:]  # a probe failed
_READ = "Read the response in the detail of the probe: it may name the cause."
_NUMBER_ACTIONS = (_LOOK_UP_NUMBER, KEEP_CREDENTIAL, *AGAIN)
_CERTIFICATE, _MANAGED, _WORKLOAD = (
    CredentialKind.CLIENT_CERTIFICATE,
    CredentialKind.MANAGED_IDENTITY,
    CredentialKind.WORKLOAD_IDENTITY,
)
# A workload signs its assertion too: with the key of its issuer, not with a certificate.
_COMPARE_ISSUER = (_READ, _SHOW_FEDERATION, *AGAIN)


def _only(*kinds: CredentialKind) -> Mapping[CredentialKind, Actions]:
    """Return the actions of the kinds that cannot have the refusal."""
    return {kind: _NUMBER_ACTIONS for kind in CredentialKind if kind not in (*kinds, CredentialKind.DEFAULT)}


_refused = partial(ReasonRow, refuses=Refused.CREDENTIAL, status=401)
_secret = partial(_refused, by_kind=_only(CredentialKind.CLIENT_SECRET, CredentialKind.CONNECTOR_SECRET))
_certificate = partial(_refused, by_kind={**_only(_CERTIFICATE), _WORKLOAD: _COMPARE_ISSUER})
_federation = partial(ReasonRow, by_kind=_only(_WORKLOAD))

SIGN_IN: tuple[ReasonRow, ...] = (
    _secret(
        "secret_expired", "the client secret has expired", refuses=Refused.EXPIRED_CREDENTIAL, markers=(numbers(7000222),)
    ).advising(*_NEW_SECRET),
    _secret(
        "secret_wrong",
        "the client secret is wrong",
        markers=(numbers(7000215), implied(EntraOrder.SENTENCE, "InvalidClientSecret", "invalid client secret")),
    ).advising(
        "If the secret worked until now, it was replaced or removed. List all and their dates: `az ad app credential list --id CLIENT_ID`.",
        for_exporter("If it never worked, check that the exporter's secret file has the secret's value, not its id."),
        f"If the value is lost, create a new secret and keep the old one: {RESET}.",
        *_NEW_SECRET[1:],
    ),
    ReasonRow(
        "clock_skew",
        "the clock of the probe's host is wrong",
        meaning="The dates in the sign-in's assertion are not valid now: the clock of the probe's host is wrong, or the pod's token is old.",
        link=Link.HOST,
        shown_by=ShownBy("clock", (Step.TOKEN,)),
        markers=(numbers(700024, 500133), implied(EntraOrder.SENTENCE, "AssertionNotInTime", "not within its valid time range")),
        status=401,
        by_kind={
            # Its assertion is the pod's token, which the kubelet renews: that of a certificate is always new.
            _WORKLOAD: (
                "Check whether the file that `AZURE_FEDERATED_TOKEN_FILE` names is new: the kubelet renews it long before it expires.",
                "If it is old, the node cannot renew it: find out why. If it is new, synchronise the clock of the node.",
                *AGAIN,
            )
        },
    ).advising(SYNCHRONISE, *AGAIN),
    _certificate(
        "certificate_expired",
        "the client certificate has expired",
        refuses=Refused.EXPIRED_CREDENTIAL,
        markers=(numbers(1000502, 7000274), implied(EntraOrder.SENTENCE, "CertificateExpired", "key used is expired")),
    ).advising(f"Create a new certificate and register it before it is used: {REGISTER}.", _REPLACE_FILE, *AGAIN),
    _certificate(
        "certificate_refused",
        "Entra ID rejects the certificate: revoked, or its chain is invalid",
        is_open=True,
        markers=(numbers(7000213, 7000214, 7000277, 50017),),  # 50017 and 7000213: the chain; 7000214 and 7000277: revoked
    ).advising(
        _LOOK_UP_NUMBER,
        f"If it was revoked or its chain is invalid, register a new certificate: {REGISTER}.",
        _REPLACE_FILE,
        *AGAIN,
    ),
    _certificate(
        "certificate_unknown",
        "the certificate is not registered with the application",
        markers=(numbers(700027, 700030, 50012, order=EntraOrder.AMBIGUOUS_NUMBER),),
    ).advising(f"Register the certificate with the application, and keep its others: {REGISTER}.", *AGAIN),
    _federation(
        "federation_unmatched",
        "no federated credential of the application matches this workload",
        refuses=Refused.CREDENTIAL,
        markers=(numbers(700211, 700212, 700213, 7002121, 7002131, 7002137, 7002138, 70021, 700222, 700229),),
        status=401,
    ).advising(_SHOW_FEDERATION, *AGAIN),
    _federation(
        "federation_unreachable",
        "Entra ID cannot read the keys of this workload's token issuer",
        one_change="an issuer signs the tokens of many workloads",
        markers=(numbers(90061, 501661, 50166, 900612),),
    ).advising(
        "Check from the internet that the issuer answers, as Entra ID must read its keys: `curl ISSUER/.well-known/openid-configuration`.",
        _SHOW_FEDERATION,
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
    ),
    _secret(
        "secret_of_identity",
        "the client id is that of a managed identity, which has no secret",
        markers=(numbers(7000232),),
    ).advising(
        "Show what the client id is: `az ad sp show --id CLIENT_ID --query servicePrincipalType`. A managed identity has no secret.",
        for_exporter(
            "Name an application in the credential, or set its `kind` to `managed_identity` on a host that has this identity."
        ),
        for_dba("If the string in SQL Server names it too, write that of an application as the next step says."),
        *WRITE_SECRET,
        *AGAIN,
    ),
    _refused(
        "application_without_credential",
        "the application has neither a secret nor a certificate",
        markers=(numbers(700026),),
        by_kind={
            _CERTIFICATE: (f"Register the certificate with the application: {REGISTER}.", *AGAIN),
            _MANAGED: _NUMBER_ACTIONS,
            _WORKLOAD: _COMPARE_ISSUER,
        },
    ).advising(
        "Check the client id first: `az ad app credential list --id CLIENT_ID`. The list of the application is empty.",
        f"If it is the right application, create a secret: {RESET}.",
        *_NEW_SECRET[1:],
    ),
    # The sentence may be absent, so the cause is open: the secret is only compared first.
    _refused(
        "credentials_refused",
        "the credential was refused without a known cause",
        meaning="The sign-in was refused as if the credential were wrong or expired. The response names no cause that is known here.",
        is_open=True,
        markers=(numbers(70002, order=EntraOrder.VAGUE_NUMBER),),
        by_kind={
            _CERTIFICATE: (
                _READ,
                "List the registered certificates and their dates: `az ad app credential list --id CLIENT_ID --cert`.",
                f"Only if this one is missing or expired, register it or a new one: {REGISTER}.",
                *AGAIN,
            ),
            _MANAGED: (_READ, *AGAIN),
            _WORKLOAD: _COMPARE_ISSUER,
        },
    ).advising(
        _READ,
        "Compare the credential with Entra ID's list and dates: `az ad app credential list --id CLIENT_ID`.",
        f"Only if the secret is expired or wrong, create a new one and keep the old one: {RESET}.",
        *_NEW_SECRET[1:],
    ),
    _refused(
        "sign_in_refused",
        "Entra ID refused the sign-in; its number names the cause",
        is_open=True,
        markers=(Markers(EntraOrder.ANY_NUMBER, ("aadsts:any",), (400, 401, 403, 404, 409)),),
        status=400,
    ).advising(*_NUMBER_ACTIONS),
    # Refused here, before any request.
    _refused(
        "secret_too_short",
        "the credential string is shorter than a client id",
        shown_by=ShownBy("credential_string", (Step.TOKEN,)),
    ),
    _refused("certificate_unusable", "the exporter's client certificate cannot be used", is_open=True),
    ReasonRow(
        "identity_unavailable",
        "the identity endpoint of the probe's host provided no token",
        reply=Reply.FAILED,
        link=Link.HOST,
        is_open=True,
        by_kind={
            _WORKLOAD: (
                "Check the pod's variables `AZURE_FEDERATED_TOKEN_FILE`, `AZURE_CLIENT_ID` and `AZURE_TENANT_ID`, and that the file exists.",
                'They come from the webhook of workload identity: the pod needs the label `azure.workload.identity/use: "true"`.',
                DO_NOT_RESTART,
            )
        },
    ).advising(
        "Read the endpoint in the detail of the probe: `169.254.169.254` is that of an Azure VM, `localhost:40342` that of Azure Arc.",
        "Azure VM: check that an identity is assigned: `az vm identity show --resource-group GROUP --name VM`.",
        "Azure VM: exempt 169.254.169.254 from every proxy and network policy.",
        "Azure Arc: check that the agent is connected: `azcmagent show`.",
        for_exporter("Only the host that owns the identity can use it: run the exporter there."),
        DO_NOT_RESTART,
    ),
    ReasonRow(
        "identity_key_unreadable",
        "the exporter's account may not read the key file of Azure Arc",
        reply=Reply.FAILED,
        link=Link.HOST,
        is_open=True,
    ).advising(
        "Add the exporter's account to the local group `Hybrid agent extension applications` on Windows, or `himds` on Linux, as an administrator.",
        'Windows: `net localgroup "Hybrid agent extension applications" ACCOUNT /add`. Linux: `usermod -aG himds ACCOUNT`.',
        "Then restart the exporter's service, as a running process keeps its old groups: `Restart-Service ekm-exporter` (Linux: systemctl).",
        for_dba(
            "Is SQL Server affected too? Only if its own service account is not in the group: "
            '`net localgroup "Hybrid agent extension applications"` lists the members, '
            "`SELECT servicename, service_account FROM sys.dm_server_services;` shows the account."
        ),
        *AGAIN,
    ),
)

# Application, tenant, cloud and policies: what Entra ID refuses whatever the credential is.

_KEY_VAULT_APPLICATION = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"
_ENABLE_PRINCIPAL = f"`az ad sp update --id {_KEY_VAULT_APPLICATION} --set accountEnabled=true`"
# No page of Microsoft's names the application of Managed HSM. The id is that of public listings of tenants.
_HSM_PRINCIPAL = (
    "Show the service principal of Managed HSM, by the id of public listings: `az ad sp show --id 589d5083-6f11-4d30-a62a-a4b316a14abf`.",
    "If it is missing or disabled, create or enable it. No page of Microsoft names this id.",
    CAUSE_IS_ELSEWHERE,
    *AGAIN,
)
_RESTORE_APPLICATION = "If it was deleted, list the deleted ones: `az rest --method get --url https://graph.microsoft.com/v1.0/directory/deletedItems/microsoft.graph.application`. It can be restored for 30 days."
_FIND_APPLICATION = (
    "Check that the application exists and that its client id has no wrong digit: `az ad sp show --id CLIENT_ID --query displayName`.",
    _RESTORE_APPLICATION,
    SHOW_TENANT,
)
_TENANT = "a tenant has many applications"
_refused_by_tenant = partial(ReasonRow, refuses=Refused.CREDENTIAL)

TENANT: tuple[ReasonRow, ...] = (
    _refused_by_tenant(
        "application_not_in_tenant",
        "the application has no service principal in the vault's tenant",
        markers=(numbers(7000229),),
        status=401,
    ).advising(
        "Create the application's service principal in the vault's tenant: `az ad sp create --id CLIENT_ID`.",
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
    ),
    _refused_by_tenant(
        "application_id_invalid", "the client id is invalid, or its application was deleted", markers=(numbers(700038),)
    ).advising(
        "Check that the application exists: `az ad app show --id CLIENT_ID --query appId`.",
        _RESTORE_APPLICATION,
        for_dba("If the client id is wrong, correct it in the configuration and in the SQL credential."),
        *AGAIN,
    ),
    _refused_by_tenant(
        "application_unknown",
        "the tenant has no such application",
        markers=(numbers(700016, 700011), numbers(70001, order=EntraOrder.AMBIGUOUS_NUMBER)),
        by_kind=dict.fromkeys((_CERTIFICATE, _MANAGED, _WORKLOAD), (*_FIND_APPLICATION, *AGAIN)),
    ).advising(
        *_FIND_APPLICATION,
        for_dba(
            "If the client id in SQL Server's secret is wrong, correct it as the next step says. If it is right, leave that step out."
        ),
        *WRITE_SECRET,
        *AGAIN,
    ),
    _refused_by_tenant(
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
    _refused_by_tenant(
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
    _refused_by_tenant(
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
        for_dba("Then use it in the configuration and in the SQL credential."),
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
    ReasonRow(
        "assignment_required",
        "Key Vault's service principal requires an assignment, which the application lacks",
        one_change=_TENANT,
        markers=(numbers(501051, 50105),),
    ).advising(
        f"Show the setting, which is `false` by default: `az ad sp show --id {_KEY_VAULT_APPLICATION} --query appRoleAssignmentRequired`.",
        "If it is `true`, require none: `Entra admin center > Enterprise apps > Azure Key Vault > Properties > Assignment required`.",
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
    ),
    # No probe signs in as a person, unless the chain of `default` finds one: pasted text has these numbers.
    ReasonRow(
        "sign_in_of_person",
        "it is the sign-in of a person, not of an application",
        # multi-factor authentication, a session that a policy ended, a wrong or expired password
        markers=(numbers(50072, 50074, 50076, 50078, 50079, 50126, 50173, 70043, 700082),),
    ).advising(
        "Find which tool signed in: `az`, PowerShell or a browser. SQL Server and its connector never sign in as a person.",
        "Sign in again with that tool. Change neither the application nor its secret.",
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
    ),
    _refused_by_tenant(
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
    ReasonRow(
        "method_changed",
        "the sign-in reached Entra ID as a GET: a proxy or device on the route changed it",
        markers=(numbers(900561),),
        at_sign_in=AtSignIn(link=Link.ENTRA),
    ).advising(
        "Exempt `HOST` from inspection and redirects: a proxy or device on the route repeats the POST of the sign-in as a GET.",
        FIND_INTERCEPTION,
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
    ),
)

# The exporter itself: its files, its deadline and its errors.

_exporter = partial(ReasonRow, reply=Reply.NOT_TESTED, link=Link.HOST)
_unusable_secret = partial(_exporter, shown_by=ShownBy("secret", (Step.TOKEN,)))

EXPORTER: tuple[ReasonRow, ...] = (
    _exporter("scrape_timeout", "the scrape timeout ended the probe").advising(
        "Increase `scrape_timeout` of the Prometheus job above the timeout of the target.", REPEAT
    ),
    _unusable_secret("secret_unreadable", "the exporter cannot read its own secret file", is_open=True).advising(
        "Check that the secret file exists and has one line: `SECRET_FILE`.",
        "Show its permissions: `icacls SECRET_FILE`, on Linux `ls -l SECRET_FILE`. The exporter's service account needs read permission.",
        REPEAT,
    ),
    _unusable_secret("secret_timeout", "the exporter could not read its own secret file in time").advising(
        "Check the disk or share with the secret file: reading it took longer than the timeout of the target.", REPEAT
    ),
    _exporter("internal", "the exporter itself failed").advising(
        "Report the error with the exporter's log and the support bundle: `ekm-exporter probe TARGET --bundle FILE`.",
        "The exporter failed. Check SQL Server's own access with its error log.",
    ),
)
