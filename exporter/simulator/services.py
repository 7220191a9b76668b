"""The HTTP server of every vault and of Entra, Microsoft Graph and Resource Graph.

The host header selects the service. The server applies the active faults to the response and counts it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qsl

from aiohttp import web

from exporter.simulator.entra import EntraService, ServiceAccounts, TokenMint, client_id, tenant_name
from exporter.simulator.environment import SQL_RESOURCE, KeyPairs, Vault
from exporter.simulator.faults import FaultScope
from exporter.simulator.graph import GraphService, ResourceGraphService
from exporter.simulator.http import Delivery, Exchange, SimulatedResponse, deliver
from exporter.simulator.state import SimulatorState
from exporter.simulator.vault import VaultService

RequestCount = Counter[tuple[str, str, int]]
_NO_STATUS = frozenset({Delivery.RESET, Delivery.CLOSED, Delivery.SILENT, Delivery.ENDLESS_HEADER, Delivery.GARBAGE})


class Services:
    """The services behind one port. `requests` counts by host, operation and status; the status is 0 if no response was sent."""

    def __init__(self, state: SimulatorState, pairs: KeyPairs, clock: Callable[[], float]) -> None:
        self._state = state
        self._mint = mint = TokenMint(clock)
        self._vaults = VaultService(mint, pairs, clock)
        self.service_accounts = ServiceAccounts(clock)
        self._entra = EntraService(mint, self.service_accounts, clock)
        self._graph = GraphService(mint, state.tenant)
        self._resource_graph = ResourceGraphService(mint, state.tenant, lambda: [*state.environment.vaults.values()])
        self.requests: RequestCount = Counter()

    def accepts_sql_token(self, token: str) -> bool:
        """Return whether the token is one of this run for SQL Server."""
        claims = self._mint.read(token)
        return claims is not None and claims.aud.rstrip("/") == SQL_RESOURCE

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        exchange = await _exchange(request)
        vault = self._state.vault(exchange.host)
        if vault is not None:
            operation, response = await self._vault_response(vault, exchange)
        elif exchange.host in self._state.environment.authorities:
            operation, response = "token", self._entra_response(exchange)
        elif exchange.host in self._state.environment.graph_hosts:
            places, response = [(FaultScope.GRAPH, exchange.host)], self._graph.respond(exchange)
            operation, response = "graph", self._state.apply_faults(response, "graph", places)
        elif exchange.host in self._state.environment.management_hosts:
            places, response = [(FaultScope.MANAGEMENT, exchange.host)], self._resource_graph.respond(exchange)
            operation, response = "resource_graph", self._state.apply_faults(response, "resource_graph", places)
        else:
            operation, response = "other", SimulatedResponse(status=421, body=b"the simulator does not serve this host\n")
        self.count(exchange.host, operation, response)
        return await deliver(request, response)

    def identity_response(self, service: str, request: web.Request) -> SimulatedResponse:
        """Return the response of the host's identity service to a valid request, which may name the client id of the identity."""
        wanted = request.query.get("client_id", "").lower() or self._state.environment.host_identity or ""
        tenants = (self._state.tenant(tenant_id) for tenant_id in self._state.environment.tenants)
        home = next((tenant for tenant in tenants if tenant is not None and wanted in tenant.applications), None)
        return self._state.apply_faults(
            self._entra.respond_as_host(home, service, request.query, wanted), service, [(FaultScope.APPLICATION, wanted)]
        )

    def count(self, host: str, operation: str, response: SimulatedResponse) -> None:
        self.requests[host, operation, 0 if response.delivery in _NO_STATUS else response.status] += 1

    async def _vault_response(self, vault: Vault, exchange: Exchange) -> tuple[str, SimulatedResponse]:
        operation = exchange.vault_operation()
        response = await self._vaults.respond(vault, exchange)
        response = self._state.apply_faults(response, operation, [(FaultScope.VAULT, vault.host)], exchange.subject)
        return operation, replace(response, delay=response.delay + vault.latency)

    def _entra_response(self, exchange: Exchange) -> SimulatedResponse:
        tenant, caller = tenant_name(exchange), client_id(exchange)
        response = self._entra.respond(self._state.tenant(tenant), self._state.environment.resources, exchange)
        places = [(FaultScope.AUTHORITY, exchange.host), (FaultScope.TENANT, tenant), (FaultScope.APPLICATION, caller)]
        return self._state.apply_faults(response, "token", places)


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
