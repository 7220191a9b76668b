"""The HTTP server of every vault and of Entra, Microsoft Graph and Resource Graph, and of the host's identity services.

The host header selects the service. The server applies the active faults to the response and counts it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl

from aiohttp import web

from exporter.simulator.entra import EntraService, IdentityRequests, ServiceAccounts, client_id, tenant_name
from exporter.simulator.environment import SQL_RESOURCE, KeyPairs
from exporter.simulator.faults import FaultScope
from exporter.simulator.graph import graph_response, resource_graph_response
from exporter.simulator.http import PATHS, Exchange, SimulatedResponse, deliver
from exporter.simulator.state import SimulatorState
from exporter.simulator.vault import VaultService

_NO_STATUS = frozenset({"reset", "closed", "silent", "endless_header", "garbage"})


class Services:
    """The services behind one port. `requests` counts by host, operation and status; the status is 0 if no response was sent."""

    def __init__(self, state: SimulatorState, pairs: KeyPairs, clock: Callable[[], float], arc_folder: Path | None) -> None:
        self._state = state
        self._vaults = VaultService(pairs, clock)
        self.service_accounts = ServiceAccounts(clock)
        self._entra = EntraService(self.service_accounts, clock)
        self._identities = IdentityRequests(arc_folder)
        self.close = self._identities.close
        self.requests: Counter[tuple[str, str, int]] = Counter()

    def accepts_sql_token(self, token: str) -> bool:
        """Return whether the token is one of this run for SQL Server."""
        claims = self._entra.read(token)
        return claims is not None and claims.aud.rstrip("/") == SQL_RESOURCE

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        exchange = await _exchange(request)
        environment, host, caller = self._state.environment, exchange.host, self._entra.read(exchange.bearer)
        tenant = None if caller is None else self._state.tenant(caller.tid)
        vault, latency = self._state.vault(host), 0.0
        if vault is not None:
            operation, places, latency = exchange.vault_operation(), [(FaultScope.VAULT, vault.host)], vault.latency
            response = await self._vaults.respond(vault, exchange, caller)
        elif host in environment.authorities:
            operation, name = "token", tenant_name(exchange)
            places = [(FaultScope.AUTHORITY, host), (FaultScope.TENANT, name), (FaultScope.APPLICATION, client_id(exchange))]
            response = self._entra.respond(self._state.tenant(name), environment.resources, exchange)
        elif host in environment.graph_hosts:
            operation, places = "graph", [(FaultScope.GRAPH, host)]
            response = graph_response(exchange, caller, tenant)
        elif host in environment.management_hosts:
            operation, places = "resource_graph", [(FaultScope.MANAGEMENT, host)]
            response = resource_graph_response(exchange, caller, tenant, environment.vaults.values())
        else:
            operation, places = "other", []
            response = SimulatedResponse(status=421, body=b"the simulator does not serve this host\n")
        response = self._state.apply_faults(response, operation, places, exchange.subject)
        self._count(host, operation, response)
        return await deliver(request, replace(response, delay=response.delay + latency))

    def add_identities(self, app: web.Application) -> None:
        """Add the paths of the host's identity services. Raises NotADirectoryError if Azure Arc's folder is missing."""
        self._identities.check_folder()
        for service, path in PATHS.items():
            app.router.add_get(path, partial(self._handle_identity, service))

    async def _handle_identity(self, service: str, request: web.Request) -> web.StreamResponse:
        """Respond to a request, which may name the client id of an identity."""
        response = self._identities.refusal(service, request)
        if response is None:
            wanted = request.query.get("client_id", "").lower() or self._state.environment.host_identity or ""
            tenants = (self._state.tenant(tenant_id) for tenant_id in self._state.environment.tenants)
            home = next((tenant for tenant in tenants if tenant is not None and wanted in tenant.applications), None)
            issued = self._entra.respond_as_host(home, service, request.query, wanted)
            response = self._state.apply_faults(issued, service, [(FaultScope.APPLICATION, wanted)])
        self._count("identity", service, response)
        return await deliver(request, response)

    def _count(self, host: str, operation: str, response: SimulatedResponse) -> None:
        self.requests[host, operation, 0 if response.delivery in _NO_STATUS else response.status] += 1


async def _exchange(request: web.BaseRequest) -> Exchange:
    body = await request.read()
    is_form = request.content_type == "application/x-www-form-urlencoded"
    return Exchange(
        method=request.method,
        host=request.host.lower().removesuffix(":443"),
        path=request.path,
        query=request.query,
        headers=request.headers,
        form=dict(parse_qsl(body.decode("utf-8", "replace"))) if is_form else {},
        body=body,
    )
