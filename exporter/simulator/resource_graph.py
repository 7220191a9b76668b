"""Azure Resource Graph: the vaults and Managed HSMs of a caller's tenant, page by page.

It answers the one query that the exporter sends. Every application has the role Reader until a fault removes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from exporter.core.parsing.key_vault import read_object
from exporter.simulator.error_responses import ServiceError
from exporter.simulator.model import Tenant, Vault, management_host
from exporter.simulator.paging import skip_token, start_of
from exporter.simulator.request import Exchange
from exporter.simulator.response import SimulatedResponse
from exporter.simulator.tokens import TokenMint

_PATH = "/providers/microsoft.resourcegraph/resources"
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


class ResourceGraphService:
    """Turns one request to Azure Resource Graph into one response.

    `tenant_of` returns a tenant by its id, with the active faults applied; `vaults_of` all vaults.
    """

    def __init__(
        self,
        mint: TokenMint,
        tenant_of: Callable[[str], Tenant | None],
        vaults_of: Callable[[], Iterable[Vault]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._mint = mint
        self._tenant_of = tenant_of
        self._vaults_of = vaults_of
        self._clock = clock

    def respond(self, exchange: Exchange) -> SimulatedResponse:
        """Return the response with its diagnostic headers."""
        response = self._respond(exchange).with_header("x-ms-request-id", str(uuid4()))
        return response.with_header("x-ms-user-quota-remaining", "14").with_header("x-ms-correlation-request-id", str(uuid4()))

    def _respond(self, exchange: Exchange) -> SimulatedResponse:
        if exchange.bearer is None:
            return management_error("token_missing")
        caller = self._mint.read(exchange.bearer)
        if caller is None or caller.expires <= self._clock() or caller.audience != f"https://{exchange.host}":
            return management_error("token_refused")
        if exchange.method != "POST" or exchange.path.lower() != _PATH:
            return management_error("not_found")
        request = read_object(exchange.body) or {}
        if not _is_known(request, exchange):
            return management_error("bad_query")
        tenant = self._tenant_of(caller.tenant_id)
        reader = None if tenant is None else tenant.applications.get(caller.client_id)
        if reader is None or not reader.azure_reader:
            return management_error("no_subscription")
        vaults = [one for one in self._vaults_of() if one.tenant_id == caller.tenant_id and management_host(one) == exchange.host]
        wanted = request.get("subscriptions")
        if wanted and not {one.subscription_id for one in vaults} & set(wanted):
            return management_error("no_subscription")
        return _page([one for one in vaults if not wanted or one.subscription_id in wanted], request.get("options") or {})


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
        body["$skipToken"] = skip_token(start + size)
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
