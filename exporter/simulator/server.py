"""One HTTP server for every vault, Entra host and host of Microsoft Graph: the host header says whom a request is for.

For: taking a request to the right service, putting the active faults on its answer, counting it.
Not for: TLS and listening (see `tls_frontend`), protocols (see `vault`, `entra`, `graph`), or bytes (see `wire_response`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qsl

from aiohttp import web

from exporter.simulator.entra import EntraService, client_id, tenant_name
from exporter.simulator.faults import Scope
from exporter.simulator.graph import GraphService
from exporter.simulator.key_pairs import KeyPairs
from exporter.simulator.managed_identity import Asked
from exporter.simulator.model import Vault
from exporter.simulator.request import Exchange
from exporter.simulator.response import Delivery, SimulatedResponse
from exporter.simulator.service_accounts import ServiceAccounts
from exporter.simulator.state import SimulatorState
from exporter.simulator.tokens import TokenMint
from exporter.simulator.vault import VaultService
from exporter.simulator.wire_response import deliver

RequestCount = Counter[tuple[str, str, int]]
_NO_STATUS = frozenset({Delivery.RESET, Delivery.CLOSED, Delivery.SILENT, Delivery.ENDLESS_HEADER, Delivery.GARBAGE})


class Services:
    """`requests` counts by host, operation and status; the status is 0 where none was sent."""

    def __init__(self, state: SimulatorState, pairs: KeyPairs, clock: Callable[[], float]) -> None:
        self._state = state
        mint = TokenMint()
        self._vaults = VaultService(mint, pairs, clock)
        self.service_accounts = ServiceAccounts(clock)
        self._entra = EntraService(mint, self.service_accounts, clock)
        self._graph = GraphService(mint, state.tenant, clock)
        self.requests: RequestCount = Counter()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        exchange = await _exchange(request)
        vault = self._state.vault(exchange.host)
        if vault is not None:
            operation, answer = await self._ask_vault(vault, exchange)
        elif exchange.host in self._state.environment.authorities:
            operation, answer = "token", self._ask_entra(exchange)
        elif exchange.host in self._state.environment.graph_hosts:
            operation, answer = "graph", self._ask_graph(exchange)
        else:
            operation, answer = "other", SimulatedResponse(status=421, body=b"the simulator serves no such host\n")
        self._count(exchange.host, operation, answer)
        return await deliver(request, answer)

    def grant_identity(self, asked: Asked) -> SimulatedResponse:
        """What an identity service of the exporter's host answers to a request that it admits."""
        wanted = asked.client_id.lower() or self._state.environment.host_identity or ""
        tenants = (self._state.tenant(tenant_id) for tenant_id in self._state.environment.tenants)
        home = next((tenant for tenant in tenants if tenant is not None and wanted in tenant.applications), None)
        return self._state.edited(self._entra.identity(home, asked, wanted), asked.service, [(Scope.APPLICATION, wanted)])

    def count_identity(self, service: str, answer: SimulatedResponse) -> None:
        self._count("identity", service, answer)

    def _count(self, host: str, operation: str, answer: SimulatedResponse) -> None:
        self.requests[host, operation, 0 if answer.delivery in _NO_STATUS else answer.status] += 1

    def _ask_graph(self, exchange: Exchange) -> SimulatedResponse:
        return self._state.edited(self._graph.answer(exchange), "graph", [(Scope.GRAPH, exchange.host)])

    async def _ask_vault(self, vault: Vault, exchange: Exchange) -> tuple[str, SimulatedResponse]:
        operation = exchange.vault_operation()
        answer = await self._vaults.answer(vault, exchange)
        answer = self._state.edited(answer, operation, [(Scope.VAULT, vault.host)], exchange.subject)
        return operation, replace(answer, delay=answer.delay + vault.latency)

    def _ask_entra(self, exchange: Exchange) -> SimulatedResponse:
        tenant, caller = tenant_name(exchange), client_id(exchange)
        answer = self._entra.answer(self._state.tenant(tenant), self._state.environment.resources, exchange)
        places = [(Scope.AUTHORITY, exchange.host), (Scope.TENANT, tenant), (Scope.APPLICATION, caller)]
        return self._state.edited(answer, "token", places)


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
