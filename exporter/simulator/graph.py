"""Microsoft Graph: the expiry of an application's secrets and certificates. And Azure Resource Graph: the vaults of a tenant.

The paths of the former are `/v1.0/applications(appId='…')` and `/v1.0/servicePrincipals(appId='…')`, for callers with the right to read
them. Graph shows only the first three characters of a secret.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from cryptography import x509

from exporter.core.json import read_object
from exporter.simulator.entra import TokenClaims
from exporter.simulator.environment import FAR_FUTURE, Application, ClientSecret, Tenant, Vault, management_host
from exporter.simulator.errors import ServiceError, graph_error, start_of
from exporter.simulator.http import Exchange, SimulatedResponse

_PATH = re.compile(r"/v1\.0/(applications|servicePrincipals)\(appId='([^']*)'\)", re.IGNORECASE)


def graph_response(exchange: Exchange, caller: TokenClaims | None, tenant: Tenant | None) -> SimulatedResponse:
    """Return Graph's response with its diagnostic headers. `tenant` is the caller's."""
    request = exchange.headers.get("client-request-id", str(uuid4()))
    response = _graph(exchange, caller, tenant)
    return response.with_header("request-id", str(uuid4())).with_header("client-request-id", request)


def _graph(exchange: Exchange, caller: TokenClaims | None, tenant: Tenant | None) -> SimulatedResponse:
    if caller is None or caller.aud != f"https://{exchange.host}":
        challenge = 'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
        return graph_error(_token_error(exchange)).with_header("WWW-Authenticate", challenge)
    matched = _PATH.fullmatch(exchange.path)
    if exchange.method != "GET" or matched is None:
        return graph_error("no_such_path")
    applications = {} if tenant is None else tenant.applications
    if caller.appid not in applications or not applications[caller.appid].graph_reader:
        return graph_error("denied")
    application = applications.get(matched[2].lower())
    if application is None:
        return graph_error("not_found")
    document = _document(application, matched[1].lower() == "serviceprincipals")
    # `$select` names the members; without it there are all
    wanted = [name.strip() for name in exchange.query.get("$select", "").split(",") if name.strip()]
    if not set(wanted) <= set(document):
        return graph_error("no_such_property")
    selection = f"({','.join(wanted)})" if wanted else ""
    context = {"@odata.context": f"https://{exchange.host}/v1.0/$metadata#{matched[1]}{selection}/$entity"}
    return SimulatedResponse().with_document({**context, **{name: document[name] for name in wanted or document}})


def _token_error(exchange: Exchange) -> str:
    return "token_missing" if exchange.bearer is None else "token_refused"


def _document(application: Application, of_principal: bool) -> dict[str, object]:
    """Return an application, or its service principal, as Graph shows it. A service principal has an id of its own."""
    secrets = [_secret(secret) for secret in application.secrets if secret.of_principal == of_principal]
    certificates = [] if of_principal else [_certificate(der) for der in application.certificates]
    own_id = application.object_id if of_principal else str(uuid5(NAMESPACE_URL, application.client_id))
    return {
        "id": own_id,
        "appId": application.client_id,
        "displayName": application.names[0] if application.names else application.client_id,
        "passwordCredentials": secrets,
        "keyCredentials": certificates,
    }


def _secret(secret: ClientSecret) -> dict[str, object]:
    return {
        "customKeyIdentifier": None,
        "displayName": secret.display_name,
        "endDateTime": _date(FAR_FUTURE if secret.expires is None else secret.expires),
        "hint": secret.value[:3],
        "keyId": secret.key_id,
        "secretText": None,
        "startDateTime": _date(secret.created),
    }


def _certificate(der: bytes) -> dict[str, object]:
    """Return a certificate as Graph shows it. The identifier is the SHA-1 thumbprint, which the portal shows too."""
    certificate = x509.load_der_x509_certificate(der)
    return {
        "customKeyIdentifier": base64.b64encode(hashlib.sha1(der, usedforsecurity=False).digest()).decode(),
        "displayName": certificate.subject.rfc4514_string(),
        "endDateTime": _date(certificate.not_valid_after_utc.timestamp()),
        "key": None,
        "keyId": str(UUID(bytes=hashlib.sha256(der).digest()[:16])),
        "startDateTime": _date(certificate.not_valid_before_utc.timestamp()),
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
    }


def _date(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}"


# Azure Resource Graph: the vaults and Managed HSMs of a caller's tenant, page by page.
# It answers the one query that the exporter sends. Every application has the role Reader until a fault removes it.

_RESOURCES_PATH = "/providers/microsoft.resourcegraph/resources"
_TYPES = {False: "microsoft.keyvault/vaults", True: "microsoft.keyvault/managedhsms"}
_LARGEST_PAGE = 1000

# The codes of the inner errors come from public reports, the sentences are the simulator's.
MANAGEMENT_ERRORS: Mapping[str, ServiceError] = {
    "token_missing": ServiceError(401, "AuthenticationFailed", "The Authorization header is missing."),
    "token_refused": ServiceError(401, "InvalidAuthenticationTokenAudience", "The access token is for another audience."),
    "denied": ServiceError(403, "AccessDenied", "The caller may not read these subscriptions."),
    "no_subscription": ServiceError(
        400, "BadRequest", "See the details.", "NoValidSubscriptionsInQueryRequest: no subscription is eligible."
    ),
    "bad_query": ServiceError(400, "BadRequest", "See the details.", "InvalidQuery: the query is not the exporter's."),
    "not_found": ServiceError(404, "InvalidResourceType", "The path names no resource."),
    "throttled": ServiceError(429, "RateLimiting", "The caller's quota is used up."),
    "unavailable": ServiceError(503, "ServiceUnavailable", "The service is temporarily unavailable."),
}


def management_error(name: str) -> SimulatedResponse:
    """Return that error. A throttled response has a Retry-After header."""
    error = MANAGEMENT_ERRORS[name]
    body: dict[str, Any] = {"code": error.code, "message": f"{error.message} timestamp = {datetime.now(UTC).isoformat()}"}
    if error.inner is not None:
        code, _, message = error.inner.partition(": ")
        body["details"] = [{"code": code, "message": message}]
    response = SimulatedResponse().with_document({"error": body}, status=error.status)
    if error.status != 429:
        return response
    return response.with_header("Retry-After", "5").with_header("x-ms-user-quota-resets-after", "00:00:05")


def resource_graph_response(
    exchange: Exchange, caller: TokenClaims | None, tenant: Tenant | None, vaults: Iterable[Vault]
) -> SimulatedResponse:
    """Return the response with its diagnostic headers. `tenant` is the caller's."""
    response = _resource_graph(exchange, caller, tenant, vaults).with_header("x-ms-request-id", str(uuid4()))
    return response.with_header("x-ms-user-quota-remaining", "14").with_header("x-ms-correlation-request-id", str(uuid4()))


def _resource_graph(
    exchange: Exchange, caller: TokenClaims | None, tenant: Tenant | None, vaults: Iterable[Vault]
) -> SimulatedResponse:
    if caller is None or caller.aud != f"https://{exchange.host}":
        return management_error(_token_error(exchange))
    if exchange.method != "POST" or exchange.path.lower() != _RESOURCES_PATH:
        return management_error("not_found")
    request = read_object(exchange.body) or {}
    if not _is_known(request, exchange):
        return management_error("bad_query")
    reader = None if tenant is None else tenant.applications.get(caller.appid)
    if reader is None or not reader.azure_reader:
        return management_error("no_subscription")
    own = [one for one in vaults if one.tenant_id == caller.tid and management_host(one) == exchange.host]
    wanted = request.get("subscriptions")
    found = [one for one in own if not wanted or one.subscription_id in wanted]
    return management_error("no_subscription") if wanted and not found else _page(found, request.get("options") or {})


def _is_known(request: dict[str, Any], exchange: Exchange) -> bool:
    query = request.get("query")
    options = request.get("options") or {}
    size = options.get("$top", 100)
    return (
        isinstance(query, str)
        and query.lower().lstrip().startswith("resources")
        and all(kind in query.lower() for kind in _TYPES.values())
        and "api-version" in exchange.query
        and isinstance(size, int)
        and 1 <= size <= _LARGEST_PAGE
        and options.get("resultFormat", "objectArray") == "objectArray"
    )


def _page(vaults: list[Vault], options: dict[str, Any]) -> SimulatedResponse:
    size, start = options.get("$top", 100), start_of(options.get("$skipToken"))
    if start is None:
        return management_error("bad_query")
    rows = [_row(vault) for vault in sorted(vaults, key=lambda one: one.host)]
    page, more = rows[start : start + size], start + size < len(rows)
    body = {"totalRecords": len(rows), "count": len(page), "data": page, "facets": [], "resultTruncated": str(more).lower()}
    if more:
        body["$skipToken"] = str(start + size)
    return SimulatedResponse().with_document(body)


def _row(vault: Vault) -> dict[str, object]:
    kind = _TYPES[vault.managed_hsm]
    return {
        "id": f"/subscriptions/{vault.subscription_id}/resourceGroups/ekm/providers/{kind}/{vault.name}",
        "name": vault.name,
        "type": kind,
        "tenantId": vault.tenant_id,
        "subscriptionId": vault.subscription_id,
        "location": vault.region,
        "uri": f"https://{vault.host}/",
    }
