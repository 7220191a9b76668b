"""Actions for a sign-in, by reason and kind of credential, if those of the reason are for another kind.

Advice never speaks of a client secret to the owner of a certificate, and never of a certificate to the owner of a secret. A
refusal that the kind cannot have is looked up. The kind `default` is a chain, which may hold any other kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from exporter.core.codes.advice_sign_in import SIGN_IN
from exporter.core.codes.advice_texts import AGAIN, ALTER, CRED_AND_STRING, REGISTER, SHOW_FEDERATION
from exporter.core.codes.shared import DO_NOT_RESTART
from exporter.core.faults import Reason
from exporter.core.model import CredentialKind

_Actions = tuple[str, ...]
_SECRETS = tuple(kind for kind in CredentialKind if kind.has_secret)
_CERTIFICATE, _MANAGED, _WORKLOAD = (
    CredentialKind.CLIENT_CERTIFICATE,
    CredentialKind.MANAGED_IDENTITY,
    CredentialKind.WORKLOAD_IDENTITY,
)
_OF_A_SECRET = (Reason.SECRET_EXPIRED, Reason.SECRET_WRONG)
_OF_A_CERTIFICATE = (Reason.CERTIFICATE_UNKNOWN, Reason.CERTIFICATE_EXPIRED, Reason.CERTIFICATE_REFUSED)
_OF_A_WORKLOAD = (Reason.FEDERATION_UNMATCHED, Reason.FEDERATION_UNREACHABLE)
_LOOK_UP = SIGN_IN[Reason.SIGN_IN_REFUSED]
_READ = SIGN_IN[Reason.CREDENTIALS_REFUSED][0]
_WITHOUT_STRING = tuple(text for text in SIGN_IN[Reason.APPLICATION_UNKNOWN] if ALTER not in text and text != CRED_AND_STRING)


def _all(actions: _Actions, reasons: Iterable[Reason], *kinds: CredentialKind) -> dict[tuple[Reason, CredentialKind], _Actions]:
    return {(reason, kind): actions for reason in reasons for kind in kinds}


BY_KIND: Mapping[tuple[Reason, CredentialKind], _Actions] = MappingProxyType(
    {
        **_all(_LOOK_UP, _OF_A_SECRET, _CERTIFICATE, _MANAGED, _WORKLOAD),
        **_all(_LOOK_UP, _OF_A_CERTIFICATE, *_SECRETS, _MANAGED),
        **_all(_LOOK_UP, _OF_A_WORKLOAD, *_SECRETS, _CERTIFICATE, _MANAGED),
        # A workload signs its assertion too: with the key of its issuer, not with a certificate.
        **_all((_READ, SHOW_FEDERATION, *AGAIN), (*_OF_A_CERTIFICATE, Reason.CREDENTIALS_REFUSED), _WORKLOAD),
        (Reason.CREDENTIALS_REFUSED, _CERTIFICATE): (
            _READ,
            "List the registered certificates and their dates: `az ad app credential list --id CLIENT_ID --cert`.",
            f"Only if this one is missing or expired, register it or a new one: {REGISTER}.",
            *AGAIN,
        ),
        (Reason.CREDENTIALS_REFUSED, _MANAGED): (_READ, *AGAIN),
        **_all(_WITHOUT_STRING, (Reason.APPLICATION_UNKNOWN,), _CERTIFICATE, _MANAGED, _WORKLOAD),
        # Its assertion is the pod's token, which the kubelet renews: that of a certificate is always new.
        (Reason.CLOCK_SKEW, _WORKLOAD): (
            "Check whether the file that `AZURE_FEDERATED_TOKEN_FILE` names is new: the kubelet renews it long before it expires.",
            "If it is old, the node cannot renew it: find out why. If it is new, synchronise the clock of the node.",
            *AGAIN,
        ),
        (Reason.THROTTLED, _MANAGED): (
            "Read the endpoint in the detail of the probe. An Azure VM's 169.254.169.254 throttles the programs of this VM together.",
            "Then find the other programs on this host that request tokens, and slow the one that loops.",
            "If the exporter is the cause, increase `interval`, or reuse tokens: `token_max_age`.",
            DO_NOT_RESTART,
        ),
        (Reason.IDENTITY_UNAVAILABLE, _WORKLOAD): (
            "Check the pod's variables `AZURE_FEDERATED_TOKEN_FILE`, `AZURE_CLIENT_ID` and `AZURE_TENANT_ID`, and that the file exists.",
            'They come from the webhook of workload identity: the pod needs the label `azure.workload.identity/use: "true"`.',
            DO_NOT_RESTART,
        ),
    }
)
