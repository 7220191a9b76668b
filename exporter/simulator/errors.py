"""The error responses of Key Vault, Entra ID and Microsoft Graph, one table each.

Status, codes and envelope are those of the services, because clients distinguish errors by them. The sentences are
the simulator's, except the markers that clients search for (AKV and AADSTS numbers, `Reason:`, `Caller:`).
Recordings and public reports are the source, unless a comment marks a guess.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from exporter.simulator.http import SimulatedResponse


@dataclass(frozen=True, slots=True)
class ServiceError:
    """One error of a vault, Microsoft Graph or Azure Resource Manager.

    A vault's message has placeholders for words of the request.
    """

    status: int
    code: str
    message: str
    inner: str | None = None


VAULT_ERRORS: Mapping[str, ServiceError] = {
    "token_missing": ServiceError(401, "Unauthorized", "AKV10000: The request has no Bearer or PoP token."),
    "token_unknown": ServiceError(401, "Unauthorized", "The token is expired, or was not issued for this service."),
    "token_audience": ServiceError(401, "Unauthorized", "AKV10022: The audience does not match, found: {found}"),
    "token_issuer": ServiceError(401, "Unauthorized", "AKV10032: The issuer does not match, found: https://sts.windows.net/{found}/"),
    "token_expired": ServiceError(401, "Unauthorized", "[TokenExpired] The token has expired."),
    "token_revoked": ServiceError(401, "Unauthorized", "AKV10094: The token does not meet the required claims."),
    "token_signature": ServiceError(401, "Unauthorized", "AKV10046: The key for the token's signature was not found."),
    "forbidden_policy": ServiceError(
        403, "Forbidden", "The caller '{caller}' lacks the {permission} permission on key vault '{vault}'.", "ForbiddenByPolicy"
    ),
    "forbidden_rbac": ServiceError(
        403, "Forbidden", "The caller has no role for this action.\r\nCaller: {caller}\r\nAction: 'Microsoft.KeyVault/vaults/{action}'"
        "\r\nAssignment: (not found)\r\nVault: {vault}\r\n", "ForbiddenByRbac"
    ),
    "forbidden_deny_assignment": ServiceError(  # the inner code is a guess
        403, "Forbidden", "The caller may not perform this action.\r\nCaller: {caller}\r\nAction: 'Microsoft.KeyVault/vaults/{action}'"
        "\r\nAssignment: (not found)\r\nDenyAssignmentId: '0a1b2c3d'\r\nVault: {vault}\r\n", "ForbiddenByRbac"
    ),
    "forbidden_firewall": ServiceError(
        403, "Forbidden", "The address is not on the vault's list, and the caller is not a trusted service.\r\nClient address: 203.0.113.10\r\n"
        "Caller: {caller}\r\nVault: {vault}", "ForbiddenByFirewall"
    ),
    # The inner code is not documented.
    "forbidden_connection": ServiceError(
        403, "Forbidden", "The vault accepts only requests from private links and trusted services.\r\nCaller: {caller}\r\nVault: {vault}",
        "ForbiddenByConnection",
    ),
    "forbidden_nsp": ServiceError(403, "Forbidden", "The request was forbidden by NSP policy. Caller: {caller}", "ForbiddenByNsp"),
    "hsm_access_denied": ServiceError(403, "AccessDenied", "The caller is not allowed to perform the operation {operation}."),
    "forbidden": ServiceError(403, "Forbidden", "The operation was refused.\r\nCaller: {caller}\r\nVault: {vault}"),
    # Refusals without an inner code: only the sentence has the cause. The sentences are those of public reports.
    "firewall_by_sentence": ServiceError(403, "Forbidden", "Client address is not authorized and caller is not a trusted service."),
    "connection_by_sentence": ServiceError(
        403, "Forbidden",
        "Public network access is disabled and request is not from a trusted service nor via an approved private link."
    ),
    "connection_not_approved": ServiceError(
        403, "Forbidden",
        "Connection is not an approved private link and caller was ignored because bypass is not set to 'AzureServices' and "
        "PublicNetworkAccess is set to 'Disabled'."
    ),
    "policy_by_sentence": ServiceError(
        403, "Forbidden", "Access denied. Caller was not found on any access policy.\r\nCaller: {caller}\r\nVault: {vault}", "AccessDenied"
    ),
    "firewall_private": ServiceError(
        403, "Forbidden", "Client address is not authorized and caller is not a trusted service.\r\nClient address: 10.20.30.40\r\nCaller: {caller}",
        "ForbiddenByFirewall",
    ),
    "disabled_by_sentence": ServiceError(403, "Forbidden", "Operation {operation} is not allowed on a disabled key."),
    "key_disabled": ServiceError(403, "Forbidden", "Operation {operation} is refused: the key is a disabled key.", "KeyDisabled"),
    # Status documented; message and inner code of the next two are guesses.
    "key_expired": ServiceError(403, "Forbidden", "Operation {operation} is refused: the key is an expired key.", "KeyExpired"),
    "key_not_yet_valid": ServiceError(403, "Forbidden", "Operation {operation} is refused: the key is not yet valid.", "KeyNotYetValid"),
    "key_operation": ServiceError(403, "Forbidden", "Operation {operation} is not one of the key's operations.", "KeyOperationForbidden"),
    "operation_by_sentence": ServiceError(403, "Forbidden", "Operation {operation} is not permitted on this key."),
    "secret_disabled": ServiceError(403, "Forbidden", "Operation {operation} is refused: the secret is a disabled secret.", "SecretDisabled"),
    "secret_not_found": ServiceError(404, "SecretNotFound", "A secret with the name or id {key} was not found in this key vault."),
    "key_not_found": ServiceError(404, "KeyNotFound", "A key with the name or id {key} was not found in this key vault. It may have been deleted."),
    "not_found": ServiceError(404, "NotFound", "The resource does not exist."),
    "vault_not_found": ServiceError(404, "VaultNotFound", "The vault was not found."),  # a guess
    "bad_parameter": ServiceError(400, "BadParameter", "The request is invalid: {found}"),
    "conflict": ServiceError(409, "ConflictError", "The key is being changed by another request."),
    "throttled": ServiceError(429, "Throttled", "Too many requests. Reason: VaultRequestTypeLimitReached"),
    "internal": ServiceError(500, "InternalError", "The service failed."),
    "bad_gateway": ServiceError(502, "BadGateway", "The service behind the gateway failed."),
    "unavailable": ServiceError(503, "ServiceUnavailable", "The service is temporarily unavailable."),
    "gateway_timeout": ServiceError(504, "GatewayTimeout", "The service behind the gateway timed out."),
}  # fmt: skip


# The documented header of continuous access evaluation: which claim a new token needs (here its earliest issue), as Base64.
_CLAIM = b'{"access_token":{"nbf":{"essential":true,"value":"1767225600"}}}'
_CLAIMS_CHALLENGE = (
    'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
    f'error="insufficient_claims", claims="{b64encode(_CLAIM).decode()}"'
)


@dataclass(frozen=True, slots=True)
class EntraError:
    """One error of Entra ID."""

    status: int
    error: str
    aadsts: int
    sentence: str
    before: tuple[int, ...] = ()  # other numbers that the list of numbers has first


# The numbers of 700016, 90002, 7000112 and 53003 are documented; their statuses come from experience. The numbers for
# certificates and assertions are guesses, except 700027.
ENTRA_ERRORS: Mapping[str, EntraError] = {
    "secret_wrong": EntraError(401, "invalid_client", 7000215, "The client secret does not belong to the application."),
    "secret_expired": EntraError(401, "invalid_client", 7000222, "The client secret has expired."),
    "certificate_unknown": EntraError(401, "invalid_client", 700027, "The assertion's certificate is not registered."),
    "certificate_refused": EntraError(401, "invalid_client", 700030, "The application may not use the assertion's certificate."),
    "certificate_key_expired": EntraError(401, "invalid_client", 700027, "The assertion's signature is invalid. [Reason - The key used is expired.]"),
    "certificate_revoked": EntraError(401, "invalid_client", 7000214, "The certificate was revoked."),
    "certificate_expired": EntraError(401, "invalid_client", 1000502, "The certificate is outside its validity period."),
    "assertion_application": EntraError(401, "invalid_client", 700021, "The assertion belongs to another application."),
    "assertion_audience": EntraError(401, "invalid_client", 700023, "The assertion is for another endpoint."),
    "assertion_outside_validity": EntraError(401, "invalid_client", 700024, "The assertion is outside its validity period."),
    "assertion_signature": EntraError(401, "invalid_client", 700027, "The assertion's signature does not match its issuer."),
    # Since 2024 issuer, subject and audience have a number each. Before, one number covered all three.
    "federation_issuer": EntraError(401, "invalid_client", 700211, "No federated credential matches the assertion's issuer."),
    "federation_subject": EntraError(401, "invalid_client", 700213, "No federated credential matches the assertion's subject."),
    "federation_audience": EntraError(401, "invalid_client", 700212, "No federated credential matches the assertion's audience."),
    "federation_unmatched": EntraError(400, "invalid_request", 70021, "No federated credential matches the assertion."),
    "federation_unreachable": EntraError(400, "invalid_request", 501661, "The request to the issuer's OIDC endpoint failed."),
    "application_unknown": EntraError(400, "unauthorized_client", 700016, "The application was not found in the directory."),
    "application_not_in_tenant": EntraError(401, "invalid_client", 7000229, "The client application has no service principal in the tenant."),
    "application_id_invalid": EntraError(400, "unauthorized_client", 700038, "The value is not a valid application identifier."),
    "application_disabled": EntraError(400, "unauthorized_client", 7000112, "The application is disabled."),
    # Older numbers with several meanings: the sentence decides. The statuses are guesses.
    "secret_wrong_by_sentence": EntraError(401, "invalid_client", 50012, "Invalid client secret is provided.", (70002,)),
    "assertion_late_by_sentence": EntraError(401, "invalid_client", 50012, "The assertion is not within its valid time range.", (70002,)),
    "assertion_refused": EntraError(401, "invalid_client", 50012, "The assertion's signature is invalid.", (70002,)),
    "credential_invalid": EntraError(401, "invalid_client", 70002, "The credentials are not valid."),
    "application_not_found": EntraError(400, "unauthorized_client", 70001, "The application was not found in the directory."),
    "application_disabled_by_sentence": EntraError(400, "unauthorized_client", 70001, "The application is disabled."),
    "tenant_unknown": EntraError(400, "invalid_request", 90002, "The tenant was not found."),
    "tenant_malformed": EntraError(400, "invalid_request", 900023, "The tenant is not an id or a domain name."),
    "tenant_unnamed": EntraError(400, "invalid_request", 50059, "The request names no tenant."),
    "tenant_blocked": EntraError(400, "invalid_request", 5000224, "This resource is not available."),
    "tenant_restricted": EntraError(400, "invalid_request", 500022, "A restriction of the network denies access to the tenant."),
    "tenant_forbidden": EntraError(400, "invalid_request", 500212, "An outbound access policy does not allow the tenant."),
    "resource_principal_missing": EntraError(400, "invalid_resource", 500011, "The tenant has no service principal for that resource."),
    "resource_principal_disabled": EntraError(400, "invalid_resource", 500014, "The service principal of the resource is disabled."),
    "conditional_access": EntraError(400, "access_denied", 53003, "A Conditional Access policy refused the token."),
    "conditional_access_second": EntraError(400, "access_denied", 53003, "Access has been blocked by Conditional Access.", (50131,)),
    "policy_decision": EntraError(400, "access_denied", 50131, "A policy refused the request."),
    "method_changed": EntraError(400, "invalid_request", 900561, "The endpoint only accepts POST requests. Received a GET request."),
    "secret_of_identity": EntraError(401, "invalid_client", 7000232, "A managed identity signs in without a secret."),
    "application_without_credential": EntraError(401, "invalid_client", 700026, "The application has no configured keys."),
    "assignment_required": EntraError(400, "invalid_grant", 501051, "The application is not assigned to a role of the resource."),
    "sign_in_of_person": EntraError(400, "interaction_required", 50076, "Multi-factor authentication is required."),
    "wrong_cloud": EntraError(400, "invalid_request", 900382, "The request belongs to another cloud."),
    "outdated_tls": EntraError(400, "invalid_request", 1002016, "The connection uses TLS 1.0, TLS 1.1 or 3DES."),
    # numbers that no rule names
    "number_unknown": EntraError(400, "invalid_request", 900144, "The request lacks a parameter."),
    "refusal_unknown": EntraError(401, "invalid_client", 7000218, "The request has no assertion and no secret."),
    "grant_unsupported": EntraError(400, "unsupported_grant_type", 70003, "The endpoint supports only client credentials."),
    "entra_throttled": EntraError(429, "temporarily_unavailable", 90055, "The tenant sent too many requests."),
    "entra_unavailable": EntraError(503, "temporarily_unavailable", 90033, "The service is temporarily unavailable."),
    "entra_transient": EntraError(400, "temporarily_unavailable", 90024, "The request budget is temporarily used up."),
    "entra_internal": EntraError(500, "server_error", 90090, "The service failed."),
}  # fmt: skip


# The codes are the service's, the sentences are the simulator's. The 429 for throttling is a guess for this API.
GRAPH_ERRORS: Mapping[str, ServiceError] = {
    "token_missing": ServiceError(401, "InvalidAuthenticationToken", "The access token is empty."),
    "token_refused": ServiceError(401, "InvalidAuthenticationToken", "The access token has expired or is for another service."),
    "denied": ServiceError(403, "Authorization_RequestDenied", "The caller has insufficient privileges."),
    "not_found": ServiceError(404, "Request_ResourceNotFound", "The resource does not exist, or the caller may not see it."),
    "no_such_property": ServiceError(400, "BadRequest", "The selection names an unknown property."),
    "no_such_path": ServiceError(400, "BadRequest", "The path names no resource."),
    "throttled": ServiceError(429, "TooManyRequests", "Too many requests."),
    "unavailable": ServiceError(503, "serviceNotAvailable", "The service is temporarily unavailable."),
}


def graph_error(name: str) -> SimulatedResponse:
    """Return that error of Microsoft Graph with ids and time. A throttled response has a Retry-After header."""
    error = GRAPH_ERRORS[name]
    inner = {"date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}", "request-id": str(uuid4()), "client-request-id": str(uuid4())}
    body = {"error": {"code": error.code, "message": error.message, "innerError": inner}}
    response = SimulatedResponse().with_document(body, status=error.status)
    return response.with_header("Retry-After", "10") if error.status == 429 else response


def vault_error(name: str, **words: str) -> SimulatedResponse:
    """Return that error of a vault, with a dash for each placeholder without a word."""
    error = VAULT_ERRORS[name]
    unknown = dict.fromkeys(("operation", "permission", "action", "key", "vault", "caller", "found"), "-")
    body: dict[str, Any] = {"code": error.code, "message": error.message.format_map({**unknown, **words})}
    if error.inner is not None:
        body["innererror"] = {"code": error.inner}
    response = SimulatedResponse().with_document({"error": body}, status=error.status)
    return response.with_header("WWW-Authenticate", _CLAIMS_CHALLENGE) if name == "token_revoked" else response


def entra_error(name: str) -> SimulatedResponse:
    """Return that error of Entra ID, with the ids and the time that its texts have."""
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
        "error_codes": [*error.before, error.aadsts],
        "timestamp": moment,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={error.aadsts}",
    }
    return SimulatedResponse().with_document(body, status=error.status)


def start_of(token: object) -> int | None:
    """Return the start of a page from its token, which is its number; 0 without one, None if it is invalid."""
    text = "0" if token is None else str(token)
    return int(text) if text.isdecimal() and len(text) < 10 else None
