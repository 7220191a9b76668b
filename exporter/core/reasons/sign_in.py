"""The credential of a sign-in: secret, certificate, workload and clock.

Advice never speaks of a client secret to the owner of a certificate, and never of a certificate to the owner of a secret. A
refusal that the kind cannot have is looked up. The kind `default` is a chain, which may hold any other kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from exporter.core.causes import Link
from exporter.core.codes import BY_CODE
from exporter.core.codes.action_texts import (
    AGAIN,
    CAUSE_IS_ELSEWHERE,
    KEEP_CREDENTIAL,
    LOOK_UP_NUMBER,
    REGISTER,
    RESET,
    SHOW_FEDERATION,
    SYNCHRONISE,
)
from exporter.core.codes.readers import for_exporter
from exporter.core.codes.shared import DO_NOT_RESTART
from exporter.core.model import CredentialKind, Step
from exporter.core.reasons.row import Actions, EntraOrder, Markers, ReasonRow, Refused, Reply, ShownBy, implied, numbers

_REPLACE_FILE = for_exporter("Then replace the exporter's certificate file. The exporter reads it again without a restart.")
_NEW_SECRET = BY_CODE[3303].actions
_READ = "Read the response in the detail of the probe: it may name the cause."
_NUMBER_ACTIONS = (LOOK_UP_NUMBER, KEEP_CREDENTIAL, *AGAIN)
_CERTIFICATE, _MANAGED, _WORKLOAD = (
    CredentialKind.CLIENT_CERTIFICATE,
    CredentialKind.MANAGED_IDENTITY,
    CredentialKind.WORKLOAD_IDENTITY,
)
# A workload signs its assertion too: with the key of its issuer, not with a certificate.
_COMPARE_ISSUER = (_READ, SHOW_FEDERATION, *AGAIN)


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
    ).advising(*_NEW_SECRET[1:]),
    _secret(
        "secret_wrong",
        "the client secret is wrong",
        markers=(numbers(7000215), implied(EntraOrder.SENTENCE, "InvalidClientSecret", "invalid client secret")),
    ).advising(
        "If the secret worked until now, it was replaced or removed. List all and their dates: `az ad app credential list --id CLIENT_ID`.",
        for_exporter("If it never worked, check that the exporter's secret file has the secret's value, not its id."),
        f"If the value is lost, create a new secret and keep the old one: {RESET}.",
        *_NEW_SECRET[2:],
    ),
    ReasonRow(
        "clock_skew",
        "this host's clock is wrong",
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
        LOOK_UP_NUMBER,
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
        markers=(numbers(700211, 700212, 700213, 7002131, 70021, 700222, 700229),),
        status=401,
    ).advising(SHOW_FEDERATION, *AGAIN),
    _federation(
        "federation_unreachable",
        "Entra ID cannot read the keys of this workload's token issuer",
        one_change="an issuer signs the tokens of many workloads",
        markers=(numbers(90061, 501661, 50166, 900612),),
    ).advising(
        "Check from the internet that the issuer answers, as Entra ID must read its keys: `curl ISSUER/.well-known/openid-configuration`.",
        SHOW_FEDERATION,
        CAUSE_IS_ELSEWHERE,
        *AGAIN,
    ),
    # The sentence may be absent, so the cause is open: the secret is only compared first.
    _refused(
        "credentials_refused",
        "Entra ID refused the credential",
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
        *_NEW_SECRET[2:],
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
    _refused("certificate_unusable", "the client certificate cannot be used", is_open=True),
    ReasonRow(
        "identity_unavailable",
        "the identity endpoint of this host provided no token",
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
        "Add the exporter's account to the local group `Hybrid agent extension applications` on Windows, or `himds` on Linux.",
        'Windows: `net localgroup "Hybrid agent extension applications" ACCOUNT /add`. Linux: `usermod -aG himds ACCOUNT`.',
        "Then restart the exporter's service: a running process keeps its old groups.",
        "Check the service account of SQL Server too, if it signs in with the identity of this server.",
        DO_NOT_RESTART,
    ),
)
