"""Every reason in words: what a probe saw, where the code alone leaves several causes open.

For: pages and transcripts, beside the number. Completes "the step failed because ...".
Not for: what to do about it (see `actions`), labels of metrics (those are the reasons themselves).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.faults import Reason

REASON_TEXTS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.DNS_NOT_FOUND: "the resolver says that no such host name exists",
        Reason.DNS_TEMPORARY: "the resolver could not answer just now",
        Reason.DNS_TIMEOUT: "no resolver answered in time",
        Reason.NETWORK_DOWN: "this host has no route to the network",
        Reason.CONNECT_REFUSED: "the connection was refused",
        Reason.CONNECT_RESET: "the connection was reset while it was being made",
        Reason.CONNECT_TIMEOUT: "nobody answered the attempt to connect",
        Reason.CONNECT_UNREACHABLE: "the network says that the address cannot be reached",
        Reason.CONNECT_FAILED: "no connection could be made",
        Reason.TLS_UNTRUSTED: "the certificate comes from an authority that is not trusted here",
        Reason.TLS_EXPIRED: "the server's certificate has expired",
        Reason.TLS_NOT_YET_VALID: "the server's certificate is not valid yet",
        Reason.TLS_WRONG_NAME: "the server's certificate is for another name",
        Reason.TLS_NOT_TLS: "what answered does not speak TLS",
        Reason.TLS_RESET: "the connection was cut during the TLS handshake",
        Reason.TLS_TIMEOUT: "the TLS handshake did not end in time",
        Reason.TLS_FAILED: "the TLS handshake failed",
        Reason.PROXY_UNRESOLVED: "the proxy's own name could not be resolved",
        Reason.PROXY_UNREACHABLE: "the proxy could not be reached",
        Reason.PROXY_TIMEOUT: "the proxy did not answer in time",
        Reason.PROXY_AUTH: "the proxy wants to know who asks, or did not like the answer",
        Reason.PROXY_STATUS: "the proxy refused to connect",
        Reason.CONNECTION_RESET: "the connection was reset before the answer",
        Reason.CONNECTION_CLOSED: "the connection was closed before the answer",
        Reason.READ_TIMEOUT: "connected, but no answer came in time",
        Reason.NOT_HTTP: "what answered does not speak HTTP",
        Reason.BODY_TRUNCATED: "the answer broke off",
        Reason.BODY_TIMEOUT: "the answer did not arrive completely in time",
        Reason.BODY_TOO_LARGE: "the answer is far larger than any real one",
        Reason.REDIRECT: "the answer sends the caller elsewhere, which the connector does not follow",
        Reason.SCRAPE_TIMEOUT: "the scrape's own timeout ended the probe",
        Reason.NO_CHALLENGE: "it answered without asking for a token",
        Reason.CHALLENGE_ABSENT: "it refused without saying where a token is to be had",
        Reason.CHALLENGE_MALFORMED: "it says where a token is to be had in a way that the connector cannot read",
        Reason.AUTHORITY_UNTRUSTED: "it sends the caller for a token to a host that is not Entra ID's",
        Reason.RESOURCE_MISMATCH: "it asks for a token that is meant for somebody else",
        Reason.SECRET_EXPIRED: "the client secret has expired",
        Reason.SECRET_WRONG: "the client secret is wrong",
        Reason.CREDENTIALS_REFUSED: "Entra ID refused the credential",
        Reason.CERTIFICATE_UNKNOWN: "the application does not know this certificate",
        Reason.CERTIFICATE_EXPIRED: "the client certificate has expired",
        Reason.FEDERATION_UNMATCHED: "no federated credential of the application matches this workload",
        Reason.CLOCK_SKEW: "this host's clock is wrong",
        Reason.APPLICATION_UNKNOWN: "the tenant has no such application",
        Reason.APPLICATION_DISABLED: "the application is disabled",
        Reason.TENANT_UNKNOWN: "there is no such tenant",
        Reason.WRONG_CLOUD: "the tenant belongs to another cloud",
        Reason.RESOURCE_PRINCIPAL_MISSING: "the tenant does not know the service that the token is for",
        Reason.CONDITIONAL_ACCESS: "a Conditional Access policy forbids it",
        Reason.ENTRA_UNAVAILABLE: "Entra ID is unavailable",
        Reason.BAD_REQUEST: "the request was refused as malformed",
        Reason.TOKEN_REJECTED: "the vault rejected the token",
        Reason.TOKEN_WRONG_AUDIENCE: "the token is meant for another service",
        Reason.TOKEN_WRONG_ISSUER: "the token comes from another tenant than the vault's",
        Reason.FORBIDDEN_POLICY: "the vault's access policies do not allow it",
        Reason.FORBIDDEN_RBAC: "no role of the application allows it",
        Reason.FORBIDDEN_FIREWALL: "the vault's firewall does not let this address in",
        Reason.FORBIDDEN_CONNECTION: "the vault takes private endpoints only",
        Reason.KEY_DISABLED: "the key version is disabled",
        Reason.KEY_EXPIRED: "the key version has expired",
        Reason.KEY_NOT_YET_VALID: "the key version is not valid yet",
        Reason.FORBIDDEN: "the vault knows the caller and refuses",
        Reason.KEY_NOT_FOUND: "the vault has no such key or version",
        Reason.KEY_SOFT_DELETED: "the key was deleted and can still be recovered",
        Reason.NOT_FOUND: "the address leads to nothing",
        Reason.THROTTLED: "more requests arrive than the service allows",
        Reason.CONFLICT: "the state of the key or vault does not allow it now",
        Reason.CLIENT_ERROR: "the request was refused",
        Reason.SERVER_ERROR: "the service failed",
        Reason.UNEXPECTED_STATUS: "it answered with a status that has no meaning here",
        Reason.ANSWER_EMPTY: "the answer is empty",
        Reason.ANSWER_NOT_JSON: "the answer is not JSON",
        Reason.ANSWER_INCOMPLETE: "the answer lacks something",
        Reason.ANSWER_MALFORMED: "the answer holds something that cannot be used",
        Reason.BYTES_DIFFER: "other bytes came back than were wrapped",
        Reason.KEY_UNSUPPORTED: "the connector cannot use a key of this type or size",
        Reason.KEY_NAME_TOO_LONG: "the key's name is longer than the connector takes",
        Reason.SECRET_TOO_SHORT: "the credential string is shorter than a client id",
        Reason.SECRET_UNREADABLE: "the exporter cannot read its copy of the secret",
        Reason.SECRET_TIMEOUT: "reading the secret file took the exporter too long",
        Reason.IDENTITY_UNAVAILABLE: "no identity could be had on this host",
        Reason.CERTIFICATE_UNUSABLE: "the client certificate cannot be used",
        Reason.INTERNAL: "the exporter itself failed",
    }
)


def cause(reason: Reason | None) -> str:
    """In words; the reason itself would be no news to a person."""
    return "the reason is not known" if reason is None else REASON_TEXTS[reason]
