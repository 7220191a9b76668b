"""The refusals of Key Vault, Entra and Microsoft Graph: one literal table each, and the envelopes they come in.

For: status, codes and envelope as the services send them. Clients tell refusals apart by these; the sentences are ours,
except the markers in them (AKV and AADSTS numbers, `Reason:`, `Caller:`) that clients look for.
Not for: when to refuse (see `vault`, `entra`, `graph`, `faults`).

Known from recordings and public reports unless a comment says that it is a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from exporter.simulator.response import SimulatedResponse


@dataclass(frozen=True, slots=True)
class VaultError:
    """Words in braces in the message are filled in for each request."""

    status: int
    code: str
    message: str
    inner: str | None = None


VAULT_ERRORS: Mapping[str, VaultError] = {
    "token_missing": VaultError(401, "Unauthorized", "AKV10000: The request carries neither a Bearer nor a PoP token."),
    "token_unknown": VaultError(401, "Unauthorized", "The token is expired, or was not issued for this service."),
    "token_audience": VaultError(401, "Unauthorized", "AKV10022: The audience does not fit. Found: {found}"),
    "token_issuer": VaultError(401, "Unauthorized", "AKV10032: The issuer does not fit. Found: https://sts.windows.net/{found}/"),
    "token_expired": VaultError(401, "Unauthorized", "[TokenExpired] The token has expired."),
    "token_revoked": VaultError(401, "Unauthorized", "AKV10094: The token does not meet the required claims."),
    "token_signature": VaultError(401, "Unauthorized", "AKV10046: No key to check the token's signature with was found."),
    "forbidden_policy": VaultError(
        403, "Forbidden", "The caller '{caller}' lacks the {permission} permission on key vault '{vault}'.", "ForbiddenByPolicy"
    ),
    "forbidden_rbac": VaultError(
        403, "Forbidden", "The caller has no role for this action.\r\nCaller: {caller}\r\nAction: 'Microsoft.KeyVault/vaults/{action}/action'"
        "\r\nAssignment: (not found)\r\nVault: {vault}\r\n", "ForbiddenByRbac"
    ),
    "forbidden_firewall": VaultError(
        403, "Forbidden", "The address is not on the vault's list, nor the caller a trusted service.\r\nClient address: 203.0.113.10\r\n"
        "Caller: {caller}\r\nVault: {vault}", "ForbiddenByFirewall"
    ),
    # The inner code is not documented.
    "forbidden_connection": VaultError(
        403, "Forbidden", "The vault takes requests from private links and trusted services alone.\r\nCaller: {caller}\r\nVault: {vault}",
        "ForbiddenByConnection",
    ),
    "forbidden_nsp": VaultError(403, "Forbidden", "The request was forbidden by NSP policy. Caller: {caller}", "ForbiddenByNsp"),
    "hsm_access_denied": VaultError(403, "AccessDenied", "The caller is not allowed to perform the operation {operation}."),
    "forbidden": VaultError(403, "Forbidden", "The operation was refused.\r\nCaller: {caller}\r\nVault: {vault}"),
    "key_disabled": VaultError(403, "Forbidden", "Operation {operation} is refused: the key is a disabled key.", "KeyDisabled"),
    # Status documented; message and inner code of the next two are guesses.
    "key_expired": VaultError(403, "Forbidden", "Operation {operation} is refused: the key is an expired key.", "KeyExpired"),
    "key_not_yet_valid": VaultError(403, "Forbidden", "Operation {operation} is refused: the key is not yet valid.", "KeyNotYetValid"),
    # The inner code is a guess.
    "key_operation": VaultError(403, "Forbidden", "Operation {operation} is not among the key's operations.", "KeyOperationForbidden"),
    "secret_disabled": VaultError(403, "Forbidden", "Operation {operation} is refused: the secret is a disabled secret.", "SecretDisabled"),
    "secret_not_found": VaultError(404, "SecretNotFound", "No secret with the name or id {key} is in this key vault."),
    "key_not_found": VaultError(404, "KeyNotFound", "No key with the name or id {key} is in this key vault. It may have been deleted."),
    "not_found": VaultError(404, "NotFound", "There is nothing at this address."),
    "bad_parameter": VaultError(400, "BadParameter", "The request cannot be understood: {found}"),
    "conflict": VaultError(409, "ConflictError", "The key is being changed by another request."),
    "throttled": VaultError(429, "Throttled", "Too many requests were received. Reason: VaultRequestTypeLimitReached"),
    "internal": VaultError(500, "InternalError", "The service failed."),
    "bad_gateway": VaultError(502, "BadGateway", "The service behind the gateway failed."),
    "unavailable": VaultError(503, "ServiceUnavailable", "The service is unavailable for the moment."),
    "gateway_timeout": VaultError(504, "GatewayTimeout", "The service behind the gateway was too slow."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EnvelopeError:
    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class EntraError:
    status: int
    error: str
    aadsts: int
    sentence: str


# Statuses of 700016, 90002, 7000112 and 53003 are experience, the numbers are documented; those of the certificates and
# assertions are guesses but for 700027.
ENTRA_ERRORS: Mapping[str, EntraError] = {
    "secret_wrong": EntraError(401, "invalid_client", 7000215, "The client secret is not one of the application's."),
    "secret_expired": EntraError(401, "invalid_client", 7000222, "The client secret has expired."),
    "certificate_unknown": EntraError(401, "invalid_client", 700027, "The assertion's certificate is not registered."),
    "certificate_refused": EntraError(401, "invalid_client", 700030, "The assertion's certificate is not one that the application may use."),
    "certificate_expired": EntraError(401, "invalid_client", 1000502, "The certificate is outside the time it is valid for."),
    "assertion_application": EntraError(401, "invalid_client", 700021, "The assertion is another application's."),
    "assertion_audience": EntraError(401, "invalid_client", 700023, "The assertion is made for another endpoint."),
    "assertion_outside_validity": EntraError(401, "invalid_client", 700024, "The assertion is outside the time it is valid for."),
    "assertion_signature": EntraError(401, "invalid_client", 700027, "The assertion's signature is not its issuer's."),
    # Since 2024 one number each for issuer, subject and audience; before, one for all of them.
    "federation_issuer": EntraError(401, "invalid_client", 700211, "No federated credential is for the assertion's issuer."),
    "federation_subject": EntraError(401, "invalid_client", 700213, "No federated credential is for the assertion's subject."),
    "federation_audience": EntraError(401, "invalid_client", 700212, "No federated credential is for the assertion's audience."),
    "federation_unmatched": EntraError(400, "invalid_request", 70021, "No federated credential is for the assertion."),
    "application_unknown": EntraError(400, "unauthorized_client", 700016, "The directory has no such application."),
    "application_not_in_tenant": EntraError(401, "invalid_client", 7000229, "The client application has no service principal in the tenant."),
    "application_id_invalid": EntraError(400, "unauthorized_client", 700038, "The value is not a valid application identifier."),
    "application_disabled": EntraError(400, "unauthorized_client", 7000112, "The application is disabled."),
    "tenant_unknown": EntraError(400, "invalid_request", 90002, "There is no such tenant."),
    "tenant_malformed": EntraError(400, "invalid_request", 900023, "The tenant is neither an id nor a domain name."),
    "resource_principal_missing": EntraError(400, "invalid_resource", 500011, "The tenant has no service principal of that resource."),
    "resource_principal_disabled": EntraError(400, "invalid_resource", 500014, "The service principal of the resource is disabled."),
    "conditional_access": EntraError(400, "access_denied", 53003, "A Conditional Access policy refused the token."),
    "wrong_cloud": EntraError(400, "invalid_request", 900382, "The request belongs to another cloud."),
    "grant_unsupported": EntraError(400, "unsupported_grant_type", 70003, "Only client credentials are granted here."),
    "entra_throttled": EntraError(429, "temporarily_unavailable", 90055, "The tenant made too many requests."),
    "entra_unavailable": EntraError(503, "temporarily_unavailable", 90033, "The service is unavailable for the moment."),
    "entra_transient": EntraError(400, "temporarily_unavailable", 90024, "The request budget is used up for the moment."),
    "entra_internal": EntraError(500, "server_error", 90090, "The service failed."),
}  # fmt: skip


# Sentences are ours, codes are the service's. That throttling says so with a 429 is a guess for this part of the service.
GRAPH_ERRORS: Mapping[str, EnvelopeError] = {
    "token_missing": EnvelopeError(401, "InvalidAuthenticationToken", "The access token is empty."),
    "token_refused": EnvelopeError(401, "InvalidAuthenticationToken", "The access token has ended, or is for another service."),
    "denied": EnvelopeError(403, "Authorization_RequestDenied", "The caller's privileges do not suffice."),
    "not_found": EnvelopeError(404, "Request_ResourceNotFound", "There is no such resource, or the caller may not know it."),
    "no_such_property": EnvelopeError(400, "BadRequest", "The selection names a property that the type does not have."),
    "no_such_path": EnvelopeError(400, "BadRequest", "The path leads to no resource."),
    "throttled": EnvelopeError(429, "TooManyRequests", "Too many requests were received."),
    "unavailable": EnvelopeError(503, "serviceNotAvailable", "The service is unavailable for the moment."),
}


def graph_answer(name: str) -> SimulatedResponse:
    """That refusal of Microsoft Graph, with the ids and the time that its errors carry; a throttled one says for how long."""
    error = GRAPH_ERRORS[name]
    inner = {"date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}", "request-id": str(uuid4()), "client-request-id": str(uuid4())}
    body = {"error": {"code": error.code, "message": error.message, "innerError": inner}}
    answer = SimulatedResponse().with_document(body, status=error.status)
    return answer.with_header("Retry-After", "10") if error.status == 429 else answer


def vault_answer(name: str, **words: str) -> SimulatedResponse:
    """That refusal of a vault. Words that the caller does not know read as a dash."""
    error = VAULT_ERRORS[name]
    unknown = dict.fromkeys(("operation", "permission", "action", "key", "vault", "caller", "found"), "-")
    body: dict[str, Any] = {"code": error.code, "message": error.message.format_map({**unknown, **words})}
    if error.inner is not None:
        body["innererror"] = {"code": error.inner}
    return SimulatedResponse().with_document({"error": body}, status=error.status)


def entra_answer(name: str) -> SimulatedResponse:
    """That refusal of Entra, with the ids and the time that its texts carry."""
    error, moment = ENTRA_ERRORS[name], f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
    trace, correlation = str(uuid4()), str(uuid4())
    lines = (
        f"AADSTS{error.aadsts}: {error.sentence}",
        f"Trace ID: {trace}",
        f"Correlation ID: {correlation}",
        f"Timestamp: {moment}",
    )
    body = {
        "error": error.error,
        "error_description": "\r\n".join(lines),
        "error_codes": [error.aadsts],
        "timestamp": moment,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={error.aadsts}",
    }
    return SimulatedResponse().with_document(body, status=error.status)
