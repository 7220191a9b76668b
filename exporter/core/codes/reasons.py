"""The text of each reason: the observation of a probe.

Each text completes "the step failed because ...".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.codes.model import Owner
from exporter.core.faults import Reason
from exporter.core.model import Step, StepResult

REASON_TEXTS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.DNS_NOT_FOUND: "DNS has no such host name",
        Reason.DNS_TEMPORARY: "DNS failed temporarily",
        Reason.DNS_TIMEOUT: "DNS did not respond in time",
        Reason.NETWORK_DOWN: "this host has no route to the network",
        Reason.CONNECT_REFUSED: "the connection was refused",
        Reason.CONNECT_RESET: "the connection was reset while connecting",
        Reason.CONNECT_TIMEOUT: "the connection attempt timed out",
        Reason.CONNECT_UNREACHABLE: "the network reports the address as unreachable",
        Reason.CONNECT_FAILED: "the connection failed",
        Reason.TLS_UNTRUSTED: "the certificate was issued by an authority that is not trusted here",
        Reason.TLS_EXPIRED: "the server's certificate has expired",
        Reason.TLS_NOT_YET_VALID: "the server's certificate is not valid yet",
        Reason.TLS_WRONG_NAME: "the server's certificate is for another name",
        Reason.TLS_NOT_TLS: "the server does not use TLS",
        Reason.TLS_RESET: "the connection was closed during the TLS handshake",
        Reason.TLS_TIMEOUT: "the TLS handshake timed out",
        Reason.TLS_FAILED: "the TLS handshake failed",
        Reason.PROXY_UNRESOLVED: "the host name of the proxy did not resolve",
        Reason.PROXY_UNREACHABLE: "the proxy could not be reached",
        Reason.PROXY_TIMEOUT: "the proxy did not respond in time",
        Reason.PROXY_INVALID: "the proxy's response is not HTTP, or its tunnel carries no TLS",
        Reason.PROXY_AUTH: "the proxy requires a user and password, or rejected them",
        Reason.PROXY_STATUS: "the proxy refused the connection",
        Reason.CONNECTION_RESET: "the connection was reset before the response",
        Reason.CONNECTION_CLOSED: "the connection was closed before the response",
        Reason.READ_TIMEOUT: "connected, but no response arrived in time",
        Reason.NOT_HTTP: "the response is not valid HTTP",
        Reason.BODY_TRUNCATED: "the response was truncated",
        Reason.BODY_TIMEOUT: "the response was not complete in time",
        Reason.BODY_TOO_LARGE: "the response is far larger than a valid one",
        Reason.REDIRECT: "the response is a redirect, which the connector does not follow",
        Reason.SCRAPE_TIMEOUT: "the scrape timeout ended the probe",
        Reason.NO_CHALLENGE: "the server responded without requesting a token",
        Reason.CHALLENGE_ABSENT: "the vault's 401 names no sign-in host",
        Reason.CHALLENGE_MALFORMED: "the connector cannot read the sign-in host in the vault's 401",
        Reason.AUTHORITY_UNTRUSTED: "the vault names a sign-in host that is not Entra ID",
        Reason.RESOURCE_MISMATCH: "the vault requests a token for another service",
        Reason.SECRET_EXPIRED: "the client secret has expired",
        Reason.SECRET_WRONG: "the client secret is wrong",
        Reason.CREDENTIALS_REFUSED: "Entra ID refused the credential",
        Reason.CERTIFICATE_UNKNOWN: "the certificate is not registered with the application",
        Reason.CERTIFICATE_EXPIRED: "the client certificate has expired",
        Reason.CERTIFICATE_REFUSED: "Entra ID rejects the certificate: revoked, or its chain is invalid",
        Reason.FEDERATION_UNMATCHED: "no federated credential of the application matches this workload",
        Reason.FEDERATION_UNREACHABLE: "Entra ID cannot read the keys of this workload's token issuer",
        Reason.CLOCK_SKEW: "this host's clock is wrong",
        Reason.APPLICATION_UNKNOWN: "the tenant has no such application",
        Reason.APPLICATION_NOT_IN_TENANT: "the application has no service principal in the vault's tenant",
        Reason.APPLICATION_ID_INVALID: "the client id is invalid, or its application was deleted",
        Reason.APPLICATION_DISABLED: "the application is disabled",
        Reason.TENANT_UNKNOWN: "the sign-in names no tenant, or one that does not exist",
        Reason.TENANT_BLOCKED: "the tenant is blocked, deactivated or deleted",
        Reason.TENANT_RESTRICTED: "a tenant restriction or cross-tenant policy blocks the sign-in",
        Reason.WRONG_CLOUD: "the tenant, the vault or the sign-in host belongs to another cloud",
        Reason.RESOURCE_PRINCIPAL_MISSING: "the tenant has no enabled service principal for Key Vault",
        Reason.RESOURCE_PRINCIPAL_DISABLED: "the service principal of Key Vault is disabled in the tenant",
        Reason.CONDITIONAL_ACCESS: "a Conditional Access policy blocks the sign-in",
        Reason.OUTDATED_TLS: "the sign-in reached Entra ID with TLS 1.0, TLS 1.1 or 3DES",
        Reason.SIGN_IN_REFUSED: "Entra ID refused the sign-in; its number names the cause",
        Reason.ENTRA_UNAVAILABLE: "Entra ID is unavailable",
        Reason.BAD_REQUEST: "the request was rejected as malformed",
        Reason.TOKEN_REJECTED: "the vault rejected the token",
        Reason.TOKEN_WRONG_AUDIENCE: "the token is for another service",
        Reason.TOKEN_WRONG_ISSUER: "the token was issued by another tenant than the vault's",
        Reason.TOKEN_EXPIRED: "the token had expired when the vault received it",
        Reason.TOKEN_REVOKED: "continuous access evaluation revoked the token",
        Reason.TOKEN_UNVERIFIABLE: "the vault could not verify the token's signature at the moment",
        Reason.FORBIDDEN_POLICY: "the vault's access policies do not allow the operation",
        Reason.FORBIDDEN_RBAC: "no role of the application allows the operation",
        Reason.FORBIDDEN_FIREWALL: "the vault's firewall blocks this address",
        Reason.FORBIDDEN_CONNECTION: "the vault only accepts private endpoints",
        Reason.FORBIDDEN_NSP: "the vault's network security perimeter blocks this network",
        Reason.KEY_DISABLED: "the key version is disabled",
        Reason.KEY_EXPIRED: "the key version has expired",
        Reason.KEY_NOT_YET_VALID: "the key version is not valid yet",
        Reason.KEY_OPERATION_FORBIDDEN: "the key's permitted operations (key_ops) lack this one",
        Reason.FORBIDDEN: "the vault identified the caller and refused the operation",
        Reason.KEY_NOT_FOUND: "the vault has no such key or version",
        Reason.KEY_SOFT_DELETED: "the key was deleted and can still be recovered",
        Reason.NOT_FOUND: "the URL does not exist",
        Reason.THROTTLED: "the service receives more requests than it allows",
        Reason.CONFLICT: "the current state of the key or vault does not allow the request",
        Reason.CLIENT_ERROR: "the request was rejected",
        Reason.SERVER_ERROR: "the service failed",
        Reason.UNEXPECTED_STATUS: "the response has a status that is not valid here",
        Reason.ANSWER_EMPTY: "the response is empty",
        Reason.ANSWER_NOT_JSON: "the response is not the JSON of the service",
        Reason.ANSWER_INCOMPLETE: "the response lacks a required field",
        Reason.ANSWER_MALFORMED: "the response has a field with an invalid value",
        Reason.BYTES_DIFFER: "unwrap returned bytes that differ from the wrapped ones",
        Reason.KEY_UNSUPPORTED: "the connector does not support this key type or size",
        Reason.KEY_NAME_TOO_LONG: "the key name is longer than the connector allows",
        Reason.SECRET_TOO_SHORT: "the credential string is shorter than a client id",
        Reason.SECRET_UNREADABLE: "the exporter cannot read its own secret file",
        Reason.SECRET_TIMEOUT: "the exporter could not read its own secret file in time",
        Reason.IDENTITY_UNAVAILABLE: "the identity endpoint of this host provided no token",
        Reason.IDENTITY_KEY_UNREADABLE: "the exporter's account may not read the key file of Azure Arc",
        Reason.CERTIFICATE_UNUSABLE: "the client certificate cannot be used",
        Reason.INTERNAL: "the exporter itself failed",
    }
)

# Reasons that leave the cause open. The masked detail names it: the sentence of the service, an endpoint, the content of a file.
OPEN_REASONS = frozenset(
    {
        Reason.FORBIDDEN,
        Reason.BAD_REQUEST,
        Reason.CLIENT_ERROR,
        Reason.CONFLICT,
        Reason.NOT_FOUND,
        Reason.SERVER_ERROR,
        Reason.UNEXPECTED_STATUS,
        Reason.CREDENTIALS_REFUSED,
        Reason.SIGN_IN_REFUSED,
        Reason.CERTIFICATE_REFUSED,
        Reason.TOKEN_REJECTED,
        Reason.IDENTITY_UNAVAILABLE,
        Reason.IDENTITY_KEY_UNREADABLE,
        Reason.CERTIFICATE_UNUSABLE,
        Reason.SECRET_UNREADABLE,
        Reason.ANSWER_MALFORMED,
        Reason.ANSWER_NOT_JSON,
        Reason.AUTHORITY_UNTRUSTED,
        Reason.RESOURCE_MISMATCH,
        Reason.TLS_FAILED,
        Reason.TLS_UNTRUSTED,
        Reason.PROXY_STATUS,
        Reason.PROXY_INVALID,
        Reason.NOT_HTTP,
        Reason.REDIRECT,
    }
)


def observed_cause(result: StepResult) -> str:
    """Return the cause that the probe observed, as a sentence; empty if its reason leaves the cause open."""
    if result.reason is None or result.reason in OPEN_REASONS:
        return ""
    text = cause(result.reason, result.step)
    return f"{text[0].upper()}{text[1:]}."


def open_detail(result: StepResult) -> str:
    """Return the masked detail of a failure without a specific reason; else empty."""
    return result.facts.detail if result.reason in OPEN_REASONS and result.facts is not None else ""


def owner_of_failure(result: StepResult, owner: Owner) -> Owner:
    """Return the team for a failure, `owner` of its code unless a proxy sent its page."""
    page = result.facts is not None and result.facts.has_page and result.reason is Reason.ANSWER_NOT_JSON
    return Owner.NETWORK if page else owner


_OTHER_DEVICE = "the sign-in got a status that Entra ID does not send for one"
# Reasons that mean something else at the sign-in than at the vault.
_AT_SIGN_IN: Mapping[Reason, str] = MappingProxyType(
    {
        **dict.fromkeys((Reason.FORBIDDEN, Reason.NOT_FOUND, Reason.CONFLICT, Reason.CLIENT_ERROR), _OTHER_DEVICE),
        Reason.BAD_REQUEST: "Entra ID rejected the sign-in as malformed, without a number",
        Reason.THROTTLED: "Entra ID, or the identity service of this host, throttles the sign-ins",
    }
)


def cause(reason: Reason | None, step: Step) -> str:
    """Return the text of the reason why `step` failed."""
    if reason is None:
        return "the reason is not known"
    return _AT_SIGN_IN.get(reason, REASON_TEXTS[reason]) if step is Step.TOKEN else REASON_TEXTS[reason]
